-- Tokens are not here: they lie encrypted in the platform's secrets.
CREATE TABLE marketing_social_accounts (
    id BLOB NOT NULL PRIMARY KEY,
    account_id BLOB NOT NULL REFERENCES core_accounts (id),
    platform TEXT NOT NULL,
    platform_account_id TEXT NOT NULL,
    username TEXT NOT NULL,
    scopes TEXT NOT NULL,
    status TEXT NOT NULL,
    last_error TEXT NOT NULL,
    token_expires_at TEXT,
    last_tested_at TEXT,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    UNIQUE (account_id, platform, platform_account_id)
);
