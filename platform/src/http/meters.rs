//! Counts requests and their times, for each extension and for the core.
//!
//! The numbers of one extension stand together and are found by its index: a
//! request pays two additions, and no lock.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::{MetricType, counter::ConstCounter, histogram::Histogram},
};

/// Upper ends of the buckets, in seconds.
const BUCKETS: [f64; 11] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0];
/// The name of the core among the extensions.
const CORE: &str = "core";

/// The numbers of all.
#[derive(Debug)]
pub struct Meters {
    all: Vec<Meter>,
}

#[derive(Debug)]
struct Meter {
    slug: String,
    statuses: [AtomicU64; 5],
    panics: AtomicU64,
    blocked: AtomicU64,
    times: Histogram,
}

impl Meters {
    /// For extensions with these slugs, in the order of their numbers.
    pub fn new<'a>(slugs: impl Iterator<Item = &'a str>) -> Self {
        let meter = |slug: &str| Meter {
            slug: slug.to_owned(),
            statuses: Default::default(),
            panics: AtomicU64::new(0),
            blocked: AtomicU64::new(0),
            times: Histogram::new(BUCKETS),
        };
        Self { all: slugs.chain([CORE]).map(meter).collect() }
    }

    /// Counts a request of an extension; of the core where there is no index.
    pub fn observe(&self, index: Option<usize>, status: u16, time: Duration) {
        let Some(meter) = self.meter(index) else { return };
        let class = usize::from(status / 100).saturating_sub(1);
        if let Some(count) = meter.statuses.get(class) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        meter.times.observe(time.as_secs_f64());
    }

    /// Counts a panic.
    pub fn panicked(&self, index: usize) {
        if let Some(meter) = self.all.get(index) {
            meter.panics.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts a poll that blocked its thread.
    pub fn blocked(&self, index: usize) {
        if let Some(meter) = self.all.get(index) {
            meter.blocked.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn meter(&self, index: Option<usize>) -> Option<&Meter> {
        self.all.get(index.unwrap_or(self.all.len().saturating_sub(1)))
    }
}

/// The meters as the registry of metrics reads them.
#[derive(Debug)]
pub struct Reading(pub std::sync::Arc<Meters>);

impl Collector for Reading {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut requests = encoder.encode_descriptor(
            "http_requests",
            "Requests by extension and class of status",
            None,
            MetricType::Counter,
        )?;
        for meter in &self.0.all {
            for (class, count) in meter.statuses.iter().enumerate() {
                let class = format!("{}xx", class + 1);
                let labels = [("extension", meter.slug.as_str()), ("status", class.as_str())];
                let encoder = requests.encode_family(&labels)?;
                ConstCounter::new(count.load(Ordering::Relaxed)).encode(encoder)?;
            }
        }
        let mut times = encoder.encode_descriptor(
            "http_request_seconds",
            "Time from the route to the answer",
            None,
            MetricType::Histogram,
        )?;
        for meter in &self.0.all {
            let labels = [("extension", meter.slug.as_str())];
            meter.times.encode(times.encode_family(&labels)?)?;
        }
        counters(&mut encoder, "extension_panics", "Panics of extensions", &self.0.all, |it| {
            &it.panics
        })?;
        counters(
            &mut encoder,
            "extension_blocked",
            "Polls that blocked a thread",
            &self.0.all,
            |it| &it.blocked,
        )
    }
}

fn counters(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    all: &[Meter],
    count: impl Fn(&Meter) -> &AtomicU64,
) -> Result<(), fmt::Error> {
    let mut descriptor = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for meter in all.iter().filter(|it| it.slug != CORE) {
        let labels = [("extension", meter.slug.as_str())];
        let encoder = descriptor.encode_family(&labels)?;
        ConstCounter::new(count(meter).load(Ordering::Relaxed)).encode(encoder)?;
    }
    Ok(())
}
