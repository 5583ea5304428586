DROP FUNCTION core_unbook(TEXT);
DROP FUNCTION core_book(TEXT, TEXT, TEXT);
DROP TABLE core_roles;
