//! What is tried on PostgreSQL, where the extension logs in as a role of its own.

use super::{Attempt, CORE, DATABASE, OTHER, PLATFORM};

/// All that stands outside of the extension's schema, and who may do what with it.
pub(super) const SHAPE: &str = "SELECT md5(string_agg(line, ';' ORDER BY line)) FROM (\
    SELECT format('%s.%s %s %s', relnamespace::regnamespace, relname, relowner::regrole, relacl) line FROM pg_class \
    WHERE relnamespace <> to_regnamespace('hostile') AND relnamespace::regnamespace::text NOT LIKE 'pg\\_%' \
    UNION ALL SELECT format('%s %s %s', nspname, nspowner::regrole, nspacl) FROM pg_namespace WHERE nspname NOT LIKE 'pg\\_%' \
    UNION ALL SELECT format('%s %s %s', proname, proowner::regrole, proacl) FROM pg_proc \
    UNION ALL SELECT format('%s %s %s', rolname, rolsuper, rolcreaterole) FROM pg_roles \
    UNION ALL SELECT extname::text FROM pg_extension UNION ALL SELECT lomowner::text FROM pg_largeobject_metadata \
    UNION ALL SELECT format('%s %s', tgname, tgrelid::regclass) FROM pg_trigger WHERE NOT tgisinternal\
    ) all_of_it";

/// How many roles the extension's role is a member of.
pub(super) const MEMBERSHIPS: &str = "SELECT count(*) FROM pg_auth_members WHERE member IN (SELECT oid FROM pg_roles WHERE rolname LIKE 'powernode\\_%')";

/// What the server lets everybody do, and what comes of it: nothing.
pub(super) const HARMLESS: &[(&str, &[&str])] = &[
    ("notify", &["SELECT pg_notify('flags', 'changed'), pg_notify('powernode', 'changed')"]),
    (
        "search_path alone",
        &["SELECT set_config('search_path', 'fixture_000, core, public', false)"],
    ),
    ("row security off", &["SELECT set_config('row_security', 'off', false)"]),
    ("the next job begins afresh", &["SELECT name FROM hostile_items"]),
];

pub(super) const JOBS: &[Attempt] = &[
    ("read", OTHER, &["SELECT text FROM fixture_000_notes"]),
    ("read, qualified", OTHER, &["SELECT text FROM fixture_000.fixture_000_notes"]),
    ("read, quoted", OTHER, &["SELECT text FROM \"fixture_000\".\"fixture_000_notes\""]),
    ("read, escaped", OTHER, &["SELECT text FROM U&\"fixture\\005F000\".fixture_000_notes"]),
    ("table", OTHER, &["TABLE fixture_000.fixture_000_notes"]),
    ("alias", OTHER, &["SELECT n.text FROM fixture_000.fixture_000_notes AS n"]),
    ("count", OTHER, &["SELECT count(*) FROM fixture_000.fixture_000_notes"]),
    ("exists", OTHER, &["SELECT EXISTS (SELECT 1 FROM fixture_000.fixture_000_notes)"]),
    ("join", OTHER, &["SELECT 1 FROM hostile_items JOIN fixture_000.fixture_000_notes ON true"]),
    ("subquery", OTHER, &["SELECT (SELECT text FROM fixture_000.fixture_000_notes)"]),
    (
        "with",
        OTHER,
        &["WITH x AS (SELECT text FROM fixture_000.fixture_000_notes) SELECT * FROM x"],
    ),
    (
        "with that writes",
        OTHER,
        &["WITH x AS (DELETE FROM fixture_000.fixture_000_notes RETURNING 1) SELECT * FROM x"],
    ),
    (
        "lateral",
        OTHER,
        &[
            "SELECT * FROM hostile_items, LATERAL (SELECT text FROM fixture_000.fixture_000_notes) x",
        ],
    ),
    (
        "union",
        OTHER,
        &["SELECT name FROM hostile_items UNION SELECT text FROM fixture_000.fixture_000_notes"],
    ),
    (
        "copied",
        OTHER,
        &["INSERT INTO hostile_items (id, name) SELECT 7, text FROM fixture_000.fixture_000_notes"],
    ),
    ("select into", OTHER, &["SELECT * INTO hostile_more FROM fixture_000.fixture_000_notes"]),
    (
        "upsert",
        OTHER,
        &["INSERT INTO hostile_items (id) VALUES (1) ON CONFLICT (id) \
           DO UPDATE SET name = (SELECT text FROM fixture_000.fixture_000_notes)"],
    ),
    (
        "returning",
        OTHER,
        &[
            "INSERT INTO hostile_items (id) VALUES (8) RETURNING (SELECT text FROM fixture_000.fixture_000_notes)",
        ],
    ),
    (
        "insert",
        OTHER,
        &["INSERT INTO fixture_000.fixture_000_notes (id, text) VALUES (gen_random_uuid(), 'x')"],
    ),
    ("update", OTHER, &["UPDATE fixture_000.fixture_000_notes SET text = 'x'"]),
    (
        "update from",
        OTHER,
        &["UPDATE hostile_items SET name = text FROM fixture_000.fixture_000_notes"],
    ),
    ("delete", OTHER, &["DELETE FROM fixture_000.fixture_000_notes"]),
    ("for update", OTHER, &["SELECT 1 FROM fixture_000.fixture_000_notes FOR UPDATE"]),
    (
        "query in a function",
        OTHER,
        &["SELECT query_to_xml('SELECT text FROM fixture_000.fixture_000_notes', true, true, '')"],
    ),
    (
        "schema in a function",
        OTHER,
        &["SELECT table_to_xml('fixture_000.fixture_000_notes', true, true, '')"],
    ),
    ("sequence", CORE, &["SELECT nextval('core.core_numbers')"]),
    ("size", OTHER, &["SELECT 'fixture_000.fixture_000_notes'::regclass"]),
    (
        "search_path by a function",
        OTHER,
        &[
            "SELECT set_config('search_path', 'fixture_000', false)",
            "SELECT text FROM fixture_000_notes",
        ],
    ),
    ("drop", OTHER, &["DROP TABLE fixture_000.fixture_000_notes"]),
    ("truncate", OTHER, &["TRUNCATE fixture_000.fixture_000_notes"]),
    ("lock", OTHER, &["LOCK TABLE fixture_000.fixture_000_notes"]),
    ("explain", OTHER, &["EXPLAIN ANALYZE DELETE FROM fixture_000.fixture_000_notes"]),
    ("copy out", OTHER, &["COPY fixture_000.fixture_000_notes TO STDOUT"]),
    ("do", OTHER, &["DO $$ BEGIN DELETE FROM fixture_000.fixture_000_notes; END $$"]),
    ("grant", OTHER, &["GRANT ALL ON fixture_000.fixture_000_notes TO PUBLIC"]),
    ("owner", OTHER, &["ALTER TABLE fixture_000.fixture_000_notes OWNER TO CURRENT_USER"]),
    (
        "comments",
        OTHER,
        &["/* a /* b */ */ SELECT/**/text -- c\rFROM/**/fixture_000.fixture_000_notes"],
    ),
    ("two statements", OTHER, &["SELECT 1; DELETE FROM fixture_000.fixture_000_notes"]),
    ("two statements, own", PLATFORM, &["SELECT 1; SELECT 2"]),
    ("behind a comment", PLATFORM, &["-- x\rSET ROLE postgres"]),
    ("accounts", CORE, &["SELECT name FROM core_accounts"]),
    ("accounts' ids", CORE, &["SELECT id FROM core.core_accounts"]),
    ("users", CORE, &["SELECT email FROM core.core_users"]),
    ("tokens", CORE, &["SELECT hash FROM core_tokens"]),
    ("secrets", CORE, &["SELECT ciphertext FROM core_secrets"]),
    (
        "roles",
        CORE,
        &["UPDATE core_roles SET extension = 'fixture-000' WHERE extension = 'hostile'"],
    ),
    ("flags", CORE, &["UPDATE core_flag_gates SET value = 'false'"]),
    ("audit", CORE, &["DELETE FROM core_audit"]),
    ("ledger", CORE, &["DELETE FROM core_migrations"]),
    ("temporary shadow", CORE, &["SELECT 1 AS id INTO TEMP core_accounts"]),
    ("temporary table", CORE, &["CREATE TEMP TABLE core_accounts (id UUID)"]),
    ("set role", PLATFORM, &["SET ROLE postgres"]),
    ("reset role", PLATFORM, &["RESET ROLE"]),
    ("reset all", PLATFORM, &["RESET ALL"]),
    ("set role by a function", PLATFORM, &["SELECT set_config('role', 'postgres', false)"]),
    ("session authorization", PLATFORM, &["SET SESSION AUTHORIZATION postgres"]),
    (
        "session authorization by a function",
        PLATFORM,
        &["SELECT set_config('session_authorization', 'postgres', false)"],
    ),
    ("search_path", OTHER, &["SET search_path TO fixture_000"]),
    ("copy to a file", PLATFORM, &["COPY hostile_items TO '/tmp/powernode-copy'"]),
    ("copy to a program", PLATFORM, &["COPY hostile_items TO PROGRAM 'cat'"]),
    (
        "function",
        PLATFORM,
        &["CREATE FUNCTION hostile_f() RETURNS INT LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'"],
    ),
    ("call", PLATFORM, &["CALL hostile_p()"]),
    ("schema", PLATFORM, &["CREATE SCHEMA hostile_more"]),
    ("role", PLATFORM, &["ALTER ROLE CURRENT_USER SUPERUSER"]),
    ("extension", PLATFORM, &["CREATE EXTENSION dblink"]),
    ("default privileges", PLATFORM, &["ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC"]),
    ("listen", PLATFORM, &["LISTEN flags"]),
    ("notify", PLATFORM, &["NOTIFY flags"]),
    ("prepare", PLATFORM, &["PREPARE x AS SELECT 1"]),
    ("begin", PLATFORM, &["BEGIN"]),
    ("commit", PLATFORM, &["COMMIT"]),
    ("vacuum", PLATFORM, &["VACUUM"]),
    ("load", PLATFORM, &["LOAD 'auto_explain'"]),
    ("catalog write", DATABASE, &["UPDATE pg_class SET relowner = 10"]),
    ("rights in the catalog", DATABASE, &["UPDATE pg_authid SET rolsuper = true"]),
    ("passwords", DATABASE, &["SELECT rolpassword FROM pg_authid"]),
    ("passwords, by the view", DATABASE, &["SELECT passwd FROM pg_shadow"]),
    ("statistics of values", DATABASE, &["SELECT * FROM pg_statistic"]),
    ("file", DATABASE, &["SELECT pg_read_file('/etc/passwd')"]),
    ("directory", DATABASE, &["SELECT pg_ls_dir('/')"]),
    ("log", DATABASE, &["SELECT pg_current_logfile()"]),
    ("reload", DATABASE, &["SELECT pg_reload_conf()"]),
    (
        "end others",
        DATABASE,
        &["SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'postgres'"],
    ),
    ("large object from a file", PLATFORM, &["SELECT lo_import('/etc/passwd')"]),
    ("large object of another", PLATFORM, &["SELECT lo_get(4711)"]),
    ("large object written", PLATFORM, &["SELECT lo_put(4711, 0, 'x')"]),
    ("large object removed", PLATFORM, &["SELECT lo_unlink(4711)"]),
];

pub(super) const MIGRATIONS: &[Attempt] = &[
    ("copy", OTHER, &["CREATE TABLE hostile_more AS SELECT * FROM fixture_000.fixture_000_notes"]),
    ("read", OTHER, &["SELECT text FROM fixture_000_notes"]),
    ("view", OTHER, &["CREATE VIEW hostile_v AS SELECT text FROM fixture_000.fixture_000_notes"]),
    (
        "materialized view",
        OTHER,
        &["CREATE MATERIALIZED VIEW hostile_v AS TABLE fixture_000.fixture_000_notes"],
    ),
    (
        "trigger",
        OTHER,
        &["CREATE TRIGGER hostile_t BEFORE UPDATE ON fixture_000.fixture_000_notes \
           FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()"],
    ),
    (
        "rule",
        OTHER,
        &["CREATE RULE hostile_r AS ON INSERT TO fixture_000.fixture_000_notes DO INSTEAD NOTHING"],
    ),
    ("policy", OTHER, &["CREATE POLICY hostile_p ON fixture_000.fixture_000_notes USING (true)"]),
    (
        "foreign key",
        OTHER,
        &["CREATE TABLE hostile_more (id UUID REFERENCES fixture_000.fixture_000_notes (id))"],
    ),
    ("inherits", OTHER, &["CREATE TABLE hostile_more () INHERITS (fixture_000.fixture_000_notes)"]),
    ("like", OTHER, &["CREATE TABLE hostile_more (LIKE fixture_000.fixture_000_notes)"]),
    ("index", OTHER, &["CREATE INDEX hostile_i ON fixture_000.fixture_000_notes (text)"]),
    (
        "insert",
        OTHER,
        &["INSERT INTO fixture_000.fixture_000_notes (id, text) VALUES (gen_random_uuid(), 'x')"],
    ),
    ("update", OTHER, &["UPDATE fixture_000.fixture_000_notes SET text = 'x'"]),
    ("delete", OTHER, &["DELETE FROM fixture_000.fixture_000_notes"]),
    ("drop", OTHER, &["DROP TABLE fixture_000.fixture_000_notes"]),
    ("drop schema", OTHER, &["DROP SCHEMA fixture_000 CASCADE"]),
    ("truncate", OTHER, &["TRUNCATE fixture_000.fixture_000_notes"]),
    ("lock", OTHER, &["LOCK TABLE fixture_000.fixture_000_notes"]),
    ("rename", OTHER, &["ALTER TABLE fixture_000.fixture_000_notes RENAME TO hostile_notes"]),
    ("owner", OTHER, &["ALTER TABLE fixture_000.fixture_000_notes OWNER TO CURRENT_USER"]),
    ("into another's schema", OTHER, &["ALTER TABLE hostile_items SET SCHEMA fixture_000"]),
    ("in another's schema", OTHER, &["CREATE TABLE fixture_000.hostile_more (id INT)"]),
    ("do", OTHER, &["DO $$ BEGIN DELETE FROM fixture_000.fixture_000_notes; END $$"]),
    (
        "do, put together",
        OTHER,
        &[
            "DO $$ BEGIN EXECUTE 'DEL' || 'ETE FROM fixture' || '_000.fixture' || '_000_notes'; END $$",
        ],
    ),
    ("two statements", OTHER, &["SELECT 1; DELETE FROM fixture_000.fixture_000_notes"]),
    ("comments", OTHER, &["/* ; */ DELETE -- x\nFROM/**/fixture_000.fixture_000_notes"]),
    ("copy of another's", OTHER, &["COPY fixture_000.fixture_000_notes TO STDOUT"]),
    (
        "rights on another's",
        OTHER,
        &["DO $$ BEGIN GRANT ALL ON fixture_000.fixture_000_notes TO PUBLIC; END $$"],
    ),
    ("users", CORE, &["UPDATE core_users SET name = 'owned'"]),
    ("ledger", CORE, &["DELETE FROM core_migrations"]),
    ("roles", CORE, &["INSERT INTO core_roles (role, extension) VALUES ('postgres', 'x')"]),
    ("core's table dropped", CORE, &["DROP TABLE core_tokens"]),
    ("core's table altered", CORE, &["ALTER TABLE core_users DISABLE ROW LEVEL SECURITY"]),
    (
        "foreign key to the core",
        CORE,
        &["CREATE TABLE hostile_more (x TEXT REFERENCES core_flags (name))"],
    ),
    (
        "view of the core's",
        CORE,
        &["CREATE VIEW hostile_v AS SELECT email FROM core_users; SELECT * FROM hostile_v"],
    ),
    ("core's schema", CORE, &["CREATE TABLE core.core_more (id INT)"]),
    (
        "core's function",
        CORE,
        &["ALTER FUNCTION core.core_book(text, text, text) SECURITY INVOKER"],
    ),
    (
        "trigger on the core's",
        CORE,
        &[
            "CREATE TRIGGER hostile_t BEFORE UPDATE ON core_users FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        ],
    ),
    ("temporary shadow", CORE, &["CREATE TEMP TABLE core_accounts (id UUID)"]),
    ("public", PLATFORM, &["CREATE TABLE public.hostile_more (id INT)"]),
    ("function", PLATFORM, &["CREATE FUNCTION hostile_f() RETURNS INT LANGUAGE sql AS 'SELECT 1'"]),
    (
        "function of the definer",
        PLATFORM,
        &["CREATE FUNCTION hostile_f() RETURNS INT LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'"],
    ),
    (
        "function by do",
        PLATFORM,
        &["DO $$ BEGIN CREATE FUNCTION hostile_f() RETURNS INT LANGUAGE sql AS 'SELECT 1'; END $$"],
    ),
    ("rights on its own", PLATFORM, &["DO $$ BEGIN GRANT ALL ON hostile_items TO PUBLIC; END $$"]),
    ("grant", PLATFORM, &["GRANT ALL ON hostile_items TO PUBLIC"]),
    ("default privileges", PLATFORM, &["ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC"]),
    ("its owner", PLATFORM, &["ALTER TABLE hostile_items OWNER TO postgres"]),
    ("set role", PLATFORM, &["SET ROLE postgres"]),
    ("set role by do", PLATFORM, &["DO $$ BEGIN SET ROLE postgres; END $$"]),
    ("reset", PLATFORM, &["RESET ROLE"]),
    ("session authorization", PLATFORM, &["SET SESSION AUTHORIZATION postgres"]),
    (
        "session authorization by do",
        PLATFORM,
        &["DO $$ BEGIN SET SESSION AUTHORIZATION postgres; END $$"],
    ),
    ("search_path", OTHER, &["SET search_path TO fixture_000"]),
    ("commit", PLATFORM, &["COMMIT; CREATE TABLE hostile_more (id INT)"]),
    ("commit by do", PLATFORM, &["DO $$ BEGIN COMMIT; END $$"]),
    ("copy from a program", PLATFORM, &["COPY hostile_items FROM PROGRAM 'echo 1'"]),
    ("copy from the client", PLATFORM, &["COPY hostile_items FROM STDIN"]),
    ("copy by do", DATABASE, &["DO $$ BEGIN COPY hostile_items TO '/tmp/powernode-copy'; END $$"]),
    ("schema", PLATFORM, &["CREATE SCHEMA hostile_more"]),
    ("drop its schema", PLATFORM, &["DROP SCHEMA hostile CASCADE"]),
    ("extension", PLATFORM, &["CREATE EXTENSION dblink"]),
    ("role", PLATFORM, &["CREATE ROLE hostile_more"]),
    ("superuser", PLATFORM, &["ALTER ROLE CURRENT_USER SUPERUSER"]),
    (
        "its own settings by do",
        PLATFORM,
        &["DO $$ BEGIN EXECUTE 'ALTER ROLE CURRENT_USER SET statement_timeout = 1'; END $$"],
    ),
    (
        "its own search path by do",
        OTHER,
        &["DO $$ BEGIN ALTER ROLE CURRENT_USER SET search_path = fixture_000; END $$"],
    ),
    ("database", PLATFORM, &["-- powernode: no-transaction\n", "CREATE DATABASE hostile_more"]),
    (
        "system",
        PLATFORM,
        &["-- powernode: no-transaction\n", "ALTER SYSTEM SET log_statement = 'all'"],
    ),
    (
        "event trigger",
        PLATFORM,
        &["CREATE EVENT TRIGGER hostile_t ON ddl_command_start EXECUTE FUNCTION hostile_f()"],
    ),
    ("publication", PLATFORM, &["CREATE PUBLICATION hostile_p FOR ALL TABLES"]),
    ("foreign server", PLATFORM, &["CREATE FOREIGN DATA WRAPPER hostile_w"]),
    ("nobody's name", PLATFORM, &["CREATE TABLE other (id INT)"]),
    ("file", DATABASE, &["SELECT pg_read_file('/etc/passwd')"]),
    ("catalog write", DATABASE, &["UPDATE pg_class SET relowner = 10"]),
];
