//! A client of the platform's API.

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;
use ureq::http;

/// A client of one platform, with or without a token; a clone shares its connections.
#[derive(Clone, Debug)]
pub struct Client {
    agent: ureq::Agent,
    base: String,
    token: Option<String>,
}

/// What the platform answered; a status that means failure is an answer too.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Client {
    /// Makes a client of the platform on a port of this machine.
    pub fn new(port: u16, token: Option<&str>) -> Client {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            .max_redirects(0)
            .proxy(None)
            .timeout_global(Some(Duration::from_secs(60)))
            .build();
        Client {
            agent: config.new_agent(),
            base: format!("http://127.0.0.1:{port}"),
            token: token.map(str::to_owned),
        }
    }

    /// Asks for a path.
    ///
    /// # Errors
    ///
    /// No answer came.
    pub fn get(&self, path: &str) -> Result<Answer> {
        self.send("GET", path, &[], Vec::new())
    }

    /// Sends JSON with POST.
    ///
    /// # Errors
    ///
    /// No answer came.
    pub fn post(&self, path: &str, body: &Value) -> Result<Answer> {
        self.send_json("POST", path, body)
    }

    /// Sends JSON with PUT.
    ///
    /// # Errors
    ///
    /// No answer came.
    pub fn put(&self, path: &str, body: &Value) -> Result<Answer> {
        self.send_json("PUT", path, body)
    }

    /// Sends JSON with PATCH.
    ///
    /// # Errors
    ///
    /// No answer came.
    pub fn patch(&self, path: &str, body: &Value) -> Result<Answer> {
        self.send_json("PATCH", path, body)
    }

    /// Deletes what a path names.
    ///
    /// # Errors
    ///
    /// No answer came.
    pub fn delete(&self, path: &str) -> Result<Answer> {
        self.send("DELETE", path, &[], Vec::new())
    }

    /// Sends anything.
    ///
    /// # Errors
    ///
    /// No answer came.
    pub fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Result<Answer> {
        let mut request =
            http::Request::builder().method(method).uri(format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let asked = || format!("{method} {path}");
        let mut answer = if body.is_empty() && !matches!(method, "POST" | "PUT" | "PATCH") {
            self.agent.run(request.body(()).with_context(asked)?)
        } else {
            self.agent.run(request.body(body).with_context(asked)?)
        }
        .with_context(asked)?;
        let headers = answer.headers().iter().map(|(name, value)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        });
        let headers = headers.collect();
        let status = answer.status().as_u16();
        let body =
            answer.body_mut().with_config().limit(64 << 20).read_to_vec().with_context(asked)?;
        Ok(Answer { status, headers, body })
    }

    fn send_json(&self, method: &str, path: &str, body: &Value) -> Result<Answer> {
        let headers = [("content-type", "application/json")];
        self.send(method, path, &headers, serde_json::to_vec(body)?)
    }
}

impl Answer {
    /// Returns a header by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(it, _)| it == name).map(|(_, value)| value.as_str())
    }

    /// Returns the body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Returns the body as JSON; null where it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// Returns the envelope's data; null where there is none.
    pub fn data(&self) -> Value {
        self.json()["data"].take()
    }

    /// Returns the envelope's code; empty where there is none.
    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    /// Returns the status and the code, `404 NOT_FOUND`, when the envelope of a failure is whole, and what is wrong with it otherwise.
    pub fn failure(&self) -> String {
        let json = self.json();
        let said =
            json["error"].is_string() || json["errors"].is_array() || json["errors"].is_object();
        let id = json["request_id"].as_str().is_some_and(|id| !id.is_empty());
        if json["success"] == Value::Bool(false) && said && id && json["code"].is_string() {
            return format!("{} {}", self.status, self.code());
        }
        format!("{}, and no envelope of a failure: {}", self.status, self.text())
    }
}
