//! `powernode ext`

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use self::{offline::Offline, running::Running};
use super::{
    Output,
    exit::Exit,
    output::{bad, good, table, warn},
    place::{Place, unknown},
};
use crate::{
    config::Settings,
    gate::{Context, Explanation, Gate, Groups},
    package::stage,
};

mod offline;
mod running;

#[derive(Debug, Subcommand)]
pub(super) enum Ext {
    /// Install a built library with its manifest.
    Stage(Stage),
    /// List the extensions, as the last start left them, with their flags as they are now.
    List,
    /// Show all that is known of one.
    Show {
        /// Its slug.
        slug: String,
    },
    /// Say gate by gate why one may be called, or may not; exit code 3 where it may not, or where a path has no route.
    Why {
        /// Its slug, or a path such as `/api/v1/marketing/campaigns`, which a running platform resolves.
        #[arg(value_name = "SLUG|PATH")]
        what: String,
        /// The method of the path.
        #[arg(long, default_value = "GET")]
        method: String,
    },
    /// Switch one on, at once.
    Enable {
        /// Its slug.
        slug: String,
    },
    /// Switch one off, at once.
    Disable {
        /// Its slug.
        slug: String,
        /// By the state file: it is not even loaded from the next start on.
        #[arg(long)]
        at_restart: bool,
    },
    /// Let one out of quarantine, or load again what the state file disabled; counts from the next start on.
    Release {
        /// Its slug.
        slug: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct Stage {
    /// The built library.
    library: PathBuf,
    /// Its manifest.
    #[arg(long, value_name = "FILE")]
    manifest: PathBuf,
    /// Where extensions are installed, if not as the settings say.
    #[arg(long, value_name = "DIR")]
    pub(super) into: Option<PathBuf>,
}

impl Stage {
    pub(super) fn run(
        &self,
        settings: Option<&Settings>,
        output: &Output,
    ) -> anyhow::Result<ExitCode> {
        let configured = settings.map(|it| it.extensions.dir.as_path());
        let Some(into) = self.into.as_deref().or(configured) else {
            anyhow::bail!("where to? `--into DIR`");
        };
        std::fs::create_dir_all(into)?;
        let staged = stage(&self.library, &self.manifest, into)?;
        let value = json!({
            "slug": staged.manifest.slug,
            "version": staged.manifest.version.to_string(),
            "directory": staged.directory,
            "target": staged.triple,
            "library": staged.library,
            "warnings": staged.warnings,
        });
        output.answer(&value, || {
            let slug = &staged.manifest.slug;
            let mut lines = vec![format!(
                "Staged `{slug}` {} in {}; the next start loads it.",
                staged.manifest.version,
                staged.directory.display()
            )];
            lines.extend(staged.warnings.iter().map(|it| format!("warning: {it}")));
            lines.join("\n")
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

/// What either place knows and does of extensions.
pub(super) trait Extensions {
    /// All of them: slug, name, version, state, enabled, code, reason.
    fn list(&self) -> anyhow::Result<Vec<Value>>;
    /// One of them, as far as it is known: its `extension` and its `gates`.
    fn show(&self, slug: &str) -> anyhow::Result<Option<Value>>;
    /// Which extension answers a path, and its gates.
    fn route(&self, method: &str, path: &str) -> anyhow::Result<Value>;
    /// Switches one on or off, at once.
    fn switch(&self, slug: &str, on: bool) -> anyhow::Result<Value>;
    /// Disables one in the state file, or lets it in again.
    fn state(&self, slug: &str, disabled: bool) -> anyhow::Result<Value>;
    /// Lets one out of quarantine.
    fn release(&self, slug: &str) -> anyhow::Result<Value>;
}

/// The extensions of the running platform, or of the data directory.
pub(super) fn extensions<'a>(
    place: &'a Place,
    settings: &'a Settings,
) -> anyhow::Result<Box<dyn Extensions + 'a>> {
    Ok(match place {
        Place::Running(client) => Box::new(Running { client, settings }),
        Place::Data(_) => Box::new(Offline::open(settings)?),
    })
}

impl Ext {
    pub(super) fn run(self, settings: &Settings, output: &Output) -> anyhow::Result<ExitCode> {
        if let Self::Stage(stage) = self {
            return stage.run(Some(settings), output);
        }
        let place = Place::find(settings)?;
        let output = &place.output(output);
        let extensions = extensions(&place, settings)?;
        let find = |slug: &str| {
            extensions.show(slug)?.ok_or_else(|| unknown("extension", slug, "ext list"))
        };
        match self {
            Self::Stage(_) => {}
            Self::List => {
                let rows = extensions.list()?;
                let missing = !settings.extensions.dir.exists();
                let warning = missing.then(|| {
                    format!(
                        "there is no extensions directory `{}`",
                        settings.extensions.dir.display()
                    )
                });
                output.answer(&json!({ "extensions": rows, "warning": warning }), || {
                    let warning = warning.iter().map(|it| format!("{}: {it}\n", warn("warning")));
                    warning.chain([list(&rows)]).collect()
                })?;
            }
            Self::Show { slug } => {
                let value = find(&slug)?;
                output.answer(&value, || show(&value))?;
            }
            Self::Why { what, method } => {
                let (value, yes) = if what.starts_with('/') {
                    let value = extensions.route(&method, &what)?;
                    let yes = value["enabled"] == true;
                    (value, yes)
                } else {
                    let found = match extensions.show(&what)? {
                        Some(found) => found,
                        None => json!({ "gates": absent(&what), "extension": null }),
                    };
                    let yes = found["gates"]["enabled"] == true;
                    let reason = &found["extension"]["reason"];
                    (json!({ "gates": found["gates"], "reason": reason }), yes)
                };
                output.answer(&value, || why(&value))?;
                if !yes {
                    return Ok(Exit::No.into());
                }
            }
            Self::Enable { slug } => switched(output, &extensions.switch(&slug, true)?)?,
            Self::Disable { slug, at_restart: false } => {
                switched(output, &extensions.switch(&slug, false)?)?;
            }
            Self::Disable { slug, at_restart: true } => {
                find(&slug)?;
                let value = extensions.state(&slug, true)?;
                output
                    .answer(&value, || format!("`{slug}` is not loaded from the next start on."))?;
            }
            Self::Release { slug } => {
                let mut value = extensions.release(&slug)?;
                let allowed = extensions.state(&slug, false)?["changed"] == true;
                let released = value["released"] == true;
                if !released && !allowed && extensions.show(&slug)?.is_none() {
                    return Err(unknown("extension", &slug, "ext list"));
                }
                value["allowed"] = allowed.into();
                value["restart_required"] = (allowed || value["restart_required"] == true).into();
                let restart = value["restart_required"] == true;
                output.answer(&value, || match (released || allowed, restart) {
                    (true, true) => format!("`{slug}` is loaded at the next start."),
                    (true, false) => format!("`{slug}` is released."),
                    (false, _) => format!(
                        "`{slug}` was neither in quarantine nor disabled by the state file."
                    ),
                })?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The gates of an extension that is not there.
fn absent(slug: &str) -> Explanation {
    Gate::new(Groups::standard()).explain(slug, None, Context::default())
}

/// The name of an extension's flag.
fn flag_of(slug: &str) -> String {
    format!("{}_mode", slug.replace('-', "_"))
}

fn switched(output: &Output, value: &Value) -> anyhow::Result<()> {
    let word = if value["enabled"] == true { good("on") } else { warn("off") };
    output.answer(value, || format!("`{}` is {word}.", text(&value["slug"])))
}

fn list(rows: &[Value]) -> String {
    if rows.is_empty() {
        return "No extension is installed: `powernode ext stage` installs one.".to_owned();
    }
    let rows: Vec<_> = rows
        .iter()
        .map(|it| {
            let version = it["version"].as_str().unwrap_or("-").to_owned();
            let enabled = if it["enabled"] == true { "on" } else { "off" };
            let why = [&it["why"], &it["reason"]["message"]].into_iter().find_map(Value::as_str);
            let why = why.unwrap_or_default().to_owned();
            vec![text(&it["slug"]), version, text(&it["state"]), enabled.to_owned(), why]
        })
        .collect();
    table(&["EXTENSION", "VERSION", "STATE", "", "WHY"], &rows)
}

/// What is known of one, and then its gates.
fn show(value: &Value) -> String {
    let it = &value["extension"];
    let mut lines =
        vec![[&it["slug"], &it["version"], &it["name"]].map(text).join(" ").trim().to_owned()];
    let mut row = |name: &str, values: Vec<String>| {
        let values = values.iter().filter(|it| !it.is_empty());
        let names = std::iter::once(name).chain(std::iter::repeat(""));
        lines.extend(names.zip(values).map(|(name, value)| format!("  {name:<12}  {value}")));
    };
    let (manifest, library, brings) = (&it["manifest"], &it["library"], &it["contributions"]);
    row("state", vec![text(&it["state"])]);
    row("stays out", vec![text(&it["reason"]["message"])]);
    row("warning", texts(&it["warnings"]));
    row("description", vec![text(&manifest["description"])]);
    row("directory", vec![text(&it["directory"])]);
    row("license", vec![text(&manifest["license"])]);
    row("library", vec![text(&library["sha256"])]);
    let built = ["target", "profile", "rustc", "sdk", "abi"].map(|it| (it, text(&library[it])));
    let built = built.iter().filter(|it| !it.1.is_empty()).map(|(name, it)| format!("{name} {it}"));
    row("built for", vec![built.collect::<Vec<_>>().join(", ")]);
    row("needs", texts(&manifest["dependencies"]));
    row("capabilities", texts(&manifest["capabilities"]));
    row("permissions", texts(&manifest["permissions"]));
    for name in ["routes", "migrations", "seeds"] {
        row(name, texts(&brings[name]));
    }
    lines.push(why(value));
    lines.join("\n")
}

/// The texts of a list, or the names of what is in it.
fn texts(list: &Value) -> Vec<String> {
    let name = |it: &Value| match it {
        Value::String(text) => text.clone(),
        Value::Object(_) => {
            let fields = ["name", "slug", "version"].map(|name| text(&it[name]));
            fields.into_iter().filter(|it| !it.is_empty()).collect::<Vec<_>>().join(" ")
        }
        other => other.to_string(),
    };
    list.as_array().into_iter().flatten().map(name).collect()
}

/// The gates in their order, with what opens each.
fn why(value: &Value) -> String {
    let gates = &value["gates"];
    if gates.is_null() {
        return text(&value["reason"]);
    }
    let (word, reason) = (gates["enabled"] == true, gates["reason"].as_str());
    // A sentence where a path was asked for that has no route.
    let mut lines: Vec<_> = value["reason"].as_str().map(str::to_owned).into_iter().collect();
    lines.push(format!(
        "`{}` is {}{}",
        text(&gates["slug"]),
        if word { good("on") } else { bad("off") },
        reason.map(|it| format!(": {it}")).unwrap_or_default()
    ));
    for step in gates["gates"].as_array().into_iter().flatten() {
        let (mark, paint): (_, fn(&str) -> String) = match step["verdict"].as_str() {
            Some("open") => ("open", good),
            Some("conditional") => ("some", warn),
            _ => ("closed", bad),
        };
        let mark = paint(&format!("{mark:<6}"));
        let reason = text(&step["reason"]);
        lines.push(format!("  {mark}  {:<12}  {reason}", text(&step["gate"])));
        if let Some(by) = step["changed"]["by"].as_str() {
            let at = text(&step["changed"]["at"]);
            lines.push(format!("                        changed by {by} at {at}"));
        }
        if let Some(fix) = step["fix"].as_str() {
            lines.push(format!("                        to open it: {fix}"));
        }
    }
    lines.join("\n")
}

/// A text of an answer; nothing where there is none.
fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
