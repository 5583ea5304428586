//! What happens to accounts on social platforms.

use diesel::prelude::*;
use powernode_plugin_api::{
    db::{HostBackend, for_update},
    prelude::*,
};
use schemars::JsonSchema;
use serde::Deserialize;
use uuid::Uuid;

use crate::{
    jobs::sweep_at,
    models::{
        Actor, SocialAccount, Tokens,
        social_account::{Platform, SOCIAL_ACCOUNT, Status},
    },
    schema::marketing_social_accounts::{self as accounts, BoxedQuery},
};

/// What the accounts may be narrowed by.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Filter {
    pub platform: Option<Platform>,
    pub status: Option<Status>,
}

/// One page of the account's social accounts, by platform and name.
pub fn list(
    conn: &mut HostConnection,
    account: Uuid,
    filter: &Filter,
    page: Page,
) -> Result<Paged<SocialAccount>> {
    let matching = || {
        let mut query: BoxedQuery<'_, HostBackend> =
            accounts::table.filter(accounts::account_id.eq(account)).into_boxed();
        if let Some(platform) = filter.platform {
            query = query.filter(accounts::platform.eq(platform));
        }
        if let Some(status) = filter.status {
            query = query.filter(accounts::status.eq(status));
        }
        query
    };
    let rows = matching()
        .order((accounts::platform, accounts::username, accounts::id))
        .limit(page.limit())
        .offset(page.offset())
        .select(SocialAccount::as_select())
        .load(conn)?;
    Ok(Paged { rows, page, total: matching().count().get_result(conn)? })
}

/// One of the account's social accounts.
pub fn find(
    conn: &mut HostConnection,
    account: Uuid,
    id: Id<SocialAccount>,
) -> Result<SocialAccount> {
    let row = accounts::table
        .filter(accounts::account_id.eq(account))
        .find(id)
        .select(SocialAccount::as_select())
        .first(conn);
    row.optional()?.ok_or_else(|| Error::not_found(SOCIAL_ACCOUNT))
}

/// Adds a social account.
pub fn create(conn: &mut HostConnection, social: SocialAccount) -> Result<SocialAccount> {
    diesel::insert_into(accounts::table)
        .values(&social)
        .execute(conn)
        .map_err(Error::taken("platform_account_id"))?;
    watch(conn, &social)?;
    Ok(social)
}

/// Changes a social account as `change` says, while nobody else does.
pub fn change(
    conn: &mut HostConnection,
    actor: Actor,
    id: Id<SocialAccount>,
    change: impl FnOnce(&mut SocialAccount) -> Result<()>,
) -> Result<SocialAccount> {
    let row = accounts::table
        .filter(accounts::account_id.eq(actor.account))
        .find(id)
        .select(SocialAccount::as_select());
    let row: Option<SocialAccount> = for_update(row).get_result(conn).optional()?;
    let mut social = row.ok_or_else(|| Error::not_found(SOCIAL_ACCOUNT))?;
    let expires_at = social.token_expires_at;
    change(&mut social)?;
    diesel::update(accounts::table.find(id)).set(&social).execute(conn)?;
    if social.token_expires_at != expires_at {
        watch(conn, &social)?;
    }
    Ok(social)
}

/// Asks for a sweep when the account's token is over.
fn watch(conn: &mut HostConnection, social: &SocialAccount) -> Result<()> {
    social.token_expires_at.map_or(Ok(()), |it| sweep_at(conn, it))
}

/// Deletes a social account.
pub fn delete(conn: &mut HostConnection, account: Uuid, id: Id<SocialAccount>) -> Result<()> {
    let social = find(conn, account, id)?;
    diesel::delete(accounts::table.find(social.id)).execute(conn)?;
    Ok(())
}

/// The tokens of a social account, which was found before; 422 where there are none.
pub async fn tokens(host: &Host, id: Id<SocialAccount>) -> Result<Tokens> {
    let secret = host.settings().secret(&name(id)).await?;
    let secret = secret.ok_or_else(|| {
        let message = "this social account has no tokens; send an access_token to change it";
        Error::new(422, "NO_TOKENS", message)
    })?;
    // What is wrong with a secret may quote it.
    serde_json::from_slice(&secret).map_err(|_| Error::internal("the tokens cannot be read"))
}

/// Keeps the tokens of a social account, encrypted.
pub async fn keep(host: &Host, id: Id<SocialAccount>, tokens: &Tokens) -> Result<()> {
    let text = serde_json::to_vec(tokens).map_err(Error::internal)?;
    host.settings().set_secret(&name(id), &text).await
}

/// Forgets the tokens of a social account.
pub async fn forget(host: &Host, id: Id<SocialAccount>) -> Result<()> {
    host.settings().remove_secret(&name(id)).await.map(drop)
}

fn name(id: Id<SocialAccount>) -> String {
    format!("social/{id}")
}
