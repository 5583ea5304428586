//! Sound extensions, and wrong ones beside them, each with what must become of it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use powernode_tests::{
    instance::Instance,
    library::{Library, Package},
    report::{Failure, Report},
    setup::Setup,
};
use serde_json::Value;

/// How many sound ones serve beside the wrong ones.
const SOUND: usize = 9;

/// A place with nine sound extensions, where wrong ones are planted.
pub(crate) struct Bench {
    pub(crate) setup: Setup,
    faulty: Library,
    cases: Vec<Case>,
    slugs: usize,
}

/// One wrong extension.
struct Case {
    name: String,
    slug: String,
    expected: String,
}

/// What became of it.
pub(crate) struct Row {
    pub(crate) case: String,
    pub(crate) outcome: String,
    pub(crate) message: String,
}

/// Where one extension is planted.
pub(crate) struct Plot {
    /// Its slug.
    pub(crate) slug: String,
    /// Its directory, which is not there yet.
    pub(crate) directory: PathBuf,
    faulty: Library,
}

impl Plot {
    /// The library, stamped for this extension.
    pub(crate) fn library(&self) -> Result<Library> {
        self.faulty.stamped(&self.slug)
    }

    /// The extension, with nothing wrong yet.
    pub(crate) fn package(&self) -> Result<Package> {
        Ok(Package::new(&self.slug, self.library()?))
    }

    /// The extension around another library, with nothing wrong in the manifest.
    pub(crate) fn around(&self, library: &Library) -> Result<()> {
        Package::new(&self.slug, library.clone()).write(&self.directory)
    }

    /// Changes the manifest of an otherwise sound extension.
    pub(crate) fn manifest(&self, change: impl FnOnce(&mut Value)) -> Result<()> {
        let mut package = self.package()?;
        change(&mut package.manifest);
        package.write(&self.directory)
    }

    /// Writes any bytes as the manifest of an otherwise sound extension.
    pub(crate) fn text(&self, manifest: impl AsRef<[u8]>) -> Result<()> {
        self.package()?.write(&self.directory)?;
        Ok(fs::write(self.directory.join("extension.json"), manifest)?)
    }
}

impl Bench {
    pub(crate) fn new(faulty: &Library) -> Result<Self> {
        let setup = Setup::new()?
            .with_setting("extensions.probe_timeout", "3s")
            .with_setting("extensions.init_timeout", "2s")
            .with_setting("limits.per_address", "1000000")
            .with_setting("limits.per_token", "1000000");
        for number in 1..=SOUND {
            let slug = sound(number);
            let package = Package::new(&slug, faulty.stamped(&slug)?);
            package.write(&setup.extensions().join(&slug))?;
        }
        Ok(Self { setup, faulty: faulty.clone(), cases: Vec::new(), slugs: 0 })
    }

    /// Takes a place for an extension, of which nothing is expected yet.
    pub(crate) fn plot(&mut self) -> Plot {
        self.slugs += 1;
        let slug = format!("wrong-{:05}", self.slugs);
        let directory = self.setup.extensions().join(&slug);
        Plot { slug, directory, faulty: self.faulty.clone() }
    }

    /// Expects `stage code` of an extension, or `started`.
    pub(crate) fn expect(&mut self, name: &str, slug: &str, expected: &str) {
        let (name, slug) = (name.to_owned(), slug.to_owned());
        self.cases.push(Case { name, slug, expected: expected.to_owned() });
    }

    /// Plants one wrong extension.
    pub(crate) fn plant(
        &mut self,
        name: &str,
        expected: &str,
        plant: impl FnOnce(&Plot) -> Result<()>,
    ) -> Result<()> {
        let plot = self.plot();
        plant(&plot).map_err(|error| error.context(format!("planting `{name}`")))?;
        self.expect(name, &plot.slug, expected);
        Ok(())
    }

    /// Plants a sound extension whose settings say what it does wrong.
    pub(crate) fn fault(&mut self, name: &str, fault: &str, expected: &str) -> Result<String> {
        let plot = self.plot();
        plot.package()?.write(&plot.directory)?;
        self.set(&format!("extension.{}.fault", plot.slug), fault)?;
        self.expect(name, &plot.slug, expected);
        Ok(plot.slug)
    }

    /// Sets a setting of the platform.
    pub(crate) fn set(&mut self, key: &str, value: &str) -> Result<()> {
        self.setup.set(key, value);
        Ok(())
    }

    /// Starts the platform, and holds what became of each case against what is expected.
    pub(crate) fn run(self, report: &mut Report, rows: &mut Vec<Row>) -> Result<Instance> {
        let instance = self.setup.start()?;
        for case in &self.cases {
            check(&instance, report, rows, &case.name, &case.slug, &case.expected)?;
        }
        let beside = self.cases.first().map_or("", |it| it.name.as_str());
        check_sound(&instance, report, beside);
        Ok(instance)
    }
}

/// Holds what became of an extension against what is expected.
pub(crate) fn check(
    instance: &Instance,
    report: &mut Report,
    rows: &mut Vec<Row>,
    name: &str,
    slug: &str,
    expected: &str,
) -> Result<Outcome> {
    let outcome = look(instance, slug).with_context(|| name.to_owned())?;
    let held =
        if outcome.state == "started" { served(instance, slug) } else { refused(instance, slug) };
    let found = match held {
        Ok(()) => outcome.state(),
        Err(error) => format!("{}, but {error:#}", outcome.state()),
    };
    report.case(name, expected, found.clone());
    let message = if outcome.message.is_empty() { &outcome.warnings } else { &outcome.message };
    rows.push(Row { case: name.to_owned(), outcome: found, message: message.clone() });
    Ok(outcome)
}

/// The sound ones serve, all nine of them.
pub(crate) fn check_sound(instance: &Instance, report: &mut Report, beside: &str) {
    for number in 1..=SOUND {
        let slug = sound(number);
        let outcome = served(instance, &slug).map_err(|error| Failure {
            case: format!("{slug} beside `{beside}`"),
            expected: "200".to_owned(),
            got: format!("{error:#}"),
        });
        report.count(outcome);
    }
}

pub(crate) fn sound(number: usize) -> String {
    format!("sound-{number:05}")
}

/// What the command line says of an extension.
#[derive(Debug)]
pub(crate) struct Outcome {
    state: String,
    stage: String,
    code: String,
    pub(crate) message: String,
    pub(crate) warnings: String,
    pub(crate) sha256: String,
}

impl Outcome {
    fn of(shown: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let reason = &shown["reason"];
        Self {
            state: text(&shown["state"]),
            stage: text(&reason["stage"]),
            code: text(&reason["code"]),
            message: text(&reason["message"]),
            warnings: shown["warnings"].as_array().into_iter().flatten().map(text).collect(),
            sha256: text(&shown["library"]["sha256"]),
        }
    }

    /// `stage code` where it was refused, its state where not.
    pub(crate) fn state(&self) -> String {
        if self.code.is_empty() {
            self.state.clone()
        } else {
            format!("{} {}", self.stage, self.code)
        }
    }
}

/// What became of an extension; admin API, `ext show` and `ext why` must say the same.
pub(crate) fn look(instance: &Instance, slug: &str) -> Result<Outcome> {
    let shown = instance.cli(&["ext", "show", slug, "--json"])?.json()?;
    let outcome = Outcome::of(&shown["extension"]);
    let why = instance.cli(&["ext", "why", slug, "--json"])?;
    let reason = why.json()?["reason"].clone();
    let code = reason["code"].as_str().unwrap_or_default();
    ensure!(code == outcome.code, "`ext why` says {reason}, `ext show` {outcome:?}");
    let open = outcome.state == "started";
    ensure!(why.code == Some(if open { 0 } else { 3 }), "`ext why` ended with {:?}", why.code);
    ensure!(
        open || !outcome.message.is_empty() || outcome.state == "disabled",
        "no reason: {outcome:?}"
    );
    let answer = instance.operator().get(&format!("/api/v1/admin/extensions/{slug}"))?;
    ensure!(answer.status == 200, "the admin API answers {}: {}", answer.status, answer.text());
    let told = Outcome::of(&answer.data());
    ensure!(
        (told.state(), &told.message) == (outcome.state(), &outcome.message),
        "the admin API says {told:?}, the command line {outcome:?}"
    );
    Ok(outcome)
}

/// It answers, as the extension that it is.
pub(crate) fn served(instance: &Instance, slug: &str) -> Result<()> {
    let client = instance.anonymous();
    let answer = client.get(&format!("/api/v1/{slug}/ok"))?;
    ensure!(answer.status == 200, "its route answers {}: {}", answer.status, answer.text());
    ensure!(answer.data().is_u64(), "its route answers {}", answer.text());
    Ok(())
}

/// Nobody answers for it, and the answer is the platform's.
pub(crate) fn refused(instance: &Instance, slug: &str) -> Result<()> {
    let answer = instance.anonymous().get(&format!("/api/v1/{slug}/ok"))?;
    let failure = answer.failure();
    let names_it = failure.starts_with("404 EXTENSION_") || failure == "503 EXTENSION_QUARANTINED";
    ensure!(names_it, "its route answers {failure}");
    Ok(())
}

/// A path that lies outside of the extensions' directory, where nobody looks.
pub(crate) fn outside(setup: &Setup, name: &str) -> Result<PathBuf> {
    let path = setup.directory().join("outside");
    fs::create_dir_all(&path)?;
    Ok(path.join(name))
}

/// Opens a path up for everybody.
pub(crate) fn chmod(path: &Path, mode: u32) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(mode))?)
}
