CREATE TABLE marketing_campaigns (
    id BLOB NOT NULL PRIMARY KEY,
    account_id BLOB NOT NULL REFERENCES core_accounts (id),
    user_id BLOB REFERENCES core_users (id),
    name TEXT NOT NULL,
    slug TEXT NOT NULL,
    description TEXT NOT NULL,
    campaign_type TEXT NOT NULL,
    status TEXT NOT NULL,
    channels TEXT NOT NULL,
    budget_cents BIGINT NOT NULL CHECK (budget_cents >= 0),
    currency TEXT NOT NULL,
    target_audience TEXT NOT NULL,
    tags TEXT NOT NULL,
    settings TEXT NOT NULL,
    scheduled_at TEXT,
    started_at TEXT,
    paused_at TEXT,
    completed_at TEXT,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    UNIQUE (account_id, name),
    UNIQUE (account_id, slug)
);
CREATE INDEX marketing_campaigns_account_status ON marketing_campaigns (account_id, status);
CREATE INDEX marketing_campaigns_user ON marketing_campaigns (user_id);
