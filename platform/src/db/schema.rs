//! The core's tables, as diesel sees them on both engines.
//!
//! The SQL stands in `/migrations`. Types are PostgreSQL's; on SQLite a `Uuid`
//! is 16 bytes, a `Timestamptz` and a `Jsonb` are text, a `Bool` is a number.

#![allow(missing_docs, reason = "`table!` generates undocumented items")]
#![allow(clippy::allow_attributes, reason = "what is generated differs between lints")]

diesel::table! {
    use diesel::sql_types::*;
    use diesel::pg::sql_types::{Timestamptz, Uuid};
    /// Whom everything belongs to.
    core_accounts (id) {
        id -> Uuid,
        name -> Text,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use diesel::pg::sql_types::{Timestamptz, Uuid};
    /// People; an address is unique within its account.
    core_users (id) {
        id -> Uuid,
        account_id -> Uuid,
        email -> Text,
        name -> Text,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use diesel::pg::sql_types::{Jsonb, Timestamptz, Uuid};
    /// API tokens, hashed.
    core_tokens (id) {
        id -> Uuid,
        account_id -> Uuid,
        user_id -> Nullable<Uuid>,
        name -> Text,
        prefix -> Text,
        hash -> Text,
        scopes -> Jsonb,
        expires_at -> Nullable<Timestamptz>,
        revoked_at -> Nullable<Timestamptz>,
        last_used_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use diesel::pg::sql_types::Timestamptz;
    /// Flags that exist; `chosen` once an operator decided.
    core_flags (name) {
        name -> Text,
        created_at -> Timestamptz,
        description -> Text,
        chosen -> Bool,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use diesel::pg::sql_types::Timestamptz;
    /// The gates of flags.
    core_flag_gates (flag, kind, value) {
        flag -> Text,
        kind -> Text,
        value -> Text,
        updated_at -> Timestamptz,
        updated_by -> Text,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use diesel::pg::sql_types::Timestamptz;
    /// Who did what, hash-chained; `before` and `after` are JSON in the very text that was hashed.
    core_audit (seq) {
        seq -> BigInt,
        at -> Timestamptz,
        actor -> Text,
        action -> Text,
        subject -> Text,
        before -> Nullable<Text>,
        after -> Nullable<Text>,
        request_id -> Nullable<Text>,
        previous_hash -> Text,
        hash -> Text,
    }
}

diesel::table! {
    /// Counters that nodes poll to learn that something changed.
    core_epoch (name) {
        name -> Text,
        value -> BigInt,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use diesel::pg::sql_types::Timestamptz;
    /// The key-value service of extensions.
    core_kv (extension, key) {
        extension -> Text,
        key -> Text,
        value -> Binary,
        expires_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use diesel::pg::sql_types::Timestamptz;
    /// Secrets of extensions, encrypted.
    core_secrets (extension, name) {
        extension -> Text,
        name -> Text,
        key_id -> Text,
        nonce -> Binary,
        ciphertext -> Binary,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use diesel::pg::sql_types::Timestamptz;
    /// Extensions that were put aside, until an operator releases them.
    core_quarantine (extension) {
        extension -> Text,
        reason -> Text,
        at -> Timestamptz,
        count -> BigInt,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use diesel::pg::sql_types::Timestamptz;
    /// The migrations that ran; the migrator writes it.
    core_migrations (extension, version) {
        extension -> Text,
        version -> Text,
        name -> Text,
        checksum -> Text,
        run_at -> Timestamptz,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use diesel::pg::sql_types::{Jsonb, Timestamptz, Uuid};
    /// Where accounts want events sent.
    core_webhooks (id) {
        id -> Uuid,
        account_id -> Uuid,
        url -> Text,
        description -> Text,
        topics -> Jsonb,
        enabled -> Bool,
        disabled_reason -> Nullable<Text>,
        failures -> BigInt,
        trips -> BigInt,
        paused_until -> Nullable<Timestamptz>,
        previous_until -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use diesel::pg::sql_types::{Timestamptz, Uuid};
    /// What was sent there, and what became of it.
    core_deliveries (id) {
        id -> Uuid,
        webhook_id -> Uuid,
        event -> Text,
        topic -> Text,
        body -> Text,
        state -> Text,
        attempts -> BigInt,
        status -> Nullable<BigInt>,
        error -> Nullable<Text>,
        response -> Nullable<Text>,
        took_ms -> Nullable<BigInt>,
        attempted_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
    }
}

diesel::joinable!(core_users -> core_accounts (account_id));
diesel::joinable!(core_tokens -> core_accounts (account_id));
diesel::joinable!(core_webhooks -> core_accounts (account_id));
diesel::joinable!(core_deliveries -> core_webhooks (webhook_id));
diesel::allow_tables_to_appear_in_same_query!(
    core_accounts,
    core_users,
    core_tokens,
    core_flags,
    core_flag_gates,
    core_audit,
    core_epoch,
    core_kv,
    core_secrets,
    core_quarantine,
    core_migrations,
    core_webhooks,
    core_deliveries,
);
