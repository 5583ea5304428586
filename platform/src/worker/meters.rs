//! Counts what ended, and how long it took, for each handler; and how much waits in each queue.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge, histogram::Histogram},
};

use crate::queue::Size;

/// Upper ends of the buckets, in seconds.
const BUCKETS: [f64; 11] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 120.0, 600.0];

/// The numbers of this process's jobs, and of the queues as they were when somebody looked last.
#[derive(Clone, Debug, Default)]
pub struct JobMeters(Arc<Mutex<Numbers>>);

#[derive(Debug, Default)]
struct Numbers {
    handlers: BTreeMap<(String, String), Handler>,
    queues: Vec<Size>,
}

#[derive(Debug)]
struct Handler {
    ended: BTreeMap<&'static str, u64>,
    times: Histogram,
}

impl JobMeters {
    /// Counts a run of a handler that took `time`, by what became of the job.
    pub(super) fn ran(
        &self,
        extension: &str,
        handler: &str,
        outcome: &'static str,
        time: Duration,
    ) {
        let mut numbers = self.numbers();
        let key = (extension.to_owned(), handler.to_owned());
        let handler = numbers
            .handlers
            .entry(key)
            .or_insert_with(|| Handler { ended: BTreeMap::new(), times: Histogram::new(BUCKETS) });
        *handler.ended.entry(outcome).or_default() += 1;
        handler.times.observe(time.as_secs_f64());
    }

    /// How often jobs ended so, by extension, handler and word.
    pub(super) fn ended(&self) -> BTreeMap<(String, String, &'static str), u64> {
        let numbers = self.numbers();
        let all = numbers.handlers.iter().flat_map(|((extension, handler), meter)| {
            let key = |word| (extension.clone(), handler.clone(), word);
            meter.ended.iter().map(move |(word, count)| (key(*word), *count))
        });
        all.collect()
    }

    /// From now on the queues are shown so.
    pub fn look(&self, queues: Vec<Size>) {
        self.numbers().queues = queues;
    }

    fn numbers(&self) -> std::sync::MutexGuard<'_, Numbers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Collector for JobMeters {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let numbers = self.numbers();
        let counter = MetricType::Counter;
        let says = "Runs of jobs in this process, by what became of the job";
        let mut ended = encoder.encode_descriptor("jobs_ended", says, None, counter)?;
        for ((extension, handler), meter) in &numbers.handlers {
            for (outcome, count) in &meter.ended {
                let labels = [
                    ("extension", extension.as_str()),
                    ("handler", handler.as_str()),
                    ("outcome", outcome),
                ];
                ConstCounter::new(*count).encode(ended.encode_family(&labels)?)?;
            }
        }
        let says = "Time that handlers took, in this process";
        let histogram = MetricType::Histogram;
        let mut times = encoder.encode_descriptor("job_seconds", says, None, histogram)?;
        for ((extension, handler), meter) in &numbers.handlers {
            let labels = [("extension", extension.as_str()), ("handler", handler.as_str())];
            meter.times.encode(times.encode_family(&labels)?)?;
        }
        let says = "Jobs in queues, up to 10,000 of each state";
        let gauge = MetricType::Gauge;
        let mut waiting = encoder.encode_descriptor("jobs_waiting", says, None, gauge)?;
        for size in &numbers.queues {
            let states = [
                ("scheduled", size.scheduled),
                ("ready", size.ready),
                ("running", size.running),
                ("blocked", size.blocked),
                ("dead", size.dead),
            ];
            for (state, count) in states {
                let labels = [("queue", size.queue.as_str()), ("state", state)];
                ConstGauge::new(i64::from(count)).encode(waiting.encode_family(&labels)?)?;
            }
        }
        let says = "How long the job waits that is due longest";
        let mut latency =
            encoder.encode_descriptor("jobs_latency_seconds", says, None, MetricType::Gauge)?;
        for size in &numbers.queues {
            let labels = [("queue", size.queue.as_str())];
            let waits = size.latency_ms.unwrap_or(0) as f64 / 1000.0;
            ConstGauge::new(waits).encode(latency.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
