-- The core's own tables. Ids are UUIDs in 16 bytes, moments are UTC text, JSON is text.

CREATE TABLE core_accounts (
    id BLOB NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    created_at TEXT NOT NULL
);

CREATE TABLE core_users (
    id BLOB NOT NULL PRIMARY KEY,
    account_id BLOB NOT NULL REFERENCES core_accounts (id),
    email TEXT NOT NULL,
    name TEXT NOT NULL,
    created_at TEXT NOT NULL,
    UNIQUE (account_id, email)
);

-- `prefix` is the shown part of a token; the token itself is kept nowhere.
CREATE TABLE core_tokens (
    id BLOB NOT NULL PRIMARY KEY,
    account_id BLOB NOT NULL REFERENCES core_accounts (id),
    user_id BLOB REFERENCES core_users (id),
    name TEXT NOT NULL,
    prefix TEXT NOT NULL,
    hash TEXT NOT NULL UNIQUE,
    scopes TEXT NOT NULL,
    expires_at TEXT,
    revoked_at TEXT,
    last_used_at TEXT,
    created_at TEXT NOT NULL
);
CREATE INDEX core_tokens_account ON core_tokens (account_id);
CREATE INDEX core_tokens_user ON core_tokens (user_id);

-- `chosen` once an operator decided: a restart then changes nothing.
CREATE TABLE core_flags (
    name TEXT NOT NULL PRIMARY KEY,
    created_at TEXT NOT NULL,
    description TEXT NOT NULL DEFAULT '',
    chosen BOOLEAN NOT NULL DEFAULT 0
);

CREATE TABLE core_flag_gates (
    flag TEXT NOT NULL,
    kind TEXT NOT NULL,
    value TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    updated_by TEXT NOT NULL,
    PRIMARY KEY (flag, kind, value)
);

-- `before` and `after` are JSON in the very text that was hashed.
CREATE TABLE core_audit (
    seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    at TEXT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    before TEXT,
    after TEXT,
    request_id TEXT,
    previous_hash TEXT NOT NULL,
    hash TEXT NOT NULL
);

-- Counters that nodes poll to learn that something changed.
CREATE TABLE core_epoch (
    name TEXT NOT NULL PRIMARY KEY,
    value BIGINT NOT NULL
);

CREATE TABLE core_kv (
    extension TEXT NOT NULL,
    key TEXT NOT NULL,
    value BLOB NOT NULL,
    expires_at TEXT,
    PRIMARY KEY (extension, key)
);
CREATE INDEX core_kv_expiry ON core_kv (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE core_secrets (
    extension TEXT NOT NULL,
    name TEXT NOT NULL,
    key_id TEXT NOT NULL,
    nonce BLOB NOT NULL,
    ciphertext BLOB NOT NULL,
    updated_at TEXT NOT NULL,
    PRIMARY KEY (extension, name)
);

CREATE TABLE core_quarantine (
    extension TEXT NOT NULL PRIMARY KEY,
    reason TEXT NOT NULL,
    at TEXT NOT NULL,
    count BIGINT NOT NULL
);
