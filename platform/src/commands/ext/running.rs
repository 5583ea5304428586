//! The extensions of the platform that runs.

use serde_json::{Value, json};

use super::{Extensions, offline::Offline};
use crate::{
    commands::client::{Client, ClientError, segment},
    config::Settings,
};

const BASE: &str = "/api/v1/admin/extensions";

/// Asks the platform.
pub(super) struct Running<'a> {
    pub(super) client: &'a Client,
    pub(super) settings: &'a Settings,
}

impl Extensions for Running<'_> {
    fn list(&self) -> anyhow::Result<Vec<Value>> {
        Ok(self.client.rows(BASE)?)
    }

    fn show(&self, slug: &str) -> anyhow::Result<Option<Value>> {
        let path = format!("{BASE}/{}", segment(slug));
        let mut extension = match self.client.get(&path) {
            Ok(extension) => extension,
            Err(ClientError::Refused { status: 404, .. }) => return Ok(None),
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
}
