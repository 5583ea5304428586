ALTER TABLE core_queues DROP COLUMN chosen;
