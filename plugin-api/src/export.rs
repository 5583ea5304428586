//! Makes a library of an extension.

use std::{collections::BTreeMap, panic, sync::Arc};

use powernode_abi::{
    AbiError, Guarded, HostObject, JobHandlerDef, MigrationDef, PFuture, PluginObject, RawRoute,
    Res,
    abi_stable::{
        sabi_trait::TD_Opaque,
        std_types::{ROption, RResult, RStr, RString, RVec},
    },
    guard,
    host::Id,
    plugin::{RawPlugin, RawPlugin_TO, SeedDef},
    providers::ProviderDef,
};
use serde::Serialize;
use uuid::Uuid;

pub use {schemars, serde};

use crate::{
    Host,
    channels::Channels,
    events::Events,
    extension::{Description, Extension, Seeds},
    jobs::{self, JobOptions, Jobs},
    providers::Providers,
    request::Shared,
    routes::Routes,
    trace,
};

/// Exports an extension from a `cdylib`.
///
/// ```text
/// powernode_plugin_api::export_extension!(Shop, slug = "shop");
/// ```
///
/// The slug is the manifest's; the version is the crate's.
#[macro_export]
macro_rules! export_extension {
    ($extension:ty, slug = $slug:literal) => {
        const _: () = {
            use $crate::abi::abi_stable::{
                library::{
                    __call_root_module_loader, CheckTypeLayout, LibHeader, RootModuleResult,
                },
                prefix_type::PrefixTypeTrait,
            };
            use $crate::abi::{PluginObject, PluginRoot, PluginRootRef, Res, note};

            const PARTS: [&str; note::PARTS] =
                note::parts($crate::VERSION, $slug, env!("CARGO_PKG_VERSION"));

            #[unsafe(no_mangle)]
            #[cfg_attr(target_vendor = "apple", unsafe(link_section = "__DATA,__powernode"))]
            #[cfg_attr(not(target_vendor = "apple"), unsafe(link_section = "powernode_note"))]
            pub static POWERNODE_NOTE: [u8; note::len(&PARTS)] = note::join(&PARTS);

            extern "C" fn create(host: $crate::abi::HostObject) -> Res<PluginObject> {
                // Kept as bytes of the file, not folded into code, so that a tool can make copies
                // of a library for other slugs.
                let slug = ::core::hint::black_box($slug);
                $crate::export::create::<$extension>(host, slug, env!("CARGO_PKG_VERSION"))
            }

            fn root() -> PluginRootRef {
                PluginRoot { create }.leak_into_prefix()
            }

            extern "C" fn load() -> RootModuleResult {
                __call_root_module_loader(root)
            }

            // The name and the type are abi_stable's, so that its own tools read the library too.
            #[unsafe(no_mangle)]
            #[allow(non_upper_case_globals, reason = "abi_stable chose the name")]
            pub static _1as_0lib_1header_0root_bmodule_bloader: LibHeader = {
                // SAFETY: `load` answers a `PluginRootRef`.
                unsafe { LibHeader::from_constructor::<PluginRootRef>(load, CheckTypeLayout::Yes) }
            };
        };
    };
}

/// Makes the extension; called by what [`export_extension!`](crate::export_extension) exports.
#[doc(hidden)]
pub fn create<E: Extension>(host: HostObject, slug: &str, version: &str) -> Res<PluginObject> {
    guard(|| {
        trace::install(host.trace());
        panic::set_hook(Box::new(report_panic));
        made::<E>(host, slug, version)
    })
}

/// The same, but for what the whole library shares.
pub(crate) fn made<E: Extension>(
    host: HostObject,
    slug: &str,
    version: &str,
) -> Result<PluginObject, AbiError> {
    let given = host.slug();
    if given != slug {
        let message = format!("the library is `{slug}`, and was loaded as `{given}`");
        return Err(AbiError::failed(message));
    }
    let description = Description {
        slug: slug.to_owned(),
        version: version.to_owned(),
        sdk: crate::VERSION.to_owned(),
    };
    let host = Host::new(&host);
    jobs::know(collected::<E>);
    let extension = E::new(&host)?;
    let shared = Guarded::new(Arc::new(Shared { host, extension }));
    Ok(RawPlugin_TO::from_value(Adapter { shared, description }, TD_Opaque))
}

/// What the handlers say of themselves.
fn collected<E: Extension>() -> BTreeMap<String, JobOptions> {
    jobs_of::<E>().options()
}

fn jobs_of<E: Extension>() -> Jobs<E> {
    let mut jobs = Jobs::new();
    E::jobs(&mut jobs);
    jobs
}

fn events_of<E: Extension>() -> Events<E> {
    let mut events = Events::new();
    E::events(&mut events);
    events
}

fn json(value: &impl Serialize) -> Result<RString, AbiError> {
    let text = serde_json::to_string(value);
    text.map(RString::from).map_err(|error| AbiError::failed(error.to_string()))
}

/// The library's panics, written to the platform's log: its hook is not the platform's.
fn report_panic(info: &panic::PanicHookInfo<'_>) {
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    let text = info.payload_as_str().unwrap_or("a panic without text");
    tracing::error!(place, "panicked: {text}");
}

struct Adapter<E> {
    shared: Guarded<Arc<Shared<E>>>,
    description: Description,
}

impl<E: Extension> RawPlugin for Adapter<E> {
    fn describe(&self) -> Res<RString> {
        guard(|| json(&self.description))
    }

    fn routes(&self) -> Res<RVec<RawRoute>> {
        guard(|| {
            let mut routes = Routes::new();
            E::routes(&mut routes);
            Ok(routes.into_raw(&self.shared).into())
        })
    }

    fn migrations(&self) -> Res<RVec<MigrationDef>> {
        guard(|| Ok(E::migrations().into()))
    }

    fn seeds(&self) -> Res<RVec<SeedDef>> {
        guard(|| {
            let mut seeds = Seeds::new(self.shared.host.clone());
            E::seeds(&mut seeds);
            Ok(seeds.into_raw().into())
        })
    }

    fn available(&self, capability: RStr<'_>, account: ROption<Id>) -> Res<bool> {
        let account = account.map(|it| Uuid::from_bytes(it.0)).into_option();
        guard(|| Ok(self.shared.extension.available(capability.as_str(), account)))
    }

    fn start(&self) -> PFuture<Res<()>> {
        let shared = Arc::clone(&self.shared);
        PFuture::new(async move {
            match shared.extension.start().await {
                Ok(()) => RResult::ROk(()),
                Err(error) => RResult::RErr(error.into()),
            }
        })
    }

    fn stop(&self) -> PFuture<Res<()>> {
        let shared = Arc::clone(&self.shared);
        PFuture::new(async move {
            match shared.extension.stop().await {
                Ok(()) => RResult::ROk(()),
                Err(error) => RResult::RErr(error.into()),
            }
        })
    }

    fn level_changed(&self, level: u32) {
        trace::set_level(level);
    }

    fn handlers(&self) -> Res<RVec<JobHandlerDef>> {
        guard(|| {
            let mut handlers = jobs_of::<E>().into_raw(&self.shared);
            handlers.extend(events_of::<E>().into_raw(&self.shared));
            Ok(handlers.into())
        })
    }

    fn schedules(&self) -> Res<RString> {
        guard(|| json(&jobs_of::<E>().into_schedules()?))
    }

    fn subscriptions(&self) -> Res<RString> {
        guard(|| json(&events_of::<E>().defs()))
    }

    fn providers(&self) -> Res<RVec<ProviderDef>> {
        guard(|| {
            let mut providers = Providers::new();
            E::providers(&mut providers);
            Ok(providers.into_raw(&self.shared).into())
        })
    }

    fn channels(&self) -> Res<RString> {
        guard(|| {
            let mut channels = Channels::new();
            E::channels(&mut channels);
            json(&channels.into_defs())
        })
    }
}

#[cfg(test)]
mod tests {
    use powernode_abi::abi_stable::library::ROOT_MODULE_LOADER_NAME;

    #[test]
    fn the_exported_name_is_the_one_that_is_looked_up() {
        let exported = format!("pub static {ROOT_MODULE_LOADER_NAME}: LibHeader");
        assert!(include_str!("export.rs").contains(&exported), "{exported}");
    }
}
