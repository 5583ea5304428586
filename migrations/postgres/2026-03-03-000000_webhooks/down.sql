DROP TABLE core_deliveries;
DROP TABLE core_webhooks;
DELETE FROM core_secrets WHERE extension = 'core' AND name LIKE 'webhook/%';
