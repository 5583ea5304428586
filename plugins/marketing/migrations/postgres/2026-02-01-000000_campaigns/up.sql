CREATE TABLE marketing_campaigns (
    id uuid NOT NULL PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES core_accounts (id),
    user_id uuid REFERENCES core_users (id),
    name text NOT NULL,
    slug text NOT NULL,
    description text NOT NULL,
    campaign_type text NOT NULL,
    status text NOT NULL,
    channels jsonb NOT NULL,
    budget_cents bigint NOT NULL CHECK (budget_cents >= 0),
    currency text NOT NULL,
    target_audience jsonb NOT NULL,
    tags jsonb NOT NULL,
    settings jsonb NOT NULL,
    scheduled_at timestamptz,
    started_at timestamptz,
    paused_at timestamptz,
    completed_at timestamptz,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    UNIQUE (account_id, name),
    UNIQUE (account_id, slug)
);
CREATE INDEX marketing_campaigns_account_status ON marketing_campaigns (account_id, status);
CREATE INDEX marketing_campaigns_user ON marketing_campaigns (user_id);
