//! Who acts, and when.

use chrono::{DateTime, Utc};
use powernode_plugin_api::prelude::*;
use uuid::Uuid;

/// Who acts, in which account, and when.
#[derive(Clone, Copy, Debug)]
pub struct Actor {
    /// Rows of other accounts do not exist for the actor.
    pub account: Uuid,
    /// Nobody where a token belongs to no user.
    pub user: Option<Uuid>,
    pub now: DateTime<Utc>,
}

impl Actor {
    /// Who sent `call`; 401 where nobody was identified.
    pub fn of<E>(call: &Call<E>) -> Result<Self> {
        Ok(Self {
            account: call.account()?,
            user: call.principal().and_then(|it| it.user),
            now: call.host().runtime().now(),
        })
    }
}
