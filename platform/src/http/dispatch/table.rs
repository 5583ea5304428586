//! The routes of all extensions in one tree; looking one up costs the length of the path, whatever their number.

use std::{collections::BTreeMap, fmt, sync::Arc};

use actix_web::http::Method;
use matchit::{InsertError, Router};

use crate::{http::path::decode, registry::Mounted};

/// The routes of all extensions.
#[derive(Default)]
pub struct Table {
    tree: Router<usize>,
    paths: Vec<Methods>,
}

/// The routes of one pattern.
#[derive(Default)]
struct Methods {
    routes: Vec<(Method, Arc<Mounted>)>,
    allow: String,
}

/// A route that was found.
#[derive(Debug)]
pub struct Found {
    /// The route.
    pub mounted: Arc<Mounted>,
    /// Values of the pattern's parameters, decoded, in order.
    pub values: Vec<String>,
}

/// Why no route was found.
#[derive(Debug, PartialEq, Eq)]
pub enum Missing {
    /// No route has that path.
    Path,
    /// Its routes have other methods: these.
    Method {
        /// For the `Allow` header.
        allow: String,
    },
}

/// A route that the table cannot take, usually beside another.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("the route {method} {pattern} of `{slug}` cannot be mounted: {cause}; change its pattern")]
pub struct Conflict {
    /// Whose route was not added.
    pub slug: String,
    /// Its method.
    pub method: String,
    /// Its pattern.
    pub pattern: String,
    /// What stands there, or what is wrong with the pattern.
    pub cause: String,
}

impl Table {
    /// Adds routes; where one conflicts, the table is not to be used.
    ///
    /// # Errors
    ///
    /// [`Conflict`], naming both.
    pub fn build(mounts: &[Arc<Mounted>]) -> Result<Self, Conflict> {
        let mut table = Self::default();
        let mut known = BTreeMap::new();
        for mounted in mounts {
            let pattern = &mounted.mount.pattern;
            for spelling in spellings(pattern, &mounted.slug) {
                table.add(&spelling, mounted, &mut known)?;
            }
        }
        Ok(table)
    }

    fn add(
        &mut self,
        pattern: &str,
        mounted: &Arc<Mounted>,
        known: &mut BTreeMap<String, usize>,
    ) -> Result<(), Conflict> {
        let conflict = |cause: String| Conflict {
            slug: mounted.slug.clone(),
            method: mounted.mount.method.clone(),
            pattern: mounted.mount.pattern.clone(),
            cause,
        };
        // No request would ever come to it.
        if pattern.contains('%') {
            return Err(conflict("a pattern is text: write `é`, not `%C3%A9`".to_owned()));
        }
        if pattern.ends_with('/') {
            return Err(conflict("it ends with a slash, which is as good as none".to_owned()));
        }
        let at = match known.get(pattern) {
            Some(at) => *at,
            None => {
                let at = self.paths.len();
                self.tree.insert(pattern, at).map_err(|error| {
                    conflict(match error {
                        InsertError::Conflict { with } => format!("it clashes with {with}"),
                        _ => error.to_string(),
                    })
                })?;
                self.paths.push(Methods::default());
                known.insert(pattern.to_owned(), at);
                at
            }
        };
        let method = Method::from_bytes(mounted.mount.method.as_bytes())
            .map_err(|error| conflict(error.to_string()))?;
        let Some(methods) = self.paths.get_mut(at) else { return Ok(()) };
        if let Some((_, other)) = methods.routes.iter().find(|(it, _)| *it == method) {
            return Err(conflict(format!("it clashes with {other:?}")));
        }
        methods.routes.push((method, mounted.clone()));
        methods.allow =
            methods.routes.iter().map(|(it, _)| it.as_str()).collect::<Vec<_>>().join(", ");
        Ok(())
    }

    /// Finds the route of a path as `http/path.rs` reads it; `HEAD` is answered by `GET`.
    ///
    /// # Errors
    ///
    /// [`Missing`].
    pub fn find(&self, method: &Method, path: &str) -> Result<Found, Missing> {
        let matched = self.tree.at(path).map_err(|_| Missing::Path)?;
        let methods = self.paths.get(*matched.value).ok_or(Missing::Path)?;
        let wanted = if *method == Method::HEAD { &Method::GET } else { method };
        let Some((_, mounted)) = methods.routes.iter().find(|(it, _)| it == wanted) else {
            return Err(Missing::Method { allow: methods.allow.clone() });
        };
        let mut values = Vec::with_capacity(matched.params.len());
        for (_, value) in matched.params.iter() {
            values.push(decode(value).ok_or(Missing::Path)?.into_owned());
        }
        Ok(Found { mounted: mounted.clone(), values })
    }

    /// How many routes there are.
    pub fn len(&self) -> usize {
        self.paths.iter().map(|it| it.routes.len()).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }
}

/// The pattern, and where its slug has hyphens, the same with underscores.
fn spellings(pattern: &str, slug: &str) -> Vec<String> {
    let mut spellings = vec![pattern.to_owned()];
    let prefix = format!("{}{slug}", crate::registry::CORE_PREFIX);
    if let Some(rest) = pattern.strip_prefix(&prefix)
        && slug.contains('-')
    {
        let prefix = format!("{}{}", crate::registry::CORE_PREFIX, slug.replace('-', "_"));
        spellings.push(format!("{prefix}{rest}"));
    }
    spellings
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Table of {} routes", self.len())
    }
}
