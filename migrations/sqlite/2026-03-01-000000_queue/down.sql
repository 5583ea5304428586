DROP TABLE core_schedules;
DROP TABLE core_jobs;
DROP TABLE core_nodes;
DROP TABLE core_queues;
