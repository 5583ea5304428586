//! Whether two sides built apart understand each other.

use abi_stable::{
    StableAbi,
    abi_stability::abi_checking::{AbiInstabilityErrors, check_layout_compatibility},
    type_layout::TypeLayout,
};

use crate::plugin::PluginRootRef;

/// Why two interfaces do not fit.
#[derive(Clone, Debug)]
pub struct Mismatch {
    /// Where and what, on one line.
    pub brief: String,
    /// Everything that differs: thousands of lines, for a debug log.
    pub full: String,
}

/// Compares a library's interface with this side's.
///
/// Either side may be the older one: abi_stable asks that the expected side be
/// the smaller, so it is asked both ways. That is sound, since whatever stands
/// behind a last prefix field is looked up in its maker's description at run time.
///
/// # Errors
///
/// [`Mismatch`] when neither contains the other.
pub fn compatible(theirs: &'static TypeLayout) -> Result<(), Mismatch> {
    let mine = interface();
    let Err(newer) = check_layout_compatibility(mine, theirs) else { return Ok(()) };
    match check_layout_compatibility(theirs, mine) {
        Ok(()) => Ok(()),
        Err(_) => Err(Mismatch { brief: brief(&newer), full: newer.to_string() }),
    }
}

/// The description of this side's interface.
pub fn interface() -> &'static TypeLayout {
    <PluginRootRef as StableAbi>::LAYOUT
}

/// The first difference, with the path that leads to it.
fn brief(errors: &AbiInstabilityErrors) -> String {
    let Some(first) = errors.errors.iter().find(|it| !it.errs.is_empty()) else {
        return "the layouts differ".to_owned();
    };
    let path: Vec<_> = first.stack_trace.iter().map(|it| format!("{}", it.expected)).collect();
    let what = first.errs.first().map(|it| format!("{it:?}")).unwrap_or_default();
    let what: String = what.chars().take(200).collect();
    format!("{}: {}", path.last().cloned().unwrap_or_default(), what)
}
