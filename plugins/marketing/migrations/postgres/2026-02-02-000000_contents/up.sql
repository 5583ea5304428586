CREATE TABLE marketing_campaign_contents (
    id uuid NOT NULL PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES core_accounts (id),
    marketing_campaign_id uuid NOT NULL REFERENCES marketing_campaigns (id) ON DELETE CASCADE,
    channel text NOT NULL,
    variant_name text NOT NULL,
    subject text NOT NULL,
    body text NOT NULL,
    preview_text text NOT NULL,
    media_urls jsonb NOT NULL,
    cta_text text NOT NULL,
    cta_url text NOT NULL,
    platform_specific jsonb NOT NULL,
    ai_generated boolean NOT NULL,
    status text NOT NULL,
    approved_by uuid REFERENCES core_users (id),
    approved_at timestamptz,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    UNIQUE (marketing_campaign_id, channel, variant_name)
);
CREATE INDEX marketing_campaign_contents_account ON marketing_campaign_contents (account_id);
CREATE INDEX marketing_campaign_contents_approver ON marketing_campaign_contents (approved_by);
