CREATE TABLE marketing_calendar_entries (
    id uuid NOT NULL PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES core_accounts (id),
    user_id uuid REFERENCES core_users (id),
    marketing_campaign_id uuid REFERENCES marketing_campaigns (id) ON DELETE SET NULL,
    title text NOT NULL,
    description text NOT NULL,
    entry_type text NOT NULL,
    status text NOT NULL,
    scheduled_date date NOT NULL,
    scheduled_time time,
    color text NOT NULL,
    recurrence_rule text,
    -- The last day on which it occurs; none where it recurs for ever.
    ends_on date,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE INDEX marketing_calendar_entries_days
    ON marketing_calendar_entries (account_id, scheduled_date, ends_on);
CREATE INDEX marketing_calendar_entries_campaign
    ON marketing_calendar_entries (marketing_campaign_id);
CREATE INDEX marketing_calendar_entries_user ON marketing_calendar_entries (user_id);
