CREATE TABLE marketing_email_lists (
    id BLOB NOT NULL PRIMARY KEY,
    account_id BLOB NOT NULL REFERENCES core_accounts (id),
    name TEXT NOT NULL,
    slug TEXT NOT NULL,
    double_opt_in BOOLEAN NOT NULL,
    welcome_subject TEXT NOT NULL,
    welcome_body TEXT NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    UNIQUE (account_id, slug)
);

CREATE TABLE marketing_email_subscribers (
    id BLOB NOT NULL PRIMARY KEY,
    account_id BLOB NOT NULL REFERENCES core_accounts (id),
    marketing_email_list_id BLOB NOT NULL REFERENCES marketing_email_lists (id) ON DELETE CASCADE,
    email TEXT NOT NULL,
    first_name TEXT NOT NULL,
    last_name TEXT NOT NULL,
    source TEXT NOT NULL,
    tags TEXT NOT NULL,
    custom_fields TEXT NOT NULL,
    preferences TEXT NOT NULL,
    status TEXT NOT NULL,
    subscribed_at TEXT,
    unsubscribed_at TEXT,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    UNIQUE (marketing_email_list_id, email)
);
CREATE INDEX marketing_email_subscribers_account ON marketing_email_subscribers (account_id);
CREATE INDEX marketing_email_subscribers_status
    ON marketing_email_subscribers (marketing_email_list_id, status);

-- A ledger: how often an address bounced is counted here.
CREATE TABLE marketing_email_bounces (
    id BLOB NOT NULL PRIMARY KEY,
    account_id BLOB NOT NULL REFERENCES core_accounts (id),
    marketing_email_subscriber_id BLOB NOT NULL
        REFERENCES marketing_email_subscribers (id) ON DELETE CASCADE,
    reason TEXT NOT NULL,
    bounced_at TEXT NOT NULL
);
CREATE INDEX marketing_email_bounces_account ON marketing_email_bounces (account_id);
CREATE INDEX marketing_email_bounces_subscriber
    ON marketing_email_bounces (marketing_email_subscriber_id);

-- Which lists a campaign goes to.
CREATE TABLE marketing_campaign_email_lists (
    marketing_campaign_id BLOB NOT NULL REFERENCES marketing_campaigns (id) ON DELETE CASCADE,
    marketing_email_list_id BLOB NOT NULL REFERENCES marketing_email_lists (id) ON DELETE CASCADE,
    PRIMARY KEY (marketing_campaign_id, marketing_email_list_id)
);
CREATE INDEX marketing_campaign_email_lists_list
    ON marketing_campaign_email_lists (marketing_email_list_id);
