DROP TABLE core_once;
DROP TABLE core_subscriptions;
DROP TABLE core_events;
