CREATE TABLE marketing_email_lists (
    id uuid NOT NULL PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES core_accounts (id),
    name text NOT NULL,
    slug text NOT NULL,
    double_opt_in boolean NOT NULL,
    welcome_subject text NOT NULL,
    welcome_body text NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    UNIQUE (account_id, slug)
);

CREATE TABLE marketing_email_subscribers (
    id uuid NOT NULL PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES core_accounts (id),
    marketing_email_list_id uuid NOT NULL REFERENCES marketing_email_lists (id) ON DELETE CASCADE,
    email text NOT NULL,
    first_name text NOT NULL,
    last_name text NOT NULL,
    source text NOT NULL,
    tags jsonb NOT NULL,
    custom_fields jsonb NOT NULL,
    preferences jsonb NOT NULL,
    status text NOT NULL,
    subscribed_at timestamptz,
    unsubscribed_at timestamptz,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    UNIQUE (marketing_email_list_id, email)
);
CREATE INDEX marketing_email_subscribers_account ON marketing_email_subscribers (account_id);
CREATE INDEX marketing_email_subscribers_status
    ON marketing_email_subscribers (marketing_email_list_id, status);

-- A ledger: how often an address bounced is counted here.
CREATE TABLE marketing_email_bounces (
    id uuid NOT NULL PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES core_accounts (id),
    marketing_email_subscriber_id uuid NOT NULL
        REFERENCES marketing_email_subscribers (id) ON DELETE CASCADE,
    reason text NOT NULL,
    bounced_at timestamptz NOT NULL
);
CREATE INDEX marketing_email_bounces_account ON marketing_email_bounces (account_id);
CREATE INDEX marketing_email_bounces_subscriber
    ON marketing_email_bounces (marketing_email_subscriber_id);

-- Which lists a campaign goes to.
CREATE TABLE marketing_campaign_email_lists (
    marketing_campaign_id uuid NOT NULL REFERENCES marketing_campaigns (id) ON DELETE CASCADE,
    marketing_email_list_id uuid NOT NULL REFERENCES marketing_email_lists (id) ON DELETE CASCADE,
    PRIMARY KEY (marketing_campaign_id, marketing_email_list_id)
);
CREATE INDEX marketing_campaign_email_lists_list
    ON marketing_campaign_email_lists (marketing_email_list_id);
