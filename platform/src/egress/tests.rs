use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use tokio::runtime::Runtime;

use super::{Answer, Egress, EgressError, EgressSettings, Outgoing, Targets, Url};

/// A server that gives these answers, one for each connection, and keeps what it was asked.
struct Server {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn new(answers: Vec<Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let seen = asked.clone();
        thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut bytes = [0; 4096];
                let read = stream.read(&mut bytes).unwrap();
                seen.lock().unwrap().push(String::from_utf8_lossy(&bytes[..read]).into_owned());
                // The other side may have heard enough.
                let _ = stream.write_all(&answer);
            }
            // What nobody answers stays open for a while.
            let _held = listener.accept();
            thread::sleep(Duration::from_secs(5));
        });
        Self { url, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn text(head: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
        .into_bytes()
}

fn way(allow: &[&str], runtime: &Runtime) -> Egress {
    let settings = EgressSettings {
        targets: Targets::new(allow.iter().map(|it| it.parse().unwrap()).collect()),
        timeout: Duration::from_secs(5),
        max_answer: 100,
    };
    Egress::new(settings, runtime.handle().clone())
}

/// What comes of a request, where loopback is allowed.
fn sent(request: Outgoing) -> Result<Answer, EgressError> {
    let runtime = Runtime::new().unwrap();
    runtime.block_on(way(&["127.0.0.0/8"], &runtime).send(request))
}

fn get(url: &str) -> Outgoing {
    Outgoing { method: "GET".into(), url: url.into(), ..Outgoing::default() }
}

fn body(answer: Result<Answer, EgressError>) -> String {
    match answer {
        Ok(answer) => format!("{} {}", answer.status, String::from_utf8_lossy(&answer.body)),
        Err(error) => error.to_string(),
    }
}

#[test]
fn any_status_is_an_answer() {
    let server = Server::new(vec![text("418 I'm a teapot", "short and stout")]);
    let request = Outgoing {
        method: "POST".into(),
        url: format!("{}/brew?a=1", server.url),
        headers: vec![("x-kind".into(), "oolong".into())],
        body: b"leaves".to_vec(),
        ..Outgoing::default()
    };
    assert_eq!(body(sent(request)), "418 short and stout");
    let asked = server.asked().remove(0);
    assert!(
        asked.starts_with("POST /brew?a=1 HTTP/1.1\r\n") && asked.ends_with("leaves"),
        "{asked}"
    );
    assert!(
        asked.contains("x-kind: oolong") && asked.contains("user-agent: powernode/"),
        "{asked}"
    );
}

#[test]
fn loopback_is_refused_unless_the_operator_allows_it() {
    let runtime = Runtime::new().unwrap();
    let closed = way(&[], &runtime);
    for url in ["http://127.0.0.1:1/", "http://localhost:1/", "http://[::1]:1/"] {
        let refused = runtime.block_on(closed.send(get(url)));
        assert!(matches!(refused, Err(EgressError::Refused(_))), "{url}: {refused:?}");
    }
    let unreachable = sent(get("http://127.0.0.1:1/secret?token=x"));
    assert!(matches!(unreachable, Err(EgressError::Unreachable { .. })), "{unreachable:?}");
    assert!(!body(unreachable).contains("token"));
}

#[test]
fn an_answer_that_is_late_or_large_is_none() {
    let hung = Server::new(Vec::new());
    let request = Outgoing { timeout: Some(Duration::from_millis(50)), ..get(&hung.url) };
    assert_eq!(body(sent(request)), format!("{} did not answer within 50ms", hung.url));
    for answer in [
        text("200 OK", &"x".repeat(101)),
        format!(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n80\r\n{}\r\n",
            "x".repeat(128)
        )
        .into_bytes(),
    ] {
        let large = Server::new(vec![answer]);
        assert_eq!(
            body(sent(get(&large.url))),
            format!("the answer of {} has more than 100 bytes", large.url)
        );
    }
}

#[test]
fn redirects_are_followed_as_asked_and_secrets_stay() {
    let to = Server::new(vec![text("200 OK", "there")]);
    let location = format!("302 Found\r\nlocation: {}/next", to.url);
    let from = Server::new(vec![text(&location, ""), text(&location, "")]);
    let request = |redirects| Outgoing {
        method: "POST".into(),
        headers: vec![("authorization".into(), "Bearer secret".into())],
        body: b"form".to_vec(),
        redirects,
        ..get(&from.url)
    };
    assert_eq!(body(sent(request(0))), "302 ");
    assert_eq!(body(sent(request(1))), "200 there");
    assert!(from.asked().iter().all(|it| it.contains("secret")));
    let asked = to.asked().remove(0);
    assert!(asked.starts_with("GET /next ") && !asked.contains("secret"), "{asked}");
}

#[test]
fn each_target_of_a_redirect_is_judged() {
    let server = Server::new(vec![text("307 x\r\nlocation: http://10.0.0.1/", "")]);
    let refused = sent(Outgoing { redirects: 3, ..get(&server.url) });
    assert!(matches!(refused, Err(EgressError::Refused(_))), "{refused:?}");
}

#[test]
fn a_path_is_this_platform_s() {
    let server = Server::new(vec![text("200 OK", "own")]);
    let runtime = Runtime::new().unwrap();
    let closed = way(&[], &runtime);
    let ask = |path: &str| body(runtime.block_on(closed.send(get(path))));
    assert_eq!(
        ask("/healthz"),
        "this process does not know where the platform is reached: set `server.url`"
    );
    closed.reached_at(Url::parse(&server.url).unwrap());
    assert_eq!(ask("/healthz"), "200 own");
    assert_eq!(ask("//10.0.0.1/healthz"), "`//10.0.0.1/healthz` is no path of this platform");
}

#[test]
fn what_cannot_be_sent_is_said() {
    let with = |name: &str, value: &str| Outgoing {
        headers: vec![(name.into(), value.into())],
        ..get("http://127.0.0.1:1/")
    };
    for (request, says) in [
        (get("ftp://example.com/"), "it is neither `https` nor `http`"),
        (get("example"), "cannot be asked"),
        (with("host", "other"), "the header `host` is the client's own"),
        (with("content-length", "5"), "is the client's own"),
        (with("x", "a\r\nb"), "the value of the header `x` is no header's"),
        (Outgoing { method: "G T".into(), ..get("http://127.0.0.1:1/") }, "is no method"),
    ] {
        let said = body(sent(request));
        assert!(said.contains(says), "{said}");
    }
}
