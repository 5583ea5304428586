//! Metrics of one extension.

use std::{fmt, sync::Arc};

use powernode_abi::{
    abi_stable::std_types::{RSlice, RStr, Tuple2},
    host::{MetricsObject, metric},
};

use crate::error::Result;

/// Makes metrics known; the platform adds the extension's slug as a label.
pub struct Metrics(Arc<MetricsObject>);

/// A number that only grows.
#[derive(Clone)]
pub struct Counter(Handle);

/// A number that is set.
#[derive(Clone)]
pub struct Gauge(Handle);

/// Durations in seconds, counted in buckets.
#[derive(Clone)]
pub struct Histogram(Handle);

impl Metrics {
    pub(crate) fn new(object: MetricsObject) -> Self {
        Self(Arc::new(object))
    }

    /// A counter; the same name and labels answer the same one.
    ///
    /// # Errors
    ///
    /// When the name or a label is no valid name; so for each method.
    pub fn counter(&self, name: &str, help: &str, labels: &[(&str, &str)]) -> Result<Counter> {
        self.register(metric::COUNTER, name, help, labels).map(Counter)
    }

    /// A gauge.
    ///
    /// # Errors
    ///
    /// As [`Metrics::counter`].
    pub fn gauge(&self, name: &str, help: &str, labels: &[(&str, &str)]) -> Result<Gauge> {
        self.register(metric::GAUGE, name, help, labels).map(Gauge)
    }

    /// A histogram.
    ///
    /// # Errors
    ///
    /// As [`Metrics::counter`].
    pub fn histogram(&self, name: &str, help: &str, labels: &[(&str, &str)]) -> Result<Histogram> {
        self.register(metric::HISTOGRAM, name, help, labels).map(Histogram)
    }

    fn register(
        &self,
        kind: u32,
        name: &str,
        help: &str,
        labels: &[(&str, &str)],
    ) -> Result<Handle> {
        let labels: Vec<_> = labels
            .iter()
            .map(|(name, value)| Tuple2(RStr::from(*name), RStr::from(*value)))
            .collect();
        let labels = RSlice::from_slice(&labels);
        let handle = self.0.register(kind, name.into(), help.into(), labels).into_result()?;
        Ok(Handle { metrics: self.0.clone(), handle })
    }
}

impl Counter {
    /// Adds to it.
    pub fn add(&self, amount: u32) {
        self.0.record(f64::from(amount));
    }
}

impl Gauge {
    /// Sets it.
    pub fn set(&self, value: f64) {
        self.0.record(value);
    }
}

impl Histogram {
    /// Counts a value.
    pub fn observe(&self, seconds: f64) {
        self.0.record(seconds);
    }
}

#[derive(Clone)]
struct Handle {
    metrics: Arc<MetricsObject>,
    handle: u64,
}

impl Handle {
    fn record(&self, value: f64) {
        self.metrics.record(self.handle, value);
    }
}

macro_rules! opaque {
    ($($name:ident)*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(stringify!($name))
            }
        }
    )*};
}
opaque! { Metrics Counter Gauge Histogram }
