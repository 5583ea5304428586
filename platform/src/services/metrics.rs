//! Metrics of extensions: made known at run time, read when somebody scrapes.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use powernode_abi::{
    AbiError, Res,
    abi_stable::std_types::{RResult, RSlice, RStr, Tuple2},
    host::{RawMetrics, metric},
};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge, histogram::Histogram},
};

/// Metrics of one extension at most, so that a label that grows cannot fill the memory.
const MOST: usize = 1_000;
/// Upper ends of the buckets, in seconds.
const BUCKETS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

type Labels = Vec<(String, String)>;

/// The metrics of all extensions.
#[derive(Clone, Debug, Default)]
pub struct PluginMetrics(Arc<Mutex<BTreeMap<String, Family>>>);

#[derive(Debug)]
struct Family {
    kind: u32,
    help: String,
    series: BTreeMap<Labels, Arc<Series>>,
}

#[derive(Debug)]
enum Series {
    Number(AtomicU64),
    Histogram(Histogram),
}

/// The metrics service of one extension.
pub struct Metrics {
    slug: String,
    all: PluginMetrics,
    handles: RwLock<Vec<(u32, Arc<Series>)>>,
    known: Mutex<BTreeMap<(String, Labels), u64>>,
}

impl Metrics {
    /// The service of the extension with that slug.
    pub fn new(slug: &str, all: PluginMetrics) -> Self {
        Self { slug: slug.to_owned(), all, handles: RwLock::default(), known: Mutex::default() }
    }

    fn make(&self, kind: u32, name: &str, help: &str, labels: Labels) -> Result<u64, AbiError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(handle) = known.get(&(name.to_owned(), labels.clone())) {
            return Ok(*handle);
        }
        if known.len() >= MOST {
            return Err(AbiError::failed(format!("`{}` has {MOST} metrics already", self.slug)));
        }
        let series = self.all.series(kind, name, help, &self.slug, &labels)?;
        let mut handles = self.handles.write().unwrap_or_else(PoisonError::into_inner);
        let handle = handles.len() as u64;
        handles.push((kind, series));
        known.insert((name.to_owned(), labels), handle);
        Ok(handle)
    }
}

impl PluginMetrics {
    fn series(
        &self,
        kind: u32,
        name: &str,
        help: &str,
        slug: &str,
        labels: &Labels,
    ) -> Result<Arc<Series>, AbiError> {
        if kind > metric::HISTOGRAM {
            return Err(AbiError::failed(format!("`{name}` is of no known kind")));
        }
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let family = all.entry(name.to_owned()).or_insert_with(|| Family {
            kind,
            help: help.to_owned(),
            series: BTreeMap::new(),
        });
        if family.kind != kind {
            return Err(AbiError::failed(format!("`{name}` is a metric of another kind already")));
        }
        let mut labels = labels.clone();
        labels.insert(0, ("extension".to_owned(), slug.to_owned()));
        let series = family.series.entry(labels).or_insert_with(|| {
            Arc::new(match kind {
                metric::HISTOGRAM => Series::Histogram(Histogram::new(BUCKETS)),
                _ => Series::Number(AtomicU64::new(0f64.to_bits())),
            })
        });
        Ok(series.clone())
    }
}

impl RawMetrics for Metrics {
    fn register(
        &self,
        kind: u32,
        name: RStr<'_>,
        help: RStr<'_>,
        labels: RSlice<'_, Tuple2<RStr<'_>, RStr<'_>>>,
    ) -> Res<u64> {
        let labels: Labels = labels.iter().map(|it| (it.0.to_string(), it.1.to_string())).collect();
        let names = labels.iter().map(|(name, _)| name.as_str()).chain([name.as_str()]);
        if let Some(bad) = names.into_iter().find(|it| !is_name(it)) {
            let message =
                format!("`{bad}` is no metric or label name: letters, digits, underscores");
            return RResult::RErr(AbiError::failed(message));
        }
        self.make(kind, name.as_str(), help.as_str(), labels).into()
    }

    fn record(&self, metric: u64, value: f64) {
        let handles = self.handles.read().unwrap_or_else(PoisonError::into_inner);
        let handle = usize::try_from(metric).ok().and_then(|it| handles.get(it));
        let Some((kind, series)) = handle else { return };
        match &**series {
            Series::Histogram(histogram) => histogram.observe(value),
            Series::Number(bits) if *kind == metric::COUNTER => {
                if value.is_finite() && value >= 0.0 {
                    let add = |bits| Some((f64::from_bits(bits) + value).to_bits());
                    // The closure always answers some, so that this cannot fail.
                    let _ = bits.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
                }
            }
            Series::Number(bits) => bits.store(value.to_bits(), Ordering::Relaxed),
        }
    }
}

fn is_name(text: &str) -> bool {
    let mut letters = text.chars();
    letters.next().is_some_and(|it| it.is_ascii_alphabetic() || it == '_')
        && letters.all(|it| it.is_ascii_alphanumeric() || it == '_')
        && text != "extension"
        && text.len() <= 100
}

impl Collector for PluginMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, family) in &*all {
            let kind = match family.kind {
                metric::COUNTER => MetricType::Counter,
                metric::GAUGE => MetricType::Gauge,
                _ => MetricType::Histogram,
            };
            let name = name.strip_suffix("_total").unwrap_or(name);
            let mut descriptor = encoder.encode_descriptor(name, &family.help, None, kind)?;
            for (labels, series) in &family.series {
                let encoder = descriptor.encode_family(labels)?;
                match &**series {
                    Series::Histogram(histogram) => histogram.encode(encoder)?,
                    Series::Number(bits) => {
                        let value = f64::from_bits(bits.load(Ordering::Relaxed));
                        match family.kind {
                            metric::COUNTER => ConstCounter::new(value).encode(encoder)?,
                            _ => ConstGauge::new(value).encode(encoder)?,
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Metrics of `{}`", self.slug)
    }
}
