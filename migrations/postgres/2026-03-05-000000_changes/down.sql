DROP TABLE core_changes;
DELETE FROM core_epoch WHERE name = 'changes';
