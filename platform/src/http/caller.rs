//! The bearer of a token on a route of the core.

use std::{sync::Arc, time::Instant};

use actix_web::{FromRequest, HttpRequest, dev::Payload, web::Data};
use chrono::Utc;
use futures_util::future::LocalBoxFuture;

use super::{
    context::Context, error::ApiError, limits::Sender, route::Asks, socket::Peer, state::Platform,
};
use crate::{access::Principal, audit::By};

/// Who calls a route of the core; a handler that takes one answers 401 without, and 403 to whoever lacks the
/// permission that the route's table names.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The bearer.
    pub principal: Arc<Principal>,
    request_id: Arc<str>,
}

impl Caller {
    /// Asks for a permission.
    ///
    /// # Errors
    ///
    /// 403 without it.
    pub fn require(&self, permission: &str) -> Result<(), ApiError> {
        if self.principal.may(permission) { Ok(()) } else { Err(ApiError::forbidden(permission)) }
    }

    /// For the audit log.
    pub fn by(&self) -> By {
        By::new(self.principal.name(), Utc::now()).with_request(&*self.request_id)
    }
}

impl Caller {
    /// The bearer, for a handler that asks something else first.
    ///
    /// # Errors
    ///
    /// 401 without one, 429 where the token's limit is reached, 403 without what the route asks.
    pub async fn of(request: &HttpRequest) -> Result<Self, ApiError> {
        Self::from_request(request, &mut Payload::None).await
    }
}

impl FromRequest for Caller {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let missing = || ApiError::internal(anyhow::anyhow!("the handlers share nothing"));
            let platform = request.app_data::<Data<Platform>>().ok_or_else(missing)?;
            if let Some(peer) = request.conn_data::<Peer>().copied() {
                return operator(platform, peer, &request).await;
            }
            let principal = platform.bearer(&request).await?;
            let principal =
                principal.ok_or_else(|| ApiError::unauthorized("this needs a token"))?;
            let context = Context::of(&request);
            let now = platform.access.clock().at(Instant::now());
            let quota = platform.limits.count(Sender::Token(principal.token), now);
            // Also where this very request is refused.
            context.quota.set(quota);
            if let Some(quota) = quota.filter(|it| it.exceeded) {
                return Err(ApiError::rate_limited(quota.reset_in));
            }
            let caller = Self { principal, request_id: context.id.clone() };
            if let Asks::Permission(permission) = Asks::of(&request) {
                caller.require(permission)?;
            }
            if request.query_string().contains("%00") {
                // No database keeps such a text.
                return Err(ApiError::invalid("query", "must hold no NUL"));
            }
            Ok(caller)
        })
    }
}

/// Whoever connects over the operator's socket holds all permissions, and needs no token; no limit counts them.
async fn operator(
    platform: &Platform,
    peer: Peer,
    request: &HttpRequest,
) -> Result<Caller, ApiError> {
    let Peer::Operator(uid) = peer else {
        return Err(ApiError::unauthorized("the operator's socket is for the platform's own user"));
    };
    let accounts = platform.access.accounts().await?;
    let account = accounts.first().map(|it| it.id).unwrap_or_default();
    let principal = Arc::new(Principal::operator(account, uid));
    Ok(Caller { principal, request_id: Context::of(request).id.clone() })
}
