//! What is answered while the platform cannot serve yet: 503, with the reason.

use std::{io, net::TcpListener, thread, time::Duration};

use actix_web::{
    App, HttpResponse, HttpServer, Responder,
    dev::ServerHandle,
    http::KeepAlive,
    middleware::from_fn,
    rt::time::timeout,
    web::{self, Data},
};
use futures_util::StreamExt as _;
use tokio::{runtime::Handle, sync::oneshot};

use super::{core, error::ApiError, request_id};
use crate::db::Fault;

/// How long a connection that was accepted may take to come to the thread that answers.
const SETTLE: Duration = Duration::from_millis(100);
/// How long a body may take that nobody wants, and how much of it is read, in bytes.
const PATIENCE: Duration = Duration::from_secs(1);
const MOST_READ: usize = 1 << 20;

/// Answers on the platform's socket until it is dropped.
#[derive(Debug)]
pub struct Starting {
    server: Option<ServerHandle>,
    thread: Option<thread::JoinHandle<()>>,
    handle: Handle,
}

impl Starting {
    /// Answers on `listener`, which others may listen on afterwards: `fault` is why nothing else is answered yet.
    ///
    /// # Errors
    ///
    /// The socket cannot be listened on.
    pub fn answer(listener: TcpListener, fault: Fault, handle: &Handle) -> io::Result<Self> {
        let (sender, begun) = oneshot::channel();
        let thread = thread::Builder::new().name("powernode-starting".to_owned());
        let thread = thread.spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                match server(listener, fault) {
                    Ok(server) => {
                        let _ = sender.send(Ok(server.handle()));
                        if let Err(error) = server.await {
                            tracing::warn!("Nobody answers while the platform starts: {error}");
                        }
                    }
                    Err(error) => drop(sender.send(Err(error))),
                }
            });
        })?;
        let begun = handle.block_on(begun).map_err(|_| io::Error::other("its thread ended"))?;
        Ok(Self { server: Some(begun?), thread: Some(thread), handle: handle.clone() })
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            self.handle.block_on(async {
                // Whom it accepted it answers; whoever comes now waits for the platform.
                server.pause().await;
                tokio::time::sleep(SETTLE).await;
                server.stop(true).await;
            });
        }
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::warn!("What answered while the platform started panicked");
        }
    }
}

fn server(listener: TcpListener, fault: Fault) -> io::Result<actix_web::dev::Server> {
    let app = move || {
        App::new()
            .app_data(Data::new(fault.clone()))
            .route("/healthz", web::get().to(core::healthz))
            .route("/readyz", web::get().to(readyz))
            .default_service(web::to(refuse))
            .wrap(from_fn(request_id::middleware))
    };
    // No connection may outlive this: the platform answers the next request.
    let server = HttpServer::new(app).workers(1).keep_alive(KeepAlive::Disabled);
    let server = server.shutdown_timeout(1).disable_signals().listen(listener)?;
    Ok(server.run())
}

async fn readyz(fault: Data<Fault>) -> impl Responder {
    HttpResponse::ServiceUnavailable().json(core::Readiness::waiting(&fault))
}

async fn refuse(fault: Data<Fault>, body: web::Payload) -> Result<HttpResponse, ApiError> {
    // A connection that is closed over something unread is reset, and the client may never read the answer.
    let _ = timeout(PATIENCE, read(body)).await;
    Err(ApiError::starting(fault.outline()))
}

async fn read(mut body: web::Payload) {
    let mut left = MOST_READ;
    while let Some(Ok(chunk)) = body.next().await {
        match left.checked_sub(chunk.len()) {
            Some(less) => left = less,
            None => return,
        }
    }
}
