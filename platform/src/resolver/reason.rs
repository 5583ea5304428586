use semver::{Version, VersionReq};

use crate::manifest::{Refusal, Slug, Stage};

/// Why an extension does not load.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's sentence says what it and its fields are")]
pub enum Reason {
    #[error("{}", .0.message)]
    Broken(Refusal),
    #[error(
        "it is listed under `disabled` in extensions_state.json; take it out there and restart"
    )]
    Disabled,
    #[error(
        "it works with plugin-api {range}, this platform has {platform}; install a version of it for this platform"
    )]
    Api { range: VersionReq, platform: Version },
    #[error("it names itself among its dependencies; remove that line from its manifest")]
    NeedsItself,
    #[error("it needs `{dependency}`, which is not installed; install that first")]
    Missing { dependency: Slug },
    #[error(
        "it needs `{dependency}` {required}, found {found}; install a version of `{dependency}` that fits"
    )]
    Version { dependency: Slug, required: VersionReq, found: Version },
    #[error("it needs `{dependency}`, which stays out: `{root}`: {reason}")]
    Behind { dependency: Slug, root: String, reason: Box<Reason> },
    #[error("its dependencies lead back to it: {}; remove one of them", arrows(.path))]
    Cycle { path: Vec<Slug> },
    #[error(
        "its tables begin with `{own}`, those of `{other}` with `{others}`, so that one extension's tables could be taken for the other's; rename or uninstall one of them"
    )]
    TablePrefix { own: String, other: Slug, others: String },
    #[error("capability `{capability}` is also declared by `{other}`; disable one of them")]
    Capability { capability: String, other: Slug },
    #[error("permission `{permission}` is also defined by `{other}`; disable one of them")]
    Permission { permission: String, other: Slug },
    #[error(
        "its routes under `{own}` collide with those of `{other}` under `{others}`; disable one of them"
    )]
    RoutePrefix { own: String, other: Slug, others: String },
}

impl Reason {
    /// A stable name of the reason, for programs.
    pub fn code(&self) -> &str {
        match self {
            Self::Broken(refusal) => &refusal.code,
            Self::Disabled => "disabled",
            Self::Api { .. } => "api_range",
            Self::NeedsItself => "dependency_self",
            Self::Missing { .. } => "dependency_missing",
            Self::Version { .. } => "dependency_version",
            Self::Behind { reason, .. } if **reason == Self::Disabled => "dependency_disabled",
            Self::Behind { .. } => "dependency_refused",
            Self::Cycle { .. } => "dependency_cycle",
            Self::TablePrefix { .. } => "table_prefix_conflict",
            Self::Capability { .. } => "capability_conflict",
            Self::Permission { .. } => "permission_conflict",
            Self::RoutePrefix { .. } => "prefix_conflict",
        }
    }

    /// The refusal of the extension `slug`.
    pub fn refusal(&self, slug: &str) -> Refusal {
        match self {
            Self::Broken(refusal) => refusal.clone(),
            _ => Refusal::new(
                Stage::Resolve,
                self.code().to_owned(),
                format_args!("cannot load `{slug}`: {self}"),
            ),
        }
    }

    /// The reason of an extension that needs `dependency`, which stays out for `reason`.
    pub fn behind(dependency: &Slug, reason: &Self) -> Self {
        let (root, reason) = match reason {
            Self::Behind { root, reason, .. } => (root.clone(), reason.clone()),
            own => (dependency.to_string(), Box::new(own.clone())),
        };
        Self::Behind { dependency: dependency.clone(), root, reason }
    }
}

fn arrows(path: &[Slug]) -> String {
    path.iter().map(Slug::as_str).collect::<Vec<_>>().join(" → ")
}
