//! `/api/v1/changes`: one stream of what changes, as server-sent events (WHATWG HTML, section 9.2), which a follower that
//! returns goes on with where it was.

mod follower;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{AUTHORIZATION, CACHE_CONTROL, HeaderName},
    web::Data,
};
use futures_util::stream::poll_fn;
use powernode_plugin_api::db::RunError;
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::mpsc;

use self::follower::{Follower, Topic};
use super::{
    caller::Caller,
    error::ApiError,
    query,
    route::{CoreRoute, get},
    state::{Platform, actor},
};
use crate::changes;

/// Most streams of one process: each holds a connection.
const MOST: usize = 1_000;
/// Most topics of one stream.
const MOST_TOPICS: usize = 20;
/// Messages that wait for a slow follower.
const WAITING: usize = 64;
/// What whoever follows jobs and queues must hold.
const READ: &str = "admin.jobs.read";

pub(super) fn table() -> Vec<CoreRoute> {
    vec![get("/api/v1/changes", follow).token().says("Follow what changes", |it| {
        it.query::<Asked>().text("text/event-stream").refuses(404).refuses(503)
    })]
}

#[derive(Deserialize, JsonSchema)]
struct Asked {
    /// What to follow, with commas between: `gates` (which extensions are on for the caller), `queues`, `jobs`, and
    /// channels of extensions, `<slug>.<name>`.
    topics: String,
    /// Go on after the message of this id, as the header `Last-Event-ID` says too; from now on where neither is there.
    #[schemars(with = "Option<i64>")]
    after: Option<String>,
    /// Whether to stay for what comes; `false` ends with what is there.
    #[schemars(with = "Option<bool>")]
    follow: Option<String>,
}

/// How many streams there are.
#[derive(Clone, Debug, Default)]
pub struct Streams(Arc<AtomicUsize>);

/// One of them, as long as this lives.
struct Place(Arc<AtomicUsize>);

impl Streams {
    fn enter(&self) -> Option<Place> {
        if self.0.fetch_add(1, Ordering::AcqRel) < MOST {
            return Some(Place(self.0.clone()));
        }
        self.0.fetch_sub(1, Ordering::AcqRel);
        None
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

async fn follow(
    platform: Data<Platform>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let Asked { topics, after, follow } = query::of(&request)?;
    let stays = query::value("follow", follow.as_ref(), "`true` or `false`")?.unwrap_or(true);
    let last = request.headers().get(HeaderName::from_static("last-event-id"));
    let last = last.and_then(|it| it.to_str().ok()).map(str::to_owned).or(after);
    let after =
        query::value::<i64>("after", last.as_ref().filter(|it| !it.is_empty()), "a message's id")?;
    if after.is_some_and(|it| it < 0) {
        return Err(ApiError::invalid("after", "must be a message's id"));
    }
    let topics = read(&topics, &platform, &caller)?;
    let place = platform.streams.enter();
    let place = place.ok_or_else(|| ApiError::unavailable("too many follow already"))?;
    // Before the list is looked at, so that nothing falls between.
    let heard = platform.changes.heard();
    let known = platform
        .core
        .read(|conn| Ok::<_, RunError>((changes::current(conn)?, changes::oldest(conn)?)));
    let (current, oldest) = known.await.map_err(ApiError::internal)?;
    let (sender, mut receiver) = mpsc::channel(WAITING);
    let header = request.headers().get(AUTHORIZATION).and_then(|it| it.to_str().ok());
    let follower = Follower {
        platform: platform.into_inner(),
        actor: actor(&caller.principal),
        account: caller.principal.account,
        header: header.map(str::to_owned),
        topics,
        sender,
        last: after.filter(|it| *it <= current).unwrap_or(current),
    };
    // What was asked for is gone, or is of a database that was put back.
    let lost = after.is_some_and(|it| it > current || it + 1 < oldest.unwrap_or(current + 1));
    let background = follower.platform.background.clone();
    background.spawn(async move {
        let _place = place;
        follower.follow(heard, lost, stays).await;
    });
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((CACHE_CONTROL, "no-store"))
        // A proxy that waits for the end would hold everything back.
        .insert_header(("X-Accel-Buffering", "no"))
        .streaming(poll_fn(move |context| receiver.poll_recv(context))))
}

/// What is to be followed, and whether the caller may.
fn read(text: &str, platform: &Platform, caller: &Caller) -> Result<Vec<Topic>, ApiError> {
    let mut topics = Vec::new();
    for name in text.split(',').map(str::trim).filter(|it| !it.is_empty()) {
        let topic = match name {
            "gates" => Topic::Gates,
            changes::QUEUES | changes::JOBS => {
                caller.require(READ)?;
                Topic::List(name.to_owned())
            }
            _ => {
                let unknown = || ApiError::not_found(format!("topic `{}`", name.escape_debug()));
                let channel = platform.channels.find(name).ok_or_else(unknown)?;
                // As for a route of the extension: the gate comes first.
                let opened =
                    platform.gate.admit(channel.extension, Some(&actor(&caller.principal)));
                opened.map(drop)?;
                caller.require(&channel.permission)?;
                Topic::Channel(name.to_owned(), channel.extension)
            }
        };
        topics.push(topic);
    }
    match topics.len() {
        1..=MOST_TOPICS => Ok(topics),
        _ => Err(ApiError::invalid("topics", "must name 1 to 20 topics, with commas between")),
    }
}
