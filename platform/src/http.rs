//! The HTTP server: the core's routes, and one service for those of all extensions.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    os::unix::net::UnixListener,
    sync::Arc,
    time::{Duration, Instant},
};

use actix_web::{
    App, HttpServer,
    body::{EitherBody, MessageBody},
    dev::{Server, ServiceFactory, ServiceRequest, ServiceResponse},
    error::InternalError,
    middleware::{Next, from_fn},
    web::{self, Data},
};
use socket2::{Domain, Socket, Type};

pub mod admin;
pub mod body;
pub mod caller;
mod changes;
mod chunked;
pub mod context;
pub mod core;
pub mod dispatch;
mod entitled;
pub mod envelope;
pub mod error;
pub mod limits;
pub mod meters;
pub mod openapi;
pub mod page;
mod path;
mod query;
pub mod request;
pub mod request_id;
mod response;
mod route;
pub mod socket;
pub mod starting;
pub mod state;
mod webhooks;

pub use self::state::Platform;
use self::{context::Context, error::ApiError, limits::Sender};

/// How the server listens.
#[derive(Clone, Copy, Debug)]
pub struct Listening {
    /// Threads that answer; 0 is one for each processor.
    pub workers: usize,
    /// How long a request's head may take to arrive.
    pub header_timeout: Duration,
    /// How long a client may leave what was sent to it unread.
    pub write_timeout: Duration,
    /// How long requests in flight may take when the server stops.
    pub drain_timeout: Duration,
}

/// How many bytes of an answer the system takes before the client's side has asked for them.
///
/// Without a bound it takes megabytes of each stream that nobody reads: 200 such clients kept a worker for 70 to
/// 360 ms, and memory of the system for as long as they stay.
#[cfg(target_os = "linux")]
const AHEAD: u32 = 128 << 10;

/// How many clients may wait to be taken. Of the standard library's 128, a burst of a thousand left most to connect
/// again a second later. The system has a bound of its own (`net.core.somaxconn`).
const WAITING: i32 = 4096;

/// Listens on an address.
///
/// # Errors
///
/// When it is taken, or not this machine's.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // A restart need not wait until the connections of the former process are forgotten.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(WAITING)?;
    Ok(socket.into())
}

/// Makes the server, which answers its operators on their socket as well; it runs when it is awaited, and stops when
/// its handle says so.
///
/// # Errors
///
/// When a socket cannot be listened on.
pub fn server(
    platform: Arc<Platform>,
    listener: TcpListener,
    operators: Option<UnixListener>,
    how: Listening,
) -> io::Result<Server> {
    make(platform, listener, operators, how, |_| ())
}

/// As [`server`], with further routes in the program itself, behind the same layers.
///
/// # Errors
///
/// As [`server`].
pub fn server_with(
    platform: Arc<Platform>,
    listener: TcpListener,
    how: Listening,
    further: impl Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
) -> io::Result<Server> {
    make(platform, listener, None, how, further)
}

fn make(
    platform: Arc<Platform>,
    listener: TcpListener,
    operators: Option<UnixListener>,
    how: Listening,
    further: impl Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
) -> io::Result<Server> {
    // Connections take these over from the socket that accepts them: the system ends one whose
    // client reads nothing for so long, and the worker's next write fails; and it takes no more
    // than so much ahead of what the client reads.
    #[cfg(target_os = "linux")]
    {
        let listener = socket2::SockRef::from(&listener);
        listener.set_tcp_user_timeout(Some(how.write_timeout))?;
        listener.set_tcp_notsent_lowat(AHEAD)?;
    }
    let data = Data::from(platform);
    let server = HttpServer::new(move || app(data.clone(), further.clone()))
        .client_request_timeout(how.header_timeout)
        .shutdown_timeout(how.drain_timeout.as_secs().max(1))
        .on_connect(socket::note)
        .disable_signals();
    let server = if how.workers == 0 { server } else { server.workers(how.workers) };
    let server = match operators {
        Some(operators) => server.listen_uds(operators)?,
        None => server,
    };
    Ok(server.listen(listener)?.run())
}

/// All routes behind all layers.
fn app(
    platform: Data<Platform>,
    further: impl Fn(&mut web::ServiceConfig),
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody>,
        Error = actix_web::Error,
        InitError = (),
    >,
> {
    App::new()
        .app_data(platform)
        .configure(|config| route::mount(config, "", core::table()))
        .configure(|config| route::mount(config, "", webhooks::table()))
        .configure(|config| route::mount(config, "", changes::table()))
        .configure(|config| route::mount(config, "", openapi::table()))
        .service(
            web::scope(admin::BASE)
                .configure(|config| route::mount(config, admin::BASE, admin::table())),
        )
        .configure(further)
        .default_service(web::to(dispatch::dispatch))
        .wrap(from_fn(measured))
        .wrap(from_fn(request_id::middleware))
}

/// Counts requests by address before anything else is done for them, reads their paths, and measures all of them.
async fn measured<B: MessageBody + 'static>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, actix_web::Error> {
    let begun = Instant::now();
    let platform = request.app_data::<Data<Platform>>().cloned();
    let context = Context::of(request.request());
    let names_something = path::settle(&mut request);
    let is_probe = core::PROBES.contains(&request.match_info().as_str());
    let quota = platform.as_deref().filter(|_| !is_probe).and_then(|it| {
        it.limits.count(Sender::Address(context.address?), it.access.clock().at(begun))
    });
    let refusal = match quota.filter(|it| it.exceeded) {
        Some(quota) => Some(ApiError::rate_limited(quota.reset_in)),
        None => (!names_something).then(|| ApiError::not_found("path")),
    };
    if let Some(refusal) = refusal {
        let mut response = request.error_response(refusal).map_into_right_body();
        quota.into_iter().for_each(|it| it.write(response.headers_mut()));
        if let Some(platform) = platform {
            let status = response.status().as_u16();
            platform.meters.observe(None, status, begun.elapsed());
        }
        return Ok(response);
    }
    let Ok(answered) = chunked::answered(request, next).await else {
        let response = request_id::respond(&ApiError::malformed_body(), &context.id);
        if let Some(platform) = platform {
            let status = response.status().as_u16();
            platform.meters.observe(context.owner.get(), status, begun.elapsed());
        }
        // The request is gone, and with it what a response of a service is made of.
        return Err(InternalError::from_response("the body is malformed", response).into());
    };
    let mut response = answered?.map_into_left_body();
    let quota = context.quota.get().or(quota);
    quota.into_iter().for_each(|it| it.write(response.headers_mut()));
    if let Some(platform) = platform {
        platform.meters.observe(context.owner.get(), response.status().as_u16(), begun.elapsed());
    }
    Ok(response)
}

#[cfg(test)]
mod tests;
