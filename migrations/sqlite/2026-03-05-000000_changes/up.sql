-- What pages and tools follow as it happens. Ids are counted in core_epoch, so that they become visible in their order.

CREATE TABLE core_changes (
    id INTEGER NOT NULL PRIMARY KEY,
    topic TEXT NOT NULL,
    account_id TEXT,
    -- JSON.
    data TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX core_changes_created ON core_changes (created_at);
