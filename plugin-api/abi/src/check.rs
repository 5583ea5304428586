//! Whether two sides built apart understand each other.

use std::fmt::Display;

use abi_stable::{
    StableAbi,
    abi_stability::abi_checking::{
        AbiInstability, AbiInstabilityErrors, check_layout_compatibility,
    },
    type_layout::{TLFieldOrFunction, TypeLayout},
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

/// The first difference, in a clause: where it is, what this side has, and what the library has.
fn brief(errors: &AbiInstabilityErrors) -> String {
    let Some(first) = errors.errors.iter().find(|it| !it.errs.is_empty()) else {
        return "the layouts differ".to_owned();
    };
    let place = first.stack_trace.last().map(|it| match it.expected {
        TLFieldOrFunction::Field(field) => field.layout().name(),
        TLFieldOrFunction::Function(function) => function.name.as_str(),
    });
    let what = first.errs.first().map(difference).unwrap_or_default();
    format!("in `{}` {what}", place.unwrap_or(errors.interface.name()))
}

fn difference(what: &AbiInstability) -> String {
    let sides = |what: &str, mine: &dyn Display, theirs: &dyn Display| {
        format!("the platform has {what} `{mine}`, the library `{theirs}`")
    };
    match what {
        AbiInstability::UnexpectedField(it) => {
            sides("the field", &it.expected.name(), &it.found.name())
        }
        AbiInstability::FieldCountMismatch(it) => {
            format!("the platform has {} fields, the library {}", it.expected, it.found)
        }
        AbiInstability::Size(it) => {
            format!("the platform has {} bytes, the library {}", it.expected, it.found)
        }
        AbiInstability::Alignment(it) => sides("the alignment", &it.expected, &it.found),
        AbiInstability::Name(it) => sides("the type", &it.expected, &it.found),
        AbiInstability::UnexpectedVariant(it) => sides("the variant", &it.expected, &it.found),
        AbiInstability::TooManyVariants(it) => {
            sides("as many variants as", &it.expected, &it.found)
        }
        AbiInstability::PackageVersion(it) => sides("the version", &it.expected, &it.found),
        other => {
            // The kind alone: what it holds fills pages.
            let text = format!("{other:?}");
            let kind = text.split(|it: char| !it.is_alphanumeric()).next().unwrap_or_default();
            format!("the two sides differ ({kind})")
        }
    }
}
