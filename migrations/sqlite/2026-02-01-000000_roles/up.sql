-- PostgreSQL has roles; here each statement is judged instead.
SELECT 1;
