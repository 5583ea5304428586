//! What operators chose for extensions, held against what each extension's manifest takes.

use serde_json::Value;

use super::scan;
use crate::{
    config::{Origin, Settings, nearest_of},
    manifest::Manifest,
};

/// Something in a section `[extension.<slug>]` that its extension does not take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongChoice {
    /// The setting: `extension.marketing.social_adapter`.
    pub key: String,
    /// Where it was chosen.
    pub origin: Option<Origin>,
    /// What is wrong with it; the value stays out, since it may be a secret.
    pub message: String,
}

impl std::fmt::Display for WrongChoice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { key, origin, message } = self;
        match origin {
            Some(origin) => {
                let out = match origin {
                    Origin::Env(name) => format!("unset {name}, or set it right"),
                    Origin::File(_) => "put it right there, or take it out".to_owned(),
                    Origin::Flag | Origin::Default => {
                        "leave that option out, or set it right".to_owned()
                    }
                };
                write!(f, "setting `{key}` ({origin}): {message}: {out}")
            }
            None => write!(f, "setting `{key}`: {message}"),
        }
    }
}

/// What is wrong with what was chosen for one extension.
pub fn wrong_choices(manifest: &Manifest, settings: &Settings) -> Vec<WrongChoice> {
    let Some(schema) = &manifest.settings else { return Vec::new() };
    let slug = manifest.slug.as_str();
    let section = format!("extension.{slug}");
    let none = Value::Object(serde_json::Map::new());
    let chosen = settings.extension.get(slug).unwrap_or(&none);
    let wrong = |key: String, message: String| {
        let origin = of_setting(settings, &key);
        WrongChoice { key, origin, message }
    };
    match jsonschema::validator_for(&Value::Object(schema.clone())) {
        Ok(validator) => {
            let error = |it: jsonschema::ValidationError<'_>| {
                let path = it.instance_path().to_string().replace('/', ".");
                wrong(format!("{section}{path}"), it.masked().to_string())
            };
            validator.iter_errors(chosen).map(error).collect()
        }
        Err(error) => {
            let message =
                format!("the manifest's `settings` are no JSON Schema: {}", error.masked());
            vec![wrong(section, message)]
        }
    }
}

/// What is wrong with what was chosen for the extensions that are installed, and for others.
pub fn all_wrong_choices(settings: &Settings) -> Vec<WrongChoice> {
    let found = scan(&settings.extensions.dir);
    let manifests: Vec<_> = found.iter().filter_map(|it| it.manifest.as_ref().ok()).collect();
    let mut wrong: Vec<_> = manifests.iter().flat_map(|it| wrong_choices(it, settings)).collect();
    for slug in settings.extension.keys() {
        // One whose manifest is refused is there all the same, and refused for that.
        if manifests.iter().any(|it| it.slug.as_str() == slug)
            || found.iter().any(|it| it.name == *slug)
        {
            continue;
        }
        let key = format!("extension.{slug}");
        let nearest = nearest_of(slug, manifests.iter().map(|it| it.slug.as_str()));
        let instead = nearest.map_or_else(String::new, |it| format!("; the nearest is `{it}`"));
        let message = format!("no extension `{slug}` is installed{instead}");
        wrong.push(WrongChoice { origin: of_setting(settings, &key), key, message });
    }
    wrong
}

/// Where a setting, or the first that stands below it, was chosen.
fn of_setting(settings: &Settings, key: &str) -> Option<Origin> {
    let below = format!("{key}.");
    let rows = settings.explain().iter();
    let found = rows.filter(|it| it.key == key || it.key.starts_with(&below)).map(|it| &it.origin);
    let mut found: Vec<_> = found.cloned().collect();
    if found.is_empty() { None } else { Some(found.remove(0)) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::Sources;

    #[track_caller]
    fn check(chosen: &[(&str, &str)], expected: &[&str]) {
        let manifest = json!({
            "name": "Shop", "slug": "shop", "version": "1.0.0",
            "settings": { "type": "object", "properties": { "most": { "type": "integer" } }, "additionalProperties": false },
        });
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("shop");
        std::fs::create_dir(&place).unwrap();
        std::fs::write(place.join("extension.json"), manifest.to_string()).unwrap();
        let mut flags = vec![("extensions.dir".to_owned(), folder.path().display().to_string())];
        flags.extend(chosen.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        let settings = Settings::load(Sources { flags, ..Sources::default() }).unwrap();
        let found: Vec<_> = all_wrong_choices(&settings).iter().map(ToString::to_string).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn what_an_extension_does_not_take_is_named_by_its_key_and_place() {
        check(&[], &[]);
        check(&[("extension.shop.most", "7")], &[]);
        check(
            &[("extension.shop.most", "secret")],
            &[
                "setting `extension.shop.most` (flag): value is not of type \"integer\": leave that option out, or set it right",
            ],
        );
        check(
            &[("extension.shop.least", "7")],
            &[
                "setting `extension.shop` (flag): Additional properties are not allowed ('least' was unexpected): leave that option out, or set it right",
            ],
        );
        check(
            &[("extension.shap.most", "7")],
            &[
                "setting `extension.shap` (flag): no extension `shap` is installed; the nearest is `shop`: leave that option out, or set it right",
            ],
        );
    }
}
