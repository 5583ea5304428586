-- One row for what one campaign did on one channel on one day.
CREATE TABLE marketing_campaign_metrics (
    id BLOB NOT NULL PRIMARY KEY,
    account_id BLOB NOT NULL REFERENCES core_accounts (id),
    marketing_campaign_id BLOB NOT NULL REFERENCES marketing_campaigns (id) ON DELETE CASCADE,
    channel TEXT NOT NULL,
    measured_on TEXT NOT NULL,
    sends BIGINT NOT NULL CHECK (sends >= 0),
    deliveries BIGINT NOT NULL CHECK (deliveries >= 0),
    opens BIGINT NOT NULL CHECK (opens >= 0),
    unique_opens BIGINT NOT NULL CHECK (unique_opens >= 0),
    clicks BIGINT NOT NULL CHECK (clicks >= 0),
    conversions BIGINT NOT NULL CHECK (conversions >= 0),
    unsubscribes BIGINT NOT NULL CHECK (unsubscribes >= 0),
    bounces BIGINT NOT NULL CHECK (bounces >= 0),
    impressions BIGINT NOT NULL CHECK (impressions >= 0),
    engagements BIGINT NOT NULL CHECK (engagements >= 0),
    reach BIGINT NOT NULL CHECK (reach >= 0),
    revenue_cents BIGINT NOT NULL CHECK (revenue_cents >= 0),
    cost_cents BIGINT NOT NULL CHECK (cost_cents >= 0),
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    UNIQUE (marketing_campaign_id, channel, measured_on)
);
CREATE INDEX marketing_campaign_metrics_days ON marketing_campaign_metrics (account_id, measured_on);
