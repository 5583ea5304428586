-- One going out of a campaign: its launch, or a day of the calendar.
CREATE TABLE marketing_sendings (
    id uuid NOT NULL PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES core_accounts (id),
    marketing_campaign_id uuid NOT NULL REFERENCES marketing_campaigns (id) ON DELETE CASCADE,
    -- `launch`, or the entry of the calendar and its day.
    occasion text NOT NULL,
    state text NOT NULL,
    -- The last address that was looked at: addresses are taken in their order.
    reached text NOT NULL,
    batches integer NOT NULL,
    created_at timestamptz NOT NULL,
    completed_at timestamptz,
    UNIQUE (marketing_campaign_id, occasion)
);
CREATE INDEX marketing_sendings_account ON marketing_sendings (account_id, state);

-- One e-mail to one address.
CREATE TABLE marketing_deliveries (
    id uuid NOT NULL PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES core_accounts (id),
    marketing_campaign_id uuid NOT NULL REFERENCES marketing_campaigns (id) ON DELETE CASCADE,
    marketing_sending_id uuid NOT NULL REFERENCES marketing_sendings (id) ON DELETE CASCADE,
    marketing_campaign_content_id uuid
        REFERENCES marketing_campaign_contents (id) ON DELETE SET NULL,
    marketing_email_subscriber_id uuid NOT NULL
        REFERENCES marketing_email_subscribers (id) ON DELETE CASCADE,
    email text NOT NULL,
    batch integer NOT NULL,
    state text NOT NULL,
    attempts integer NOT NULL,
    answer text NOT NULL,
    created_at timestamptz NOT NULL,
    claimed_at timestamptz,
    sent_at timestamptz,
    opened_at timestamptz,
    clicked_at timestamptz,
    bounced_at timestamptz,
    complained_at timestamptz,
    unsubscribed_at timestamptz,
    UNIQUE (marketing_sending_id, email)
);
CREATE INDEX marketing_deliveries_batch ON marketing_deliveries (marketing_sending_id, batch, id);
CREATE INDEX marketing_deliveries_campaign ON marketing_deliveries (marketing_campaign_id, state);
CREATE INDEX marketing_deliveries_content ON marketing_deliveries (marketing_campaign_content_id);
CREATE INDEX marketing_deliveries_subscriber ON marketing_deliveries (marketing_email_subscriber_id);
CREATE INDEX marketing_deliveries_account ON marketing_deliveries (account_id);

-- Where the counted links of a campaign's e-mails lead.
CREATE TABLE marketing_tracked_links (
    id uuid NOT NULL PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES core_accounts (id),
    marketing_campaign_id uuid NOT NULL REFERENCES marketing_campaigns (id) ON DELETE CASCADE,
    url text NOT NULL,
    UNIQUE (marketing_campaign_id, url)
);
CREATE INDEX marketing_tracked_links_account ON marketing_tracked_links (account_id);

-- One content on one account of a social platform.
CREATE TABLE marketing_social_posts (
    id uuid NOT NULL PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES core_accounts (id),
    marketing_campaign_id uuid NOT NULL REFERENCES marketing_campaigns (id) ON DELETE CASCADE,
    marketing_sending_id uuid NOT NULL REFERENCES marketing_sendings (id) ON DELETE CASCADE,
    marketing_campaign_content_id uuid NOT NULL
        REFERENCES marketing_campaign_contents (id) ON DELETE CASCADE,
    marketing_social_account_id uuid NOT NULL
        REFERENCES marketing_social_accounts (id) ON DELETE CASCADE,
    state text NOT NULL,
    attempts integer NOT NULL,
    answer text NOT NULL,
    created_at timestamptz NOT NULL,
    posted_at timestamptz,
    UNIQUE (marketing_sending_id, marketing_campaign_content_id, marketing_social_account_id)
);
CREATE INDEX marketing_social_posts_campaign ON marketing_social_posts (marketing_campaign_id);
CREATE INDEX marketing_social_posts_content
    ON marketing_social_posts (marketing_campaign_content_id);
CREATE INDEX marketing_social_posts_social ON marketing_social_posts (marketing_social_account_id);
CREATE INDEX marketing_social_posts_account ON marketing_social_posts (account_id);

-- The days on which an entry of the calendar came out.
CREATE TABLE marketing_calendar_publications (
    id uuid NOT NULL PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES core_accounts (id),
    marketing_calendar_entry_id uuid NOT NULL
        REFERENCES marketing_calendar_entries (id) ON DELETE CASCADE,
    occurs_on date NOT NULL,
    outcome text NOT NULL,
    published_at timestamptz NOT NULL,
    UNIQUE (marketing_calendar_entry_id, occurs_on)
);
CREATE INDEX marketing_calendar_publications_account ON marketing_calendar_publications (account_id);

-- How often the owner of an address was asked to confirm.
CREATE TABLE marketing_email_confirmations (
    marketing_email_subscriber_id uuid NOT NULL PRIMARY KEY
        REFERENCES marketing_email_subscribers (id) ON DELETE CASCADE,
    account_id uuid NOT NULL REFERENCES core_accounts (id),
    asked integer NOT NULL,
    asked_at timestamptz NOT NULL
);
CREATE INDEX marketing_email_confirmations_account ON marketing_email_confirmations (account_id);

CREATE INDEX marketing_email_subscribers_email ON marketing_email_subscribers (account_id, email);
CREATE INDEX marketing_campaigns_due ON marketing_campaigns (status, scheduled_at);
CREATE INDEX marketing_calendar_entries_due ON marketing_calendar_entries (status, scheduled_date);
CREATE INDEX marketing_social_accounts_expiry
    ON marketing_social_accounts (status, token_expires_at);
