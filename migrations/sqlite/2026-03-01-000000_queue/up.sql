-- Jobs: what waits, what runs, and what ran until it is pruned. Moments are milliseconds since 1970, since both
-- databases compare and add them alike.

CREATE TABLE core_queues (
    name TEXT NOT NULL PRIMARY KEY,
    extension TEXT NOT NULL,
    paused_at INTEGER,
    -- How many of its jobs run at once, on one node and on all.
    max_per_node INTEGER NOT NULL DEFAULT 5 CHECK (max_per_node >= 0),
    max_global INTEGER CHECK (max_global >= 0),
    -- How long what is done, and what is dead, is kept.
    retain_done_ms INTEGER NOT NULL DEFAULT 86400000 CHECK (retain_done_ms >= 0),
    retain_dead_ms INTEGER NOT NULL DEFAULT 15552000000 CHECK (retain_dead_ms >= 0)
) STRICT;

-- Processes that run jobs: a new row for each start. `beat` is counted up; others see whether it moves, by their own
-- clocks, so that no clock is compared with another.
CREATE TABLE core_nodes (
    id TEXT NOT NULL PRIMARY KEY,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    version TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    beat INTEGER NOT NULL DEFAULT 0,
    beat_at INTEGER NOT NULL
) STRICT;

-- States: 0 scheduled, 1 ready, 2 running, 3 blocked by its serial key, 4 done, 5 dead, 6 cancelled.
CREATE TABLE core_jobs (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    queue TEXT NOT NULL,
    extension TEXT NOT NULL,
    handler TEXT NOT NULL,
    args TEXT NOT NULL,
    state INTEGER NOT NULL CHECK (state BETWEEN 0 AND 6),
    -- 0 runs first, 9 last.
    priority INTEGER NOT NULL CHECK (priority BETWEEN 0 AND 9),
    run_at INTEGER NOT NULL,
    attempt INTEGER NOT NULL DEFAULT 0,
    max_attempts INTEGER NOT NULL CHECK (max_attempts > 0),
    timeout_ms INTEGER,
    -- Held while the key is taken; unique_scope: 0 until it ended, 1 until it began, 2 until `unique_until`.
    unique_key TEXT,
    unique_scope INTEGER NOT NULL DEFAULT 0 CHECK (unique_scope BETWEEN 0 AND 2),
    unique_until INTEGER,
    serial_key TEXT,
    -- Who runs it, and how often it was claimed: never counted down, so that it tells a run from all others.
    node_id TEXT,
    token INTEGER NOT NULL DEFAULT 0,
    started_at INTEGER,
    -- How often its process died while it ran.
    deaths INTEGER NOT NULL DEFAULT 0,
    cancel_at INTEGER,
    progress TEXT,
    finished_at INTEGER,
    prune_at INTEGER,
    reason TEXT,
    errors TEXT,
    meta TEXT,
    created_at INTEGER NOT NULL,
    CHECK ((state = 2) = (node_id IS NOT NULL)),
    CHECK ((state >= 4) = (prune_at IS NOT NULL))
) STRICT;
-- Each is partial, so that what is done costs nothing to whoever looks for what is to be done.
CREATE INDEX core_jobs_ready ON core_jobs (queue, handler, priority, run_at, id) WHERE state = 1 AND deaths = 0;
-- Suspects: their process died. One at a time runs on a node.
CREATE INDEX core_jobs_suspect ON core_jobs (priority, run_at, id) WHERE state = 1 AND deaths > 0;
CREATE INDEX core_jobs_due ON core_jobs (run_at, queue) WHERE state = 0;
CREATE INDEX core_jobs_running ON core_jobs (queue, node_id) WHERE state = 2;
CREATE INDEX core_jobs_blocked ON core_jobs (serial_key, id) WHERE state = 3;
CREATE INDEX core_jobs_ended ON core_jobs (state, queue, id) WHERE state >= 4;
CREATE INDEX core_jobs_prune ON core_jobs (prune_at) WHERE state >= 4;
CREATE UNIQUE INDEX core_jobs_unique ON core_jobs (unique_key) WHERE unique_key IS NOT NULL;
CREATE UNIQUE INDEX core_jobs_serial ON core_jobs (serial_key) WHERE serial_key IS NOT NULL AND state < 3;

-- `next_at` is what nodes compare and set: whoever moves it on has the tick.
CREATE TABLE core_schedules (
    name TEXT NOT NULL PRIMARY KEY,
    extension TEXT NOT NULL,
    -- Five fields of cron in `zone`, or `every` with a span.
    expression TEXT NOT NULL,
    zone TEXT NOT NULL,
    job TEXT NOT NULL,
    -- Of ticks that were missed: skip, once or all.
    missed TEXT NOT NULL CHECK (missed IN ('skip', 'once', 'all')),
    next_at INTEGER NOT NULL,
    last_at INTEGER,
    -- Ticks that came while the extension was off.
    skipped INTEGER NOT NULL DEFAULT 0,
    -- Since when its extension no longer names it.
    vanished_at INTEGER
) STRICT;
CREATE INDEX core_schedules_next ON core_schedules (next_at) WHERE vanished_at IS NULL;
