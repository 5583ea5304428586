-- One row for what one campaign did on one channel on one day.
CREATE TABLE marketing_campaign_metrics (
    id uuid NOT NULL PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES core_accounts (id),
    marketing_campaign_id uuid NOT NULL REFERENCES marketing_campaigns (id) ON DELETE CASCADE,
    channel text NOT NULL,
    measured_on date NOT NULL,
    sends bigint NOT NULL CHECK (sends >= 0),
    deliveries bigint NOT NULL CHECK (deliveries >= 0),
    opens bigint NOT NULL CHECK (opens >= 0),
    unique_opens bigint NOT NULL CHECK (unique_opens >= 0),
    clicks bigint NOT NULL CHECK (clicks >= 0),
    conversions bigint NOT NULL CHECK (conversions >= 0),
    unsubscribes bigint NOT NULL CHECK (unsubscribes >= 0),
    bounces bigint NOT NULL CHECK (bounces >= 0),
    impressions bigint NOT NULL CHECK (impressions >= 0),
    engagements bigint NOT NULL CHECK (engagements >= 0),
    reach bigint NOT NULL CHECK (reach >= 0),
    revenue_cents bigint NOT NULL CHECK (revenue_cents >= 0),
    cost_cents bigint NOT NULL CHECK (cost_cents >= 0),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    UNIQUE (marketing_campaign_id, channel, measured_on)
);
CREATE INDEX marketing_campaign_metrics_days ON marketing_campaign_metrics (account_id, measured_on);
