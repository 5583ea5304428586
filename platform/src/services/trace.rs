//! Writes an extension's events and spans as the platform's own.
//!
//! Each place that logs becomes a place of the platform's `tracing`, once: so the
//! platform's filter applies to it, and file and line are the extension's.

use std::{
    collections::HashMap,
    fmt,
    sync::{Mutex, PoisonError, RwLock},
};

use powernode_abi::{
    abi_stable::std_types::RSlice,
    host::{self, Field, RawTrace, level},
};
use tracing::{
    Event, Level, Metadata,
    callsite::Callsite,
    dispatcher,
    field::{DisplayValue, FieldSet, Value},
    level_filters::LevelFilter,
    metadata::Kind,
    span,
    subscriber::Interest,
};

/// Fields of one place at most: what `tracing` itself allows.
const MOST_FIELDS: usize = 32;

/// The log service of one extension.
pub struct Trace {
    slug: String,
    places: RwLock<Vec<&'static Dynamic>>,
    spans: Mutex<HashMap<u64, OpenSpan>>,
}

/// A place in an extension's source; lives for ever, as `tracing` asks.
struct Dynamic {
    metadata: std::sync::OnceLock<Metadata<'static>>,
}

impl Callsite for Dynamic {
    fn set_interest(&self, _: Interest) {}

    fn metadata(&self) -> &Metadata<'_> {
        self.metadata.get().unwrap_or(&UNKNOWN)
    }
}

static UNKNOWN_PLACE: Dynamic = Dynamic { metadata: std::sync::OnceLock::new() };
static UNKNOWN: Metadata<'static> = Metadata::new(
    "unknown",
    "powernode::extension",
    Level::INFO,
    None,
    None,
    None,
    FieldSet::new(&[], tracing::callsite::Identifier(&UNKNOWN_PLACE)),
    Kind::EVENT,
);

impl Trace {
    /// The service of the extension with that slug.
    pub fn new(slug: &str) -> Self {
        Self { slug: slug.to_owned(), places: RwLock::default(), spans: Mutex::default() }
    }

    fn place(&self, callsite: u64) -> Option<&'static Metadata<'static>> {
        let places = self.places.read().unwrap_or_else(PoisonError::into_inner);
        let place = places.get(usize::try_from(callsite).ok()?)?;
        place.metadata.get()
    }

    fn open_span(&self, span: u64) -> Option<&'static Metadata<'static>> {
        let open = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        open.get(&span).map(|it| it.metadata)
    }
}

impl RawTrace for Trace {
    fn max_level(&self) -> u32 {
        level_of(LevelFilter::current())
    }

    fn register(&self, callsite: host::Callsite) -> u64 {
        let place: &'static Dynamic =
            Box::leak(Box::new(Dynamic { metadata: std::sync::OnceLock::new() }));
        let names: Vec<&'static str> =
            callsite.fields.iter().take(MOST_FIELDS).map(|it| it.as_str()).collect();
        let fields = FieldSet::new(Vec::leak(names), tracing::callsite::Identifier(place));
        let level = match callsite.level {
            level::ERROR => Level::ERROR,
            level::WARN => Level::WARN,
            level::INFO => Level::INFO,
            level::DEBUG => Level::DEBUG,
            _ => Level::TRACE,
        };
        let kind = if callsite.span == 1 { Kind::SPAN } else { Kind::EVENT };
        let metadata = Metadata::new(
            callsite.name.as_str(),
            callsite.target.as_str(),
            level,
            Some(callsite.file.as_str()),
            Some(callsite.line),
            None,
            fields,
            kind,
        );
        // The cell is new, so that this sets it.
        let _ = place.metadata.set(metadata);
        tracing::callsite::register(place);
        let mut places = self.places.write().unwrap_or_else(PoisonError::into_inner);
        places.push(place);
        (places.len() - 1) as u64
    }

    fn enabled(&self, callsite: u64) -> bool {
        self.place(callsite).is_some_and(|it| dispatcher::get_default(|to| to.enabled(it)))
    }

    fn event(&self, callsite: u64, fields: RSlice<'_, Field<'_>>) {
        let Some(metadata) = self.place(callsite) else { return };
        with_values(metadata, fields.as_slice(), |values| {
            dispatcher::get_default(|to| {
                if to.enabled(metadata) {
                    to.event(&Event::new(metadata, values));
                }
            });
        });
    }

    fn span(&self, callsite: u64, fields: RSlice<'_, Field<'_>>) -> u64 {
        let Some(metadata) = self.place(callsite) else { return NO_SPAN };
        with_values(metadata, fields.as_slice(), |values| {
            dispatcher::get_default(|to| {
                if !to.enabled(metadata) {
                    return NO_SPAN;
                }
                let id = to.new_span(&span::Attributes::new(metadata, values)).into_u64();
                let mut open = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
                open.insert(id, OpenSpan { metadata, handles: 1 });
                id
            })
        })
    }

    fn record(&self, span: u64, fields: RSlice<'_, Field<'_>>) {
        let Some(metadata) = self.open_span(span) else { return };
        with_values(metadata, fields.as_slice(), |values| {
            dispatcher::get_default(|to| {
                to.record(&span::Id::from_u64(span), &span::Record::new(values));
            });
        });
    }

    fn enter(&self, span: u64) {
        if self.open_span(span).is_some() {
            dispatcher::get_default(|to| to.enter(&span::Id::from_u64(span)));
        }
    }

    fn exit(&self, span: u64) {
        if self.open_span(span).is_some() {
            dispatcher::get_default(|to| to.exit(&span::Id::from_u64(span)));
        }
    }

    fn share(&self, span: u64) {
        let mut open = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(it) = open.get_mut(&span) {
            it.handles += 1;
        }
    }

    fn close(&self, span: u64) {
        let mut open = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(it) = open.get_mut(&span) else { return };
        it.handles -= 1;
        if it.handles == 0 {
            open.remove(&span);
            drop(open);
            dispatcher::get_default(|to| to.try_close(span::Id::from_u64(span)));
        }
    }
}

/// The id of a span that nobody wants.
const NO_SPAN: u64 = u64::MAX;

/// A span of the platform's that the extension holds.
///
/// Ids from the extension are looked up here: an invented one would end the process inside `tracing`'s registry.
struct OpenSpan {
    metadata: &'static Metadata<'static>,
    handles: usize,
}

/// Lends the values in the order of the place's fields.
fn with_values<T>(
    metadata: &'static Metadata<'static>,
    fields: &[Field<'_>],
    send: impl FnOnce(&tracing::field::ValueSet<'_>) -> T,
) -> T {
    let count = metadata.fields().len();
    let mut owned: [Option<Owned<'_>>; MOST_FIELDS] = [const { None }; MOST_FIELDS];
    for field in fields {
        let slot = usize::try_from(field.index).ok().filter(|it| *it < count);
        if let Some(slot) = slot.and_then(|it| owned.get_mut(it)) {
            *slot = Some(match field.kind {
                1 => Owned::Signed(field.bits.cast_signed()),
                2 => Owned::Unsigned(field.bits),
                3 => Owned::Float(f64::from_bits(field.bits)),
                4 => Owned::Bool(field.bits != 0),
                _ => Owned::Text(tracing::field::display(field.text.as_str())),
            });
        }
    }
    let mut values: [Option<&dyn Value>; MOST_FIELDS] = [None; MOST_FIELDS];
    for (value, owned) in values.iter_mut().zip(&owned) {
        *value = owned.as_ref().map(Owned::as_value);
    }
    send(&metadata.fields().value_set_all(values.get(..count).unwrap_or_default()))
}

enum Owned<'a> {
    Text(DisplayValue<&'a str>),
    Signed(i64),
    Unsigned(u64),
    Float(f64),
    Bool(bool),
}

impl Owned<'_> {
    fn as_value(&self) -> &dyn Value {
        match self {
            Self::Text(it) => it,
            Self::Signed(it) => it,
            Self::Unsigned(it) => it,
            Self::Float(it) => it,
            Self::Bool(it) => it,
        }
    }
}

/// The boundary's number of a level filter.
pub fn level_of(filter: LevelFilter) -> u32 {
    match filter {
        LevelFilter::OFF => level::OFF,
        LevelFilter::ERROR => level::ERROR,
        LevelFilter::WARN => level::WARN,
        LevelFilter::INFO => level::INFO,
        LevelFilter::DEBUG => level::DEBUG,
        _ => level::TRACE,
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Trace of `{}`", self.slug)
    }
}
