-- Tokens are not here: they lie encrypted in the platform's secrets.
CREATE TABLE marketing_social_accounts (
    id uuid NOT NULL PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES core_accounts (id),
    platform text NOT NULL,
    platform_account_id text NOT NULL,
    username text NOT NULL,
    scopes jsonb NOT NULL,
    status text NOT NULL,
    last_error text NOT NULL,
    token_expires_at timestamptz,
    last_tested_at timestamptz,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    UNIQUE (account_id, platform, platform_account_id)
);
