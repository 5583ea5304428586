-- Webhooks: where accounts want events sent, and what became of each delivery. Their secrets lie in core_secrets.

CREATE TABLE core_webhooks (
    id BLOB NOT NULL PRIMARY KEY,
    account_id BLOB NOT NULL REFERENCES core_accounts (id),
    url TEXT NOT NULL,
    description TEXT NOT NULL,
    -- A JSON list of patterns.
    topics TEXT NOT NULL,
    enabled BOOLEAN NOT NULL,
    -- Why it was switched off, where nobody did it by hand.
    disabled_reason TEXT,
    -- How often it failed in a row, and how often that stopped it since it answered last.
    failures BIGINT NOT NULL DEFAULT 0,
    trips BIGINT NOT NULL DEFAULT 0,
    paused_until TEXT,
    -- Until when the secret before the last rotation signs too.
    previous_until TEXT,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
);
CREATE INDEX core_webhooks_account ON core_webhooks (account_id);

-- `body` is what is sent, to the byte. One delivery for each event, however often the event comes.
CREATE TABLE core_deliveries (
    id BLOB NOT NULL PRIMARY KEY,
    webhook_id BLOB NOT NULL REFERENCES core_webhooks (id) ON DELETE CASCADE,
    event TEXT NOT NULL,
    topic TEXT NOT NULL,
    body TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'delivered', 'failed')),
    attempts BIGINT NOT NULL DEFAULT 0,
    status BIGINT,
    error TEXT,
    response TEXT,
    took_ms BIGINT,
    attempted_at TEXT,
    created_at TEXT NOT NULL,
    UNIQUE (webhook_id, event)
);
CREATE INDEX core_deliveries_webhook ON core_deliveries (webhook_id, id);
CREATE INDEX core_deliveries_created ON core_deliveries (created_at);
