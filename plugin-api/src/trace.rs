//! Hands `tracing`'s events and spans to the platform's log.
//!
//! The library's copy of `tracing` knows no subscriber of the platform; this one
//! sends each place once, and then numbers.

use std::{
    collections::HashMap,
    fmt::{self, Write as _},
    sync::{
        OnceLock, PoisonError, RwLock,
        atomic::{AtomicU32, Ordering},
    },
};

use powernode_abi::{
    abi_stable::std_types::RStr,
    host::{Callsite, Field, TraceObject, level},
};
use tracing::{
    Event, Metadata, Subscriber,
    callsite::Identifier,
    field::{self, Visit},
    level_filters::LevelFilter,
    span,
    subscriber::Interest,
};

static LEVEL: AtomicU32 = AtomicU32::new(level::OFF);
static INSTALLED: OnceLock<()> = OnceLock::new();

/// Sends everything that this library logs to `trace`; only the first call counts.
pub(crate) fn install(trace: TraceObject) {
    INSTALLED.get_or_init(|| {
        LEVEL.store(trace.max_level(), Ordering::Relaxed);
        let forwarder = Forwarder { trace, callsites: RwLock::default() };
        // Only an extension that installed its own subscriber before can be in the way.
        drop(tracing::subscriber::set_global_default(forwarder));
    });
}

/// The platform's level changed: places that nobody reads are not even called.
pub(crate) fn set_level(level: u32) {
    LEVEL.store(level, Ordering::Relaxed);
    tracing::callsite::rebuild_interest_cache();
}

struct Forwarder {
    trace: TraceObject,
    callsites: RwLock<HashMap<Identifier, u64>>,
}

impl Forwarder {
    fn callsite(&self, metadata: &'static Metadata<'static>) -> u64 {
        let known = self.callsites.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(handle) = known.get(&metadata.callsite()) {
            return *handle;
        }
        drop(known);
        let mut known = self.callsites.write().unwrap_or_else(PoisonError::into_inner);
        *known.entry(metadata.callsite()).or_insert_with(|| self.trace.register(describe(metadata)))
    }
}

impl Subscriber for Forwarder {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if level_of(*metadata.level()) > LEVEL.load(Ordering::Relaxed) {
            return Interest::never();
        }
        // The platform's filter may change, or look at spans: it is asked each time.
        Interest::sometimes()
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let known = self.callsites.read().unwrap_or_else(PoisonError::into_inner);
        // A place that is not known yet is asked about when its event arrives.
        known.get(&metadata.callsite()).is_none_or(|handle| self.trace.enabled(*handle))
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(match LEVEL.load(Ordering::Relaxed) {
            level::OFF => LevelFilter::OFF,
            level::ERROR => LevelFilter::ERROR,
            level::WARN => LevelFilter::WARN,
            level::INFO => LevelFilter::INFO,
            level::DEBUG => LevelFilter::DEBUG,
            _ => LevelFilter::TRACE,
        })
    }

    fn new_span(&self, attributes: &span::Attributes<'_>) -> span::Id {
        let callsite = self.callsite(attributes.metadata());
        let id = with_fields(
            |fields| attributes.record(fields),
            |it| self.trace.span(callsite, it.into()),
        );
        span::Id::from_u64(id.max(1))
    }

    fn record(&self, span: &span::Id, values: &span::Record<'_>) {
        with_fields(|it| values.record(it), |it| self.trace.record(span.into_u64(), it.into()));
    }

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let callsite = self.callsite(event.metadata());
        with_fields(|it| event.record(it), |it| self.trace.event(callsite, it.into()));
    }

    fn enter(&self, span: &span::Id) {
        self.trace.enter(span.into_u64());
    }

    fn exit(&self, span: &span::Id) {
        self.trace.exit(span.into_u64());
    }

    fn clone_span(&self, span: &span::Id) -> span::Id {
        self.trace.share(span.into_u64());
        span.clone()
    }

    fn try_close(&self, span: span::Id) -> bool {
        self.trace.close(span.into_u64());
        false
    }
}

fn describe(metadata: &'static Metadata<'static>) -> Callsite {
    Callsite {
        name: metadata.name().into(),
        target: metadata.target().into(),
        level: level_of(*metadata.level()),
        span: u32::from(metadata.is_span()),
        file: metadata.file().unwrap_or_default().into(),
        line: metadata.line().unwrap_or_default(),
        fields: metadata.fields().iter().map(|it| RStr::from(it.name())).collect(),
    }
}

fn level_of(level: tracing::Level) -> u32 {
    match level {
        tracing::Level::ERROR => level::ERROR,
        tracing::Level::WARN => level::WARN,
        tracing::Level::INFO => level::INFO,
        tracing::Level::DEBUG => level::DEBUG,
        tracing::Level::TRACE => level::TRACE,
    }
}

/// Collects values, and lends them in the form in which they cross.
fn with_fields<T>(record: impl FnOnce(&mut Values), send: impl FnOnce(&[Field<'_>]) -> T) -> T {
    let mut values = Values::default();
    record(&mut values);
    let fields: Vec<_> = values
        .list
        .iter()
        .map(|it| Field {
            index: it.index,
            kind: it.kind,
            bits: it.bits,
            text: values.text.get(it.from..it.to).unwrap_or_default().into(),
        })
        .collect();
    send(&fields)
}

#[derive(Default)]
struct Values {
    list: Vec<Value>,
    text: String,
}

struct Value {
    index: u32,
    kind: u32,
    bits: u64,
    from: usize,
    to: usize,
}

impl Values {
    fn number(&mut self, field: &field::Field, kind: u32, bits: u64) {
        let index = u32::try_from(field.index()).unwrap_or(u32::MAX);
        self.list.push(Value { index, kind, bits, from: 0, to: 0 });
    }

    fn text(&mut self, field: &field::Field, text: fmt::Arguments<'_>) {
        let index = u32::try_from(field.index()).unwrap_or(u32::MAX);
        let from = self.text.len();
        // Writing to a String fails only where the value's own Display does.
        let _ = self.text.write_fmt(text);
        self.list.push(Value { index, kind: 0, bits: 0, from, to: self.text.len() });
    }
}

impl Visit for Values {
    fn record_debug(&mut self, field: &field::Field, value: &dyn fmt::Debug) {
        self.text(field, format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &field::Field, value: &str) {
        self.text(field, format_args!("{value}"));
    }

    fn record_i64(&mut self, field: &field::Field, value: i64) {
        self.number(field, 1, value.cast_unsigned());
    }

    fn record_u64(&mut self, field: &field::Field, value: u64) {
        self.number(field, 2, value);
    }

    fn record_f64(&mut self, field: &field::Field, value: f64) {
        self.number(field, 3, value.to_bits());
    }

    fn record_bool(&mut self, field: &field::Field, value: bool) {
        self.number(field, 4, u64::from(value));
    }
}
