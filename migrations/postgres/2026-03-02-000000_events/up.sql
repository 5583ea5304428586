-- Events: what extensions said, who wants to hear it, and which effects happened already. Moments are milliseconds
-- since 1970.

CREATE TABLE core_events (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- Its name among all events: what is published again under it is not.
    uid TEXT NOT NULL UNIQUE,
    -- The three parts of its topic; the first is who said it.
    extension TEXT NOT NULL,
    entity TEXT NOT NULL,
    verb TEXT NOT NULL,
    account_id TEXT,
    key TEXT,
    version BIGINT NOT NULL CHECK (version > 0),
    payload TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
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
    ordered BIGINT NOT NULL CHECK (ordered IN (0, 1)),
    priority BIGINT NOT NULL CHECK (priority BETWEEN 0 AND 9),
    max_attempts BIGINT NOT NULL CHECK (max_attempts > 0),
    timeout_ms BIGINT,
    -- Since when its extension no longer names it.
    vanished_at BIGINT,
    PRIMARY KEY (extension, handler)
);

-- Effects of an extension that must not happen twice.
CREATE TABLE core_once (
    extension TEXT NOT NULL,
    key TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (extension, key)
);
CREATE INDEX core_once_created ON core_once (created_at);

-- Writes the deliveries of events: jobs of those that hear them. `wanted` is one subscription, or null for all that
-- are there; the platform's alone.
CREATE FUNCTION core_deliver(events BIGINT[], wanted_extension TEXT, wanted_handler TEXT, replays BOOLEAN, moment BIGINT)
RETURNS BIGINT LANGUAGE sql SET search_path = core, pg_temp AS $$
    WITH written AS (
        INSERT INTO core_jobs (queue, extension, handler, args, state, priority, run_at, max_attempts, timeout_ms,
            unique_key, unique_scope, serial_key, created_at)
        SELECT s.queue, s.extension, s.handler,
            json_build_object('id', e.id, 'uid', e.uid, 'topic', e.extension || '.' || e.entity || '.' || e.verb,
                'key', e.key, 'account_id', e.account_id, 'version', e.version, 'payload', e.payload::json,
                'published_at', to_char(to_timestamp(e.created_at / 1000.0) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
                'replayed', replays)::text,
            CASE WHEN s.ordered = 1 THEN 3 ELSE 1 END, s.priority, moment, s.max_attempts, s.timeout_ms,
            s.extension || '/event:' || e.id || ':' || s.handler, 0,
            CASE WHEN s.ordered = 1 THEN s.extension || '/' || s.handler || ':' || coalesce(e.key, '') END, moment
        FROM core_events e JOIN core_subscriptions s
            ON s.said_by IN (e.extension, '*') AND s.entity IN (e.entity, '*') AND s.verb IN (e.verb, '*')
        WHERE e.id = ANY(events) AND s.vanished_at IS NULL
            AND (wanted_handler IS NULL OR (s.extension = wanted_extension AND s.handler = wanted_handler))
        ORDER BY e.id, s.extension, s.handler
        ON CONFLICT (unique_key) WHERE unique_key IS NOT NULL DO NOTHING
        RETURNING 1
    )
    SELECT count(*) FROM written
$$;
REVOKE ALL ON FUNCTION core_deliver(BIGINT[], TEXT, TEXT, BOOLEAN, BIGINT) FROM PUBLIC;

-- An extension publishes on its own connection, in its own transaction, and topics of its own alone. Answers what was
-- written: an event whose uid is there already is not.
CREATE FUNCTION core_publish(slug TEXT, events TEXT, moment BIGINT) RETURNS TABLE (event BIGINT, name TEXT)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = core, pg_temp AS $$
DECLARE
    written BIGINT[];
BEGIN
    IF NOT pg_has_role(session_user, current_user, 'MEMBER') AND NOT EXISTS (
        SELECT 1 FROM core_roles r WHERE r.role = session_user AND r.extension = slug
    ) THEN
        RAISE insufficient_privilege USING MESSAGE = format('this login role may not publish events of `%s`', slug);
    END IF;
    WITH said AS (
        INSERT INTO core_events (uid, extension, entity, verb, account_id, key, version, payload, created_at)
        SELECT e.uid, slug, e.entity, e.verb, e.account_id, e.key, e.version, e.payload, moment
        FROM ROWS FROM (json_to_recordset(events::json) AS (uid TEXT, entity TEXT, verb TEXT, account_id TEXT,
            key TEXT, version BIGINT, payload TEXT)) WITH ORDINALITY AS e
        ORDER BY e.ordinality
        ON CONFLICT (uid) DO NOTHING
        RETURNING id
    )
    SELECT array_agg(id) INTO written FROM said;
    PERFORM core_deliver(written, NULL, NULL, false, moment);
    RETURN QUERY SELECT e.id, e.uid FROM core_events e WHERE e.id = ANY(written);
END
$$;
REVOKE ALL ON FUNCTION core_publish(TEXT, TEXT, BIGINT) FROM PUBLIC;

-- Whether nobody asked for this key of the extension in a transaction that was committed.
CREATE FUNCTION core_once(slug TEXT, name TEXT, moment BIGINT) RETURNS BOOLEAN
LANGUAGE plpgsql SECURITY DEFINER SET search_path = core, pg_temp AS $$
BEGIN
    IF NOT pg_has_role(session_user, current_user, 'MEMBER') AND NOT EXISTS (
        SELECT 1 FROM core_roles r WHERE r.role = session_user AND r.extension = slug
    ) THEN
        RAISE insufficient_privilege USING MESSAGE = format('this login role may not remember effects of `%s`', slug);
    END IF;
    INSERT INTO core_once (extension, key, created_at) VALUES (slug, name, moment) ON CONFLICT DO NOTHING;
    RETURN FOUND;
END
$$;
REVOKE ALL ON FUNCTION core_once(TEXT, TEXT, BIGINT) FROM PUBLIC;
