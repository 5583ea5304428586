-- Whether an operator said how many jobs of a queue run at once; else its extension does.
ALTER TABLE core_queues ADD COLUMN chosen BIGINT NOT NULL DEFAULT 0 CHECK (chosen IN (0, 1));
