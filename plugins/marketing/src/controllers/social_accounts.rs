//! `/social_accounts`.

use powernode_plugin_api::prelude::*;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    Marketing,
    adapters::{Adapter, Refusal},
    models::{
        Actor, SocialAccount, Tokens,
        social_account::{ChangeSocialAccount, NewSocialAccount, Platform},
    },
    permissions,
    services::social_accounts::{self, Filter},
};

/// `/social_accounts`.
#[derive(Debug)]
pub struct SocialAccounts;

impl Resource for SocialAccounts {
    type Extension = Marketing;
    type Id = Id<SocialAccount>;
    type Filter = Filter;
    type Row = SocialAccount;
    type New = NewSocialAccount;
    type Change = ChangeSocialAccount;

    const NAME: &'static str = "social_accounts";
    const READ: &'static str = permissions::SOCIAL_READ;
    const MANAGE: &'static str = permissions::SOCIAL_MANAGE;

    async fn list(
        call: Call<Marketing>,
        filter: Filter,
        page: Page,
    ) -> Result<Paged<SocialAccount>> {
        let account = call.account()?;
        call.db().read(move |conn| social_accounts::list(conn, account, &filter, page)).await
    }

    async fn show(call: Call<Marketing>, id: Id<SocialAccount>) -> Result<SocialAccount> {
        let account = call.account()?;
        call.db().read(move |conn| social_accounts::find(conn, account, id)).await
    }

    /// The tokens first: a row that is there has them.
    async fn create(call: Call<Marketing>, new: NewSocialAccount) -> Result<SocialAccount> {
        let actor = Actor::of(&call)?;
        new.valid_tokens()?;
        let social = SocialAccount::untried(actor, &new)?;
        let id = social.id;
        let tokens = Tokens::new(new.access_token, new.refresh_token);
        social_accounts::keep(call.host(), id, &tokens).await?;
        let created =
            call.db().transaction(move |conn| social_accounts::create(conn, social)).await;
        if created.is_err() {
            social_accounts::forget(call.host(), id).await?;
        }
        created
    }

    async fn update(
        call: Call<Marketing>,
        id: Id<SocialAccount>,
        mut change: ChangeSocialAccount,
    ) -> Result<SocialAccount> {
        let actor = Actor::of(&call)?;
        change.valid_tokens()?;
        let refresh = change.refresh_token.take();
        let tokens = change.access_token.clone().map(|it| Tokens::new(it, refresh));
        let job = move |conn: &mut _| {
            social_accounts::change(conn, actor, id, |it| it.change(change, actor.now))
        };
        let social = call.db().transaction(job).await?;
        if let Some(tokens) = tokens {
            social_accounts::keep(call.host(), id, &tokens).await?;
        }
        Ok(social)
    }

    async fn delete(call: Call<Marketing>, id: Id<SocialAccount>) -> Result<()> {
        let account = call.account()?;
        call.db().transaction(move |conn| social_accounts::delete(conn, account, id)).await?;
        social_accounts::forget(call.host(), id).await
    }
}

/// What became of an account, and who was asked.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Tested {
    #[serde(flatten)]
    pub social_account: SocialAccount,
    /// `dry_run` asks nobody.
    pub adapter: &'static str,
}

/// `POST /social_accounts/{id}/test`: asks the platform whether the tokens are good.
pub async fn test(
    call: Call<Marketing>,
    Path(id): Path<Id<SocialAccount>>,
) -> Result<Json<Tested>> {
    let actor = Actor::of(&call)?;
    let job = move |conn: &mut _| social_accounts::find(conn, actor.account, id);
    let social = call.db().read(job).await?;
    let adapter = adapter(&call, social.platform)?;
    let tokens = social_accounts::tokens(call.host(), id).await?;
    let answer = match social.is_expired(actor.now) {
        true => Err(Refusal::Expired),
        false => adapter.check(&tokens).await,
    };
    let job = move |conn: &mut _| {
        social_accounts::change(conn, actor, id, |it| {
            it.tested(answer, actor.now);
            Ok(())
        })
    };
    let social_account = call.db().transaction(job).await?;
    Ok(Json(Tested { social_account, adapter: adapter.name() }))
}

/// `POST /social_accounts/{id}/refresh_token`: exchanges the refresh token for new tokens.
pub async fn refresh_token(
    call: Call<Marketing>,
    Path(id): Path<Id<SocialAccount>>,
) -> Result<Json<Tested>> {
    let actor = Actor::of(&call)?;
    let job = move |conn: &mut _| social_accounts::find(conn, actor.account, id);
    let social = call.db().read(job).await?;
    let adapter = adapter(&call, social.platform)?;
    let tokens = social_accounts::tokens(call.host(), id).await?;
    let answer = match adapter.refresh(&tokens, actor.now).await {
        Ok(renewed) => {
            social_accounts::keep(call.host(), id, &renewed.tokens).await?;
            Ok(renewed.expires_at)
        }
        Err(refusal) => Err(refusal),
    };
    let job = move |conn: &mut _| {
        social_accounts::change(conn, actor, id, |it| {
            if let Ok(expires_at) = &answer {
                it.token_expires_at = *expires_at;
            }
            it.tested(answer.map(drop), actor.now);
            Ok(())
        })
    };
    let social_account = call.db().transaction(job).await?;
    Ok(Json(Tested { social_account, adapter: adapter.name() }))
}

/// `POST /social_accounts/{id}/disconnect`: takes the tokens away.
pub async fn disconnect(
    call: Call<Marketing>,
    Path(id): Path<Id<SocialAccount>>,
) -> Result<Json<SocialAccount>> {
    let actor = Actor::of(&call)?;
    let job = move |conn: &mut _| {
        social_accounts::change(conn, actor, id, |it| {
            it.disconnect(actor.now);
            Ok(())
        })
    };
    let social = call.db().transaction(job).await?;
    social_accounts::forget(call.host(), id).await?;
    Ok(Json(social))
}

/// The adapter of a platform; 409 where this installation has none.
fn adapter(call: &Call<Marketing>, platform: Platform) -> Result<&dyn Adapter> {
    call.extension().adapters.of(platform).ok_or_else(|| {
        let message = format!("there is no adapter for {platform} in this installation");
        Error::new(409, "NO_ADAPTER", message)
    })
}
