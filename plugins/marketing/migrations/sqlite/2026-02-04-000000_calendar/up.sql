CREATE TABLE marketing_calendar_entries (
    id BLOB NOT NULL PRIMARY KEY,
    account_id BLOB NOT NULL REFERENCES core_accounts (id),
    user_id BLOB REFERENCES core_users (id),
    marketing_campaign_id BLOB REFERENCES marketing_campaigns (id) ON DELETE SET NULL,
    title TEXT NOT NULL,
    description TEXT NOT NULL,
    entry_type TEXT NOT NULL,
    status TEXT NOT NULL,
    scheduled_date TEXT NOT NULL,
    scheduled_time TEXT,
    color TEXT NOT NULL,
    recurrence_rule TEXT,
    -- The last day on which it occurs; none where it recurs for ever.
    ends_on TEXT,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
);
CREATE INDEX marketing_calendar_entries_days
    ON marketing_calendar_entries (account_id, scheduled_date, ends_on);
CREATE INDEX marketing_calendar_entries_campaign
    ON marketing_calendar_entries (marketing_campaign_id);
CREATE INDEX marketing_calendar_entries_user ON marketing_calendar_entries (user_id);
