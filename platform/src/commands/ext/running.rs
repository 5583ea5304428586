//! The extensions of the platform that runs.

use serde_json::{Value, json};

use super::{Extensions, offline::Offline};
use crate::{
    commands::client::{Client, ClientError, segment},
    config::Settings,
    package::scan,
    registry::report::Shown,
};

const BASE: &str = "/api/v1/admin/extensions";

/// Asks the platform, and looks on disk for what was installed since it started.
pub(super) struct Running<'a> {
    pub(super) client: &'a Client,
    pub(super) settings: &'a Settings,
}

impl Extensions for Running<'_> {
    fn list(&self) -> anyhow::Result<Vec<Value>> {
        let mut rows = self.client.rows(BASE)?;
        for shown in self.since(&rows) {
            rows.push(json!({
                "slug": shown.slug, "name": shown.name, "version": shown.version, "state": shown.state,
                "enabled": false, "code": "EXTENSION_NOT_INSTALLED", "reason": shown.reason, "why": shown.why(),
                "private": shown.private,
            }));
        }
        Ok(rows)
    }

    fn show(&self, slug: &str) -> anyhow::Result<Option<Value>> {
        let path = format!("{BASE}/{}", segment(slug));
        let mut extension = match self.client.get(&path) {
            Ok(extension) => extension,
            Err(ClientError::Refused { status: 404, .. }) => {
                let shown = self.since(&[]).into_iter().find(|it| it.slug == slug);
                return Ok(shown.map(|it| {
                    let why = it.why();
                    let step = json!({
                        "gate": "install", "verdict": "closed", "reason": why, "changed": null,
                        "fix": "restart the platform",
                    });
                    json!({ "extension": it, "gates": {
                        "slug": slug, "enabled": false, "code": "EXTENSION_NOT_INSTALLED", "reason": why,
                        "gates": [step],
                    } })
                }));
            }
            Err(error) => return Err(error.into()),
        };
        if let Some(fields) = extension.as_object_mut() {
            fields.remove("gates");
        }
        let gates = self.client.get(&format!("{path}/explain"))?;
        Ok(Some(json!({ "extension": extension, "gates": gates })))
    }

    fn route(&self, method: &str, path: &str) -> anyhow::Result<Value> {
        let query = format!("method={}&path={}", segment(method), segment(path));
        Ok(self.client.get(&format!("/api/v1/admin/explain?{query}"))?)
    }

    fn switch(&self, slug: &str, on: bool) -> anyhow::Result<Value> {
        let path = format!("{BASE}/{}/flag", segment(slug));
        let answer = self.client.send("PUT", &path, &json!({ "enabled": on }))?;
        Ok(json!({
            "slug": slug, "flag": answer["flag"]["name"], "enabled": answer["flag"]["gates"]["boolean"],
            "code": answer["code"],
        }))
    }

    fn state(&self, slug: &str, disabled: bool) -> anyhow::Result<Value> {
        let path = format!("{BASE}/{}/state", segment(slug));
        match self.client.send("PUT", &path, &json!({ "disabled": disabled })) {
            Err(ClientError::Refused { status: 404, .. }) if !disabled => {
                self.vanished()?.state(slug, false)
            }
            answer => Ok(answer?),
        }
    }

    fn release(&self, slug: &str) -> anyhow::Result<Value> {
        let path = format!("{BASE}/{}/release", segment(slug));
        match self.client.send("POST", &path, &Value::Null) {
            Err(ClientError::Refused { status: 404, .. }) => self.vanished()?.release(slug),
            answer => Ok(answer?),
        }
    }
}

impl Running<'_> {
    /// The files and tables, for what the platform does not know: it follows them at its next start.
    fn vanished(&self) -> anyhow::Result<Offline> {
        Offline::open(self.settings)
    }

    /// What lies on disk and not among `rows`.
    fn since(&self, rows: &[Value]) -> Vec<Shown> {
        let found = scan(&self.settings.extensions.dir);
        let shown = found.iter().map(Shown::found);
        shown.filter(|it| rows.iter().all(|row| row["slug"] != it.slug.as_str())).collect()
    }
}
