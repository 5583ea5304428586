//! The routes, below `/api/v1/marketing/`.

use powernode_plugin_api::prelude::*;

use crate::{
    Marketing,
    controllers::{
        analytics, audience, calendar,
        campaigns::{self, Campaigns},
        contents,
        email_lists::{self, EmailLists},
        sendings,
        social_accounts::{self, SocialAccounts},
        subscribers,
        subscriptions::{self, CONFIRM, UNSUBSCRIBE},
        tracking,
    },
    models::{Campaign, Entry, calendar_entry, campaign, content, subscriber},
    permissions::{
        ANALYTICS_MANAGE, ANALYTICS_READ, CALENDAR_MANAGE, CALENDAR_READ, CAMPAIGNS_EXECUTE,
        CAMPAIGNS_MANAGE, CAMPAIGNS_READ, CONTENT_APPROVE, EMAIL_LISTS_MANAGE, EMAIL_LISTS_READ,
        MAIL_MANAGE, SOCIAL_MANAGE,
    },
};

/// Mounts all of them.
pub fn mount(routes: &mut Routes<Marketing>) {
    mount_campaigns(routes);
    mount_contents(routes);
    mount_audience(routes);
    mount_email_lists(routes);
    mount_subscribers(routes);
    mount_subscriptions(routes);
    mount_calendar(routes);
    mount_social_accounts(routes);
    mount_analytics(routes);
    mount_sendings(routes);
    mount_tracking(routes);
}

fn mount_sendings(routes: &mut Routes<Marketing>) {
    routes
        .get("campaigns/{id}/sendings", sendings::list)
        .permission(CAMPAIGNS_READ)
        .summary("Show how far a campaign is");
    routes
        .get("campaigns/{id}/deliveries", sendings::deliveries)
        .permission(CAMPAIGNS_READ)
        .summary("List the e-mails of a campaign");
    routes
        .get("campaigns/{id}/posts", sendings::posts)
        .permission(CAMPAIGNS_READ)
        .summary("List the posts of a campaign");
    routes
        .get("calendar/{id}/publications", sendings::publications)
        .permission(CALENDAR_READ)
        .summary("List the days on which an entry came out");
    routes
        .post("deliveries/notices", sendings::enter_notices)
        .permission(EMAIL_LISTS_MANAGE)
        .summary("Enter e-mails that came back or were called spam");
    routes
        .put("mail/password", sendings::set_password)
        .permission(MAIL_MANAGE)
        .summary("Set the password of the mail server");
}

fn mount_tracking(routes: &mut Routes<Marketing>) {
    routes
        .get("track/{link}/open", tracking::open)
        .signed(tracking::OPEN)
        .summary("Note that an e-mail was opened");
    routes
        .get("track/{link}/click", tracking::click)
        .signed(tracking::CLICK)
        .summary("Note that a link was followed, and follow it");
}

fn mount_campaigns(routes: &mut Routes<Marketing>) {
    routes.resources::<Campaigns>();
    routes
        .get("campaigns/statistics", campaigns::statistics)
        .permission(CAMPAIGNS_READ)
        .summary("Count campaigns by status and type");
    routes
        .post("campaigns/{id}/clone", campaigns::duplicate)
        .permission(CAMPAIGNS_MANAGE)
        .summary("Create a draft like a campaign");
    routes
        .post("campaigns/{id}/schedule", campaigns::schedule)
        .permission(CAMPAIGNS_EXECUTE)
        .summary("Set the time at which a campaign starts");
    for verb in ["execute", "launch"] {
        routes
            .post(&format!("campaigns/{{id}}/{verb}"), campaigns::execute)
            .permission(CAMPAIGNS_EXECUTE)
            .summary("Start a campaign, and send what is approved");
    }
    for (verb, permission, step, summary) in [
        ("pause", CAMPAIGNS_EXECUTE, &campaign::PAUSE, "Pause a campaign"),
        ("resume", CAMPAIGNS_EXECUTE, &campaign::RESUME, "Resume a campaign"),
        ("complete", CAMPAIGNS_EXECUTE, &campaign::COMPLETE, "End a campaign"),
        ("archive", CAMPAIGNS_MANAGE, &campaign::ARCHIVE, "Put a campaign away"),
    ] {
        let take = move |call: Call<Marketing>, Path(id): Path<Id<Campaign>>| {
            campaigns::take(call, id, step)
        };
        routes
            .post(&format!("campaigns/{{id}}/{verb}"), take)
            .permission(permission)
            .summary(summary);
    }
}

fn mount_contents(routes: &mut Routes<Marketing>) {
    let (all, one) = ("campaigns/{id}/contents", "campaigns/{id}/contents/{content_id}");
    routes.get(all, contents::list).permission(CAMPAIGNS_READ).summary("List contents");
    routes.post(all, contents::create).permission(CAMPAIGNS_MANAGE).summary("Create a content");
    routes.get(one, contents::show).permission(CAMPAIGNS_READ).summary("Show a content");
    routes.patch(one, contents::update).permission(CAMPAIGNS_MANAGE).summary("Change a content");
    routes.put(one, contents::update).permission(CAMPAIGNS_MANAGE).summary("Change a content");
    routes.delete(one, contents::delete).permission(CAMPAIGNS_MANAGE).summary("Delete a content");
    routes
        .post(&format!("{one}/variants"), contents::add_variant)
        .permission(CAMPAIGNS_MANAGE)
        .summary("Create another variant of a content");
    for (verb, step, summary) in [
        ("approve", &content::APPROVE, "Let a content be sent"),
        ("reject", &content::REJECT, "Send a content back to its author"),
    ] {
        let take = move |call: Call<Marketing>, ids: contents::Ids| contents::take(call, ids, step);
        routes.post(&format!("{one}/{verb}"), take).permission(CONTENT_APPROVE).summary(summary);
    }
}

fn mount_audience(routes: &mut Routes<Marketing>) {
    let (all, one) = ("campaigns/{id}/email_lists", "campaigns/{id}/email_lists/{list_id}");
    routes.get(all, audience::list).permission(CAMPAIGNS_READ).summary("List a campaign's lists");
    routes
        .put(one, audience::attach)
        .permission(CAMPAIGNS_MANAGE)
        .summary("Let a campaign go to a list");
    routes
        .delete(one, audience::detach)
        .permission(CAMPAIGNS_MANAGE)
        .summary("Let a campaign go to a list no more");
}

fn mount_email_lists(routes: &mut Routes<Marketing>) {
    routes.resources::<EmailLists>();
    routes
        .get("email_lists/{id}/statistics", email_lists::statistics)
        .permission(EMAIL_LISTS_READ)
        .summary("Count subscribers by status, and show how a list grows");
    routes
        .post("email_lists/{id}/import", email_lists::import)
        .permission(EMAIL_LISTS_MANAGE)
        .summary("Add many subscribers");
}

fn mount_subscribers(routes: &mut Routes<Marketing>) {
    let (read, manage) = (EMAIL_LISTS_READ, EMAIL_LISTS_MANAGE);
    let (all, one) =
        ("email_lists/{id}/subscribers", "email_lists/{id}/subscribers/{subscriber_id}");
    routes.get(all, subscribers::list).permission(read).summary("List subscribers");
    routes.post(all, subscribers::add).permission(manage).summary("Add a subscriber");
    routes.get(one, subscribers::show).permission(read).summary("Show a subscriber");
    routes.patch(one, subscribers::update).permission(manage).summary("Change a subscriber");
    routes.put(one, subscribers::update).permission(manage).summary("Change a subscriber");
    routes.delete(one, subscribers::remove).permission(manage).summary("Remove a subscriber");
    routes
        .get(&format!("{one}/links"), subscribers::links)
        .permission(manage)
        .summary("Make the links that the owner of an address follows");
    routes
        .post(&format!("{one}/ask"), subscribers::ask)
        .permission(manage)
        .summary("Ask the owner of an address to confirm, once more");
    routes
        .post(&format!("{one}/bounce"), subscribers::bounce)
        .permission(manage)
        .summary("Enter an e-mail that came back");
    for (verb, step, summary) in [
        ("unsubscribe", &subscriber::UNSUBSCRIBE, "End a subscription"),
        ("complain", &subscriber::COMPLAIN, "Enter that an e-mail was called spam"),
    ] {
        let take =
            move |call: Call<Marketing>, ids: subscribers::Ids| subscribers::take(call, ids, step);
        routes.post(&format!("{one}/{verb}"), take).permission(manage).summary(summary);
    }
}

fn mount_subscriptions(routes: &mut Routes<Marketing>) {
    for (purpose, summary) in
        [(&CONFIRM, "Confirm a subscription"), (&UNSUBSCRIBE, "End a subscription by its owner")]
    {
        let name = purpose.name;
        let path = format!("subscriptions/{{link}}/{name}");
        let show = move |call: Call<Marketing>| subscriptions::show(call, purpose);
        routes.get(&path, show).signed(name).summary("Show a subscription to its owner");
        let take = move |call: Call<Marketing>| subscriptions::take(call, purpose);
        routes.post(&path, take).signed(name).summary(summary);
    }
}

fn mount_calendar(routes: &mut Routes<Marketing>) {
    let (read, manage) = (CALENDAR_READ, CALENDAR_MANAGE);
    let one = "calendar/{id}";
    routes.get("calendar", calendar::list).permission(read).summary("List what occurs in a range");
    routes.post("calendar", calendar::create).permission(manage).summary("Create an entry");
    routes
        .get("calendar/conflicts", calendar::conflicts)
        .permission(read)
        .summary("List what is in the way of something");
    routes.get(one, calendar::show).permission(read).summary("Show an entry");
    routes.patch(one, calendar::update).permission(manage).summary("Change an entry");
    routes.put(one, calendar::update).permission(manage).summary("Change an entry");
    routes.delete(one, calendar::delete).permission(manage).summary("Delete an entry");
    for (verb, step, summary) in [
        ("schedule", &calendar_entry::SCHEDULE, "Make an entry sure"),
        ("cancel", &calendar_entry::CANCEL, "Take an entry back"),
        ("plan", &calendar_entry::PLAN, "Think about an entry once more"),
    ] {
        let take =
            move |call: Call<Marketing>, Path(id): Path<Id<Entry>>| calendar::take(call, id, step);
        routes.post(&format!("{one}/{verb}"), take).permission(manage).summary(summary);
    }
}

fn mount_social_accounts(routes: &mut Routes<Marketing>) {
    routes.resources::<SocialAccounts>();
    routes
        .post("social_accounts/{id}/test", social_accounts::test)
        .permission(SOCIAL_MANAGE)
        .summary("Ask the platform whether the tokens are good");
    routes
        .post("social_accounts/{id}/refresh_token", social_accounts::refresh_token)
        .permission(SOCIAL_MANAGE)
        .summary("Get new tokens");
    routes
        .post("social_accounts/{id}/disconnect", social_accounts::disconnect)
        .permission(SOCIAL_MANAGE)
        .summary("Take the tokens away");
}

fn mount_analytics(routes: &mut Routes<Marketing>) {
    routes
        .put("campaigns/{id}/metrics", analytics::enter)
        .permission(ANALYTICS_MANAGE)
        .summary("Enter the figures of a channel and a day");
    routes
        .get("analytics/overview", analytics::overview)
        .permission(ANALYTICS_READ)
        .summary("Show what all campaigns did");
    routes
        .get("analytics/channels", analytics::channels)
        .permission(ANALYTICS_READ)
        .summary("Compare the channels");
    routes
        .get("analytics/campaigns/{id}", analytics::campaign)
        .permission(ANALYTICS_READ)
        .summary("Show what a campaign did");
    routes
        .get("analytics/roi", analytics::roi)
        .permission(ANALYTICS_READ)
        .summary("List what each campaign was worth");
    routes
        .get("analytics/top_performers", analytics::top_performers)
        .permission(ANALYTICS_READ)
        .summary("List the best campaigns");
}
