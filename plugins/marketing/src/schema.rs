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

diesel::table! {
    use powernode_plugin_api::db::sql_types::*;

    marketing_campaign_contents (id) {
        id -> Uuid,
        account_id -> Uuid,
        marketing_campaign_id -> Uuid,
        channel -> Text,
        variant_name -> Text,
        subject -> Text,
        body -> Text,
        preview_text -> Text,
        media_urls -> Jsonb,
        cta_text -> Text,
        cta_url -> Text,
        platform_specific -> Jsonb,
        ai_generated -> Bool,
        status -> Text,
        approved_by -> Nullable<Uuid>,
        approved_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    use powernode_plugin_api::db::sql_types::*;

    marketing_email_lists (id) {
        id -> Uuid,
        account_id -> Uuid,
        name -> Text,
        slug -> Text,
        double_opt_in -> Bool,
        welcome_subject -> Text,
        welcome_body -> Text,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    use powernode_plugin_api::db::sql_types::*;

    marketing_email_subscribers (id) {
        id -> Uuid,
        account_id -> Uuid,
        marketing_email_list_id -> Uuid,
        email -> Text,
        first_name -> Text,
        last_name -> Text,
        source -> Text,
        tags -> Jsonb,
        custom_fields -> Jsonb,
        preferences -> Jsonb,
        status -> Text,
        subscribed_at -> Nullable<Timestamptz>,
        unsubscribed_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    use powernode_plugin_api::db::sql_types::*;

    marketing_email_bounces (id) {
        id -> Uuid,
        account_id -> Uuid,
        marketing_email_subscriber_id -> Uuid,
        reason -> Text,
        bounced_at -> Timestamptz,
    }
}

diesel::table! {
    use powernode_plugin_api::db::sql_types::*;

    marketing_campaign_email_lists (marketing_campaign_id, marketing_email_list_id) {
        marketing_campaign_id -> Uuid,
        marketing_email_list_id -> Uuid,
    }
}

diesel::table! {
    use powernode_plugin_api::db::sql_types::*;

    marketing_calendar_entries (id) {
        id -> Uuid,
        account_id -> Uuid,
        user_id -> Nullable<Uuid>,
        marketing_campaign_id -> Nullable<Uuid>,
        title -> Text,
        description -> Text,
        entry_type -> Text,
        status -> Text,
        scheduled_date -> Date,
        scheduled_time -> Nullable<Time>,
        color -> Text,
        recurrence_rule -> Nullable<Text>,
        ends_on -> Nullable<Date>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    use powernode_plugin_api::db::sql_types::*;

    marketing_social_accounts (id) {
        id -> Uuid,
        account_id -> Uuid,
        platform -> Text,
        platform_account_id -> Text,
        username -> Text,
        scopes -> Jsonb,
        status -> Text,
        last_error -> Text,
        token_expires_at -> Nullable<Timestamptz>,
        last_tested_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    use powernode_plugin_api::db::sql_types::*;

    marketing_campaign_metrics (id) {
        id -> Uuid,
        account_id -> Uuid,
        marketing_campaign_id -> Uuid,
        channel -> Text,
        measured_on -> Date,
        sends -> BigInt,
        deliveries -> BigInt,
        opens -> BigInt,
        unique_opens -> BigInt,
        clicks -> BigInt,
        conversions -> BigInt,
        unsubscribes -> BigInt,
        bounces -> BigInt,
        impressions -> BigInt,
        engagements -> BigInt,
        reach -> BigInt,
        revenue_cents -> BigInt,
        cost_cents -> BigInt,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    use powernode_plugin_api::db::sql_types::*;

    marketing_sendings (id) {
        id -> Uuid,
        account_id -> Uuid,
        marketing_campaign_id -> Uuid,
        occasion -> Text,
        state -> Text,
        reached -> Text,
        batches -> Integer,
        created_at -> Timestamptz,
        completed_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    use powernode_plugin_api::db::sql_types::*;

    marketing_deliveries (id) {
        id -> Uuid,
        account_id -> Uuid,
        marketing_campaign_id -> Uuid,
        marketing_sending_id -> Uuid,
        marketing_campaign_content_id -> Nullable<Uuid>,
        marketing_email_subscriber_id -> Uuid,
        email -> Text,
        batch -> Integer,
        state -> Text,
        attempts -> Integer,
        answer -> Text,
        created_at -> Timestamptz,
        claimed_at -> Nullable<Timestamptz>,
        sent_at -> Nullable<Timestamptz>,
        opened_at -> Nullable<Timestamptz>,
        clicked_at -> Nullable<Timestamptz>,
        bounced_at -> Nullable<Timestamptz>,
        complained_at -> Nullable<Timestamptz>,
        unsubscribed_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    use powernode_plugin_api::db::sql_types::*;

    marketing_tracked_links (id) {
        id -> Uuid,
        account_id -> Uuid,
        marketing_campaign_id -> Uuid,
        url -> Text,
    }
}

diesel::table! {
    use powernode_plugin_api::db::sql_types::*;

    marketing_social_posts (id) {
        id -> Uuid,
        account_id -> Uuid,
        marketing_campaign_id -> Uuid,
        marketing_sending_id -> Uuid,
        marketing_campaign_content_id -> Uuid,
        marketing_social_account_id -> Uuid,
        state -> Text,
        attempts -> Integer,
        answer -> Text,
        created_at -> Timestamptz,
        posted_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    use powernode_plugin_api::db::sql_types::*;

    marketing_calendar_publications (id) {
        id -> Uuid,
        account_id -> Uuid,
        marketing_calendar_entry_id -> Uuid,
        occurs_on -> Date,
        outcome -> Text,
        published_at -> Timestamptz,
    }
}

diesel::table! {
    use powernode_plugin_api::db::sql_types::*;

    marketing_email_confirmations (marketing_email_subscriber_id) {
        marketing_email_subscriber_id -> Uuid,
        account_id -> Uuid,
        asked -> Integer,
        asked_at -> Timestamptz,
    }
}

diesel::allow_tables_to_appear_in_same_query!(
    marketing_email_lists,
    marketing_campaign_email_lists,
    marketing_email_subscribers,
);
diesel::joinable!(marketing_campaign_email_lists -> marketing_email_lists (marketing_email_list_id));
diesel::joinable!(marketing_email_subscribers -> marketing_email_lists (marketing_email_list_id));
diesel::allow_tables_to_appear_in_same_query!(marketing_email_bounces, marketing_email_subscribers,);
diesel::allow_tables_to_appear_in_same_query!(marketing_campaigns, marketing_campaign_metrics);
diesel::allow_tables_to_appear_in_same_query!(marketing_campaigns, marketing_sendings);
diesel::joinable!(marketing_sendings -> marketing_campaigns (marketing_campaign_id));
diesel::joinable!(marketing_campaign_metrics -> marketing_campaigns (marketing_campaign_id));
diesel::allow_columns_to_appear_in_same_group_by_clause!(
    marketing_campaigns::name,
    marketing_campaigns::currency,
    marketing_campaign_metrics::marketing_campaign_id,
    marketing_campaign_metrics::channel,
);
