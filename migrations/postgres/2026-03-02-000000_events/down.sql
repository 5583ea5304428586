DROP FUNCTION core_once(TEXT, TEXT, BIGINT);
DROP FUNCTION core_publish(TEXT, TEXT, BIGINT);
DROP FUNCTION core_deliver(BIGINT[], TEXT, TEXT, BOOLEAN, BIGINT);
DROP TABLE core_once;
DROP TABLE core_subscriptions;
DROP TABLE core_events;
