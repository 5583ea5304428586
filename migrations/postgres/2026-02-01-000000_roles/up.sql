-- Which login role works for which extension.
CREATE TABLE core_roles (
    role TEXT NOT NULL PRIMARY KEY,
    extension TEXT NOT NULL UNIQUE
);

-- A migration runs as its extension's own role, and is booked in the same transaction. These write the ledger
-- for the role that logged in, and for no other; they answer how many rows they wrote.
CREATE FUNCTION core_book(version TEXT, name TEXT, checksum TEXT) RETURNS BIGINT
LANGUAGE sql SECURITY DEFINER SET search_path = core, pg_temp AS $$
    WITH booked AS (
        INSERT INTO core_migrations (extension, version, name, checksum, run_at)
        SELECT extension, $1, $2, $3, now() FROM core_roles WHERE role = session_user
        RETURNING 1
    )
    SELECT count(*) FROM booked
$$;
REVOKE ALL ON FUNCTION core_book(TEXT, TEXT, TEXT) FROM PUBLIC;

CREATE FUNCTION core_unbook(version TEXT) RETURNS BIGINT
LANGUAGE sql SECURITY DEFINER SET search_path = core, pg_temp AS $$
    WITH gone AS (
        DELETE FROM core_migrations m USING core_roles r
        WHERE r.role = session_user AND m.extension = r.extension AND m.version = $1
        RETURNING 1
    )
    SELECT count(*) FROM gone
$$;
REVOKE ALL ON FUNCTION core_unbook(TEXT) FROM PUBLIC;
