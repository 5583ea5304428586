//! The tables, as diesel sees them.

diesel::table! {
    use powernode_plugin_api::db::sql_types::*;

    marketing_campaigns (id) {
        id -> Uuid,
        account_id -> Uuid,
        user_id -> Nullable<Uuid>,
        name -> Text,
        slug -> Text,
        description -> Text,
        campaign_type -> Text,
        status -> Text,
        channels -> Jsonb,
        budget_cents -> BigInt,
        currency -> Text,
        target_audience -> Jsonb,
        tags -> Jsonb,
        settings -> Jsonb,
        scheduled_at -> Nullable<Timestamptz>,
        started_at -> Nullable<Timestamptz>,
        paused_at -> Nullable<Timestamptz>,
        completed_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}
