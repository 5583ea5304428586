//! The routes, below `/api/v1/marketing/`.

use powernode_plugin_api::prelude::*;

use crate::{
    Marketing,
    controllers::campaigns::{self, Campaigns},
    models::{Campaign, campaign},
    permissions::{CAMPAIGNS_EXECUTE, CAMPAIGNS_MANAGE, CAMPAIGNS_READ},
};

/// Mounts all of them.
pub fn mount(routes: &mut Routes<Marketing>) {
    mount_campaigns(routes);
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
    for (verb, permission, step, summary) in [
        ("execute", CAMPAIGNS_EXECUTE, &campaign::EXECUTE, "Start a campaign"),
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
