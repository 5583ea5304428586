CREATE TABLE marketing_campaign_contents (
    id BLOB NOT NULL PRIMARY KEY,
    account_id BLOB NOT NULL REFERENCES core_accounts (id),
    marketing_campaign_id BLOB NOT NULL REFERENCES marketing_campaigns (id) ON DELETE CASCADE,
    channel TEXT NOT NULL,
    variant_name TEXT NOT NULL,
    subject TEXT NOT NULL,
    body TEXT NOT NULL,
    preview_text TEXT NOT NULL,
    media_urls TEXT NOT NULL,
    cta_text TEXT NOT NULL,
    cta_url TEXT NOT NULL,
    platform_specific TEXT NOT NULL,
    ai_generated BOOLEAN NOT NULL,
    status TEXT NOT NULL,
    approved_by BLOB REFERENCES core_users (id),
    approved_at TEXT,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    UNIQUE (marketing_campaign_id, channel, variant_name)
);
CREATE INDEX marketing_campaign_contents_account ON marketing_campaign_contents (account_id);
CREATE INDEX marketing_campaign_contents_approver ON marketing_campaign_contents (approved_by);
