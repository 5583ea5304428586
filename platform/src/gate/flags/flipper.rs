//! Flipper's own file: all flags with their gates, version 1 of its JSON export.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Expression, Flag, Gates, Percentage};

/// The version that is written and read.
const VERSION: u32 = 1;

/// Flipper's export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Export {
    /// Which form of it; 1.
    #[schemars(extend("const" = 1))]
    pub version: u32,
    /// The flags, by name.
    pub features: BTreeMap<String, Feature>,
}

/// A flag's gates, as Flipper's stores keep them: numbers and truth are texts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Feature {
    /// `"true"`, or nothing.
    #[schemars(with = "Option<Text>")]
    pub boolean: Value,
    /// Names.
    pub groups: Option<BTreeSet<String>>,
    /// Ids.
    pub actors: Option<BTreeSet<String>>,
    /// The expression, or nothing.
    #[schemars(with = "Option<serde_json::Map<String, Value>>")]
    pub expression: Value,
    /// `"25"`, or nothing.
    #[schemars(with = "Option<Text>")]
    pub percentage_of_actors: Value,
    /// `"25"`, or nothing.
    #[schemars(with = "Option<Text>")]
    pub percentage_of_time: Value,
}

/// What stores write as a text, and some as what it is.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is read")]
enum Text {
    Words(String),
    Number(f64),
    Boolean(bool),
}

impl Export {
    /// Writes flags.
    pub fn of<'a>(flags: impl IntoIterator<Item = &'a Flag>) -> Export {
        let features = flags.into_iter().map(|it| (it.name.clone(), Feature::of(&it.gates)));
        Export { version: VERSION, features: features.collect() }
    }

    /// Reads flags, each with its gates.
    ///
    /// # Errors
    ///
    /// [`BadExport`] names the flag, its gate, and what is wrong with it.
    pub fn read(self) -> Result<Vec<(String, Gates)>, BadExport> {
        if self.version != VERSION {
            return Err(BadExport::Version(self.version));
        }
        let read = |(name, feature): (String, Feature)| {
            feature.read().map(|gates| (name.clone(), gates)).map_err(|(gate, why)| {
                BadExport::Gate { flag: name.chars().take(80).collect(), gate, why }
            })
        };
        self.features.into_iter().map(read).collect()
    }
}

/// A file that is no export of Flipper's, or not one that these flags can take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadExport {
    /// Another version.
    #[error("version {0} of Flipper's export is not known; write version 1")]
    Version(u32),
    /// A gate that cannot be taken over.
    #[error("flag `{flag}`, gate `{gate}`: {why}")]
    Gate {
        /// The flag.
        flag: String,
        /// Its gate.
        gate: &'static str,
        /// Why not.
        why: String,
    },
}

impl Feature {
    fn of(gates: &Gates) -> Feature {
        let share = |it: Percentage| match it.is_zero() {
            true => Value::Null,
            false => Value::String(it.to_string()),
        };
        Feature {
            boolean: if gates.boolean { Value::String("true".to_owned()) } else { Value::Null },
            groups: Some(gates.groups.clone()),
            actors: Some(gates.actors.iter().map(ToString::to_string).collect()),
            expression: gates.expression.as_ref().map_or(Value::Null, |it| it.source().clone()),
            percentage_of_actors: share(gates.percentage_of_actors),
            percentage_of_time: share(gates.percentage_of_time),
        }
    }

    fn read(self) -> Result<Gates, (&'static str, String)> {
        let boolean = match &self.boolean {
            Value::Null | Value::Bool(false) => false,
            Value::Bool(true) => true,
            Value::String(text) if text == "true" => true,
            Value::String(text) if text.is_empty() || text == "false" => false,
            other => return Err(("boolean", format!("`{other}` is neither true nor false"))),
        };
        let expression = match self.expression {
            Value::Null => None,
            Value::Object(object) if object.is_empty() => None,
            json => Some(Expression::new(json).map_err(|bad| ("expression", bad.to_string()))?),
        };
        let actors = self.actors.unwrap_or_default();
        let actors = actors.iter().map(|it| it.parse()).collect::<Result<_, _>>();
        Ok(Gates {
            boolean,
            actors: actors.map_err(|bad: super::super::BadActorId| ("actors", bad.to_string()))?,
            groups: self.groups.unwrap_or_default(),
            expression,
            percentage_of_actors: share("percentage_of_actors", &self.percentage_of_actors)?,
            percentage_of_time: share("percentage_of_time", &self.percentage_of_time)?,
        })
    }
}

fn share(gate: &'static str, value: &Value) -> Result<Percentage, (&'static str, String)> {
    let percent = match value {
        Value::Null => Some(0.0),
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    let percent = percent.ok_or_else(|| (gate, format!("`{value}` is no number")))?;
    Percentage::new(percent).map_err(|bad| (gate, bad.to_string()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn read(feature: Value, expected: &str) {
        let file = json!({ "version": 1, "features": { "beta": feature } });
        let read = serde_json::from_value::<Export>(file).unwrap().read();
        let said = match read {
            Ok(flags) => json!(flags[0].1).to_string(),
            Err(bad) => bad.to_string(),
        };
        assert_eq!(said, expected);
    }

    #[test]
    fn what_flipper_writes_is_read_and_written_alike() {
        let file = json!({ "version": 1, "features": {
            "beta": {
                "boolean": null, "groups": ["admins"], "actors": ["User;1"],
                "expression": { "Equal": [{ "Property": ["admin"] }, true] },
                "percentage_of_actors": "25", "percentage_of_time": "0.5",
            },
            "done": {
                "boolean": "true", "groups": [], "actors": [], "expression": null,
                "percentage_of_actors": null, "percentage_of_time": null,
            },
        } });
        let export: Export = serde_json::from_value(file.clone()).unwrap();
        let flags = export.read().unwrap().into_iter().map(|(name, gates)| Flag {
            name,
            gates,
            description: String::new(),
            created_at: chrono::DateTime::UNIX_EPOCH,
            chosen: true,
            changed: None,
        });
        assert_eq!(json!(Export::of(&flags.collect::<Vec<_>>())), file);
    }

    #[test]
    fn what_cannot_be_taken_over_is_named() {
        read(
            json!({ "boolean": "yes" }),
            "flag `beta`, gate `boolean`: `\"yes\"` is neither true nor false",
        );
        read(
            json!({ "actors": ["1"] }),
            "flag `beta`, gate `actors`: `1` has no `;`: an actor is written `Class;id`, for example `Account;42`",
        );
        read(
            json!({ "percentage_of_time": "many" }),
            "flag `beta`, gate `percentage_of_time`: `\"many\"` is no number",
        );
        let bad = Export { version: 2, features: BTreeMap::new() }.read().unwrap_err();
        assert_eq!(bad.to_string(), "version 2 of Flipper's export is not known; write version 1");
    }
}
