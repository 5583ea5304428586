-- Jobs: what waits, what runs, and what ran until it is pruned. Moments are milliseconds since 1970, since both
-- databases compare and add them alike.

CREATE TABLE core_queues (
    name TEXT NOT NULL PRIMARY KEY,
    extension TEXT NOT NULL,
    paused_at BIGINT,
    -- How many of its jobs run at once, on one node and on all.
    max_per_node BIGINT NOT NULL DEFAULT 5 CHECK (max_per_node >= 0),
    max_global BIGINT CHECK (max_global >= 0),
    -- How long what is done, and what is dead, is kept.
    retain_done_ms BIGINT NOT NULL DEFAULT 86400000 CHECK (retain_done_ms >= 0),
    retain_dead_ms BIGINT NOT NULL DEFAULT 15552000000 CHECK (retain_dead_ms >= 0)
);

-- Processes that run jobs: a new row for each start. `beat` is counted up; others see whether it moves, by their own
-- clocks, so that no clock is compared with another.
CREATE TABLE core_nodes (
    id TEXT NOT NULL PRIMARY KEY,
    host TEXT NOT NULL,
    pid BIGINT NOT NULL,
    version TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    beat BIGINT NOT NULL DEFAULT 0,
    beat_at BIGINT NOT NULL
);

-- States: 0 scheduled, 1 ready, 2 running, 3 blocked by its serial key, 4 done, 5 dead, 6 cancelled.
CREATE TABLE core_jobs (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    queue TEXT NOT NULL,
    extension TEXT NOT NULL,
    handler TEXT NOT NULL,
    args TEXT NOT NULL,
    state BIGINT NOT NULL CHECK (state BETWEEN 0 AND 6),
    -- 0 runs first, 9 last.
    priority BIGINT NOT NULL CHECK (priority BETWEEN 0 AND 9),
    run_at BIGINT NOT NULL,
    attempt BIGINT NOT NULL DEFAULT 0,
    max_attempts BIGINT NOT NULL CHECK (max_attempts > 0),
    timeout_ms BIGINT,
    -- Held while the key is taken; unique_scope: 0 until it ended, 1 until it began, 2 until `unique_until`.
    unique_key TEXT,
    unique_scope BIGINT NOT NULL DEFAULT 0 CHECK (unique_scope BETWEEN 0 AND 2),
    unique_until BIGINT,
    serial_key TEXT,
    -- Who runs it, and how often it was claimed: never counted down, so that it tells a run from all others.
    node_id TEXT,
    token BIGINT NOT NULL DEFAULT 0,
    started_at BIGINT,
    -- How often its process died while it ran.
    deaths BIGINT NOT NULL DEFAULT 0,
    cancel_at BIGINT,
    progress TEXT,
    finished_at BIGINT,
    prune_at BIGINT,
    reason TEXT,
    errors TEXT,
    meta TEXT,
    created_at BIGINT NOT NULL,
    CHECK ((state = 2) = (node_id IS NOT NULL)),
    CHECK ((state >= 4) = (prune_at IS NOT NULL))
) WITH (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
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
    next_at BIGINT NOT NULL,
    last_at BIGINT,
    -- Ticks that came while the extension was off.
    skipped BIGINT NOT NULL DEFAULT 0,
    -- Since when its extension no longer names it.
    vanished_at BIGINT
);
CREATE INDEX core_schedules_next ON core_schedules (next_at) WHERE vanished_at IS NULL;

-- An extension enqueues on its own connection, in its own transaction. Who logged in as its role may write jobs of
-- that extension, and of no other; the platform's own role may for all. Answers what was written, in its order:
-- a job whose unique key is taken is not.
CREATE FUNCTION core_enqueue(slug TEXT, jobs TEXT, moment BIGINT) RETURNS TABLE (job BIGINT, key TEXT)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = core, pg_temp AS $$
BEGIN
    IF NOT pg_has_role(session_user, current_user, 'MEMBER') AND NOT EXISTS (
        SELECT 1 FROM core_roles r WHERE r.role = session_user AND r.extension = slug
    ) THEN
        RAISE insufficient_privilege USING MESSAGE = format('this login role may not enqueue jobs of `%s`', slug);
    END IF;
    IF EXISTS (
        SELECT 1 FROM json_to_recordset(jobs::json) AS j (queue TEXT)
        WHERE j.queue IS NULL OR NOT (j.queue = slug OR starts_with(j.queue, slug || ':'))
    ) THEN
        RAISE insufficient_privilege USING MESSAGE = format('a queue of `%s` is called so, or begins with `%s:`', slug, slug);
    END IF;
    INSERT INTO core_queues (name, extension)
    SELECT DISTINCT j.queue, slug FROM json_to_recordset(jobs::json) AS j (queue TEXT)
    WHERE NOT EXISTS (SELECT 1 FROM core_queues q WHERE q.name = j.queue)
    ORDER BY 1
    ON CONFLICT DO NOTHING;
    RETURN QUERY
    INSERT INTO core_jobs AS t (queue, extension, handler, args, state, priority, run_at, max_attempts, timeout_ms,
        unique_key, unique_scope, unique_until, serial_key, meta, created_at)
    SELECT j.queue, slug, j.handler, j.args,
        CASE WHEN j.serial_key IS NOT NULL THEN 3 WHEN j.run_at > moment THEN 0 ELSE 1 END,
        j.priority, j.run_at, j.max_attempts, j.timeout_ms, slug || '/' || j.unique_key, j.unique_scope,
        j.unique_until, slug || '/' || j.serial_key, j.meta, moment
    FROM ROWS FROM (json_to_recordset(jobs::json) AS (queue TEXT, handler TEXT, args TEXT, priority BIGINT,
        run_at BIGINT, max_attempts BIGINT, timeout_ms BIGINT, unique_key TEXT, unique_scope BIGINT,
        unique_until BIGINT, serial_key TEXT, meta TEXT)) WITH ORDINALITY AS j
    ORDER BY j.ordinality
    ON CONFLICT (unique_key) WHERE unique_key IS NOT NULL DO NOTHING
    RETURNING t.id, t.unique_key;
END
$$;
REVOKE ALL ON FUNCTION core_enqueue(TEXT, TEXT, BIGINT) FROM PUBLIC;
