-- Events: what extensions said, who wants to hear it, and which effects happened already. Moments are milliseconds
-- since 1970.

CREATE TABLE core_events (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    -- Its name among all events: what is published again under it is not.
    uid TEXT NOT NULL UNIQUE,
    -- The three parts of its topic; the first is who said it.
    extension TEXT NOT NULL,
    entity TEXT NOT NULL,
    verb TEXT NOT NULL,
    account_id TEXT,
    key TEXT,
    version INTEGER NOT NULL CHECK (version > 0),
    payload TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX core_events_topic ON core_events (extension, entity, verb, id);
CREATE INDEX core_events_created ON core_events (created_at);

-- Each delivery is a job of `handler`. A part of a pattern is a word or `*`.
CREATE TABLE core_subscriptions (
    extension TEXT NOT NULL,
    handler TEXT NOT NULL,
    said_by TEXT NOT NULL,
    entity TEXT NOT NULL,
    verb TEXT NOT NULL,
    queue TEXT NOT NULL,
    ordered INTEGER NOT NULL CHECK (ordered IN (0, 1)),
    priority INTEGER NOT NULL CHECK (priority BETWEEN 0 AND 9),
    max_attempts INTEGER NOT NULL CHECK (max_attempts > 0),
    timeout_ms INTEGER,
    -- Since when its extension no longer names it.
    vanished_at INTEGER,
    PRIMARY KEY (extension, handler)
) STRICT;

-- Effects of an extension that must not happen twice.
CREATE TABLE core_once (
    extension TEXT NOT NULL,
    key TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (extension, key)
) STRICT;
CREATE INDEX core_once_created ON core_once (created_at);
