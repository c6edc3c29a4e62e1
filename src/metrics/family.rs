//! One metric with all its series. Its label names are given once; each series gives their values.

use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};

use judgement::guard::latency::upper_micros;
use memory::counters::LatencyTotals;

/// A metric: its name, its meaning, and its series.
#[derive(Debug)]
pub struct Family {
    pub name: &'static str,
    pub help: &'static str,
    pub labels: &'static [&'static str],
    kind: MetricType,
    series: Vec<Metric>,
}

impl Family {
    pub fn counter(name: &'static str, help: &'static str, labels: &'static [&'static str]) -> Family {
        Family { name, help, labels, kind: MetricType::COUNTER, series: Vec::new() }
    }

    pub fn gauge(name: &'static str, help: &'static str, labels: &'static [&'static str]) -> Family {
        Family { name, help, labels, kind: MetricType::GAUGE, series: Vec::new() }
    }

    pub fn histogram(name: &'static str, help: &'static str, labels: &'static [&'static str]) -> Family {
        Family { name, help, labels, kind: MetricType::HISTOGRAM, series: Vec::new() }
    }

    /// `counter`, `gauge` or `histogram`.
    pub fn kind(&self) -> &'static str {
        match self.kind {
            MetricType::COUNTER => "counter",
            MetricType::HISTOGRAM => "histogram",
            _ => "gauge",
        }
    }

    /// The family, with what `fill` has added to it.
    pub fn with(mut self, fill: impl FnOnce(&mut Family)) -> Family {
        fill(&mut self);
        self
    }

    pub fn count(&mut self, labels: &[&str], value: u64) {
        let mut counter = Counter::default();
        counter.set_value(value as f64);
        self.add(labels).set_counter(counter);
    }

    pub fn set(&mut self, labels: &[&str], value: f64) {
        let mut gauge = Gauge::default();
        gauge.set_value(value);
        self.add(labels).set_gauge(gauge);
    }

    /// Every eighth of the buckets is exported, one per octave from 0.5 ms: enough for a chart, with an eighth of the
    /// series.
    pub fn observe(&mut self, labels: &[&str], seen: &LatencyTotals) {
        let mut histogram = Histogram::default();
        let mut count = 0;
        let mut buckets = Vec::new();
        for (at, here) in seen.buckets.iter().enumerate() {
            count += here;
            if at % 8 == 7
                && let Some(upper) = upper_micros(at)
            {
                let mut bucket = Bucket::default();
                bucket.set_upper_bound(upper as f64 / 1e6);
                bucket.set_cumulative_count(count);
                buckets.push(bucket);
            }
        }
        histogram.set_bucket(buckets);
        histogram.set_sample_count(count);
        histogram.set_sample_sum(seen.sum_micros as f64 / 1e6);
        self.add(labels).set_histogram(histogram);
    }

    /// Adds a series. It needs as many values as the family has labels.
    fn add(&mut self, values: &[&str]) -> &mut Metric {
        debug_assert_eq!(values.len(), self.labels.len(), "{}", self.name);
        let pair = |(name, value): (&&str, &&str)| {
            let mut pair = LabelPair::default();
            pair.set_name((*name).to_owned());
            pair.set_value((*value).to_owned());
            pair
        };
        let mut metric = Metric::default();
        metric.set_label(self.labels.iter().zip(values).map(pair).collect());
        self.series.push_mut(metric)
    }

    /// Keeps the series whose value of a label is wanted, and those without that label.
    pub(super) fn retain(&mut self, label: &str, is_wanted: impl Fn(&str) -> bool) {
        self.series.retain(|series| {
            let mut values = series.get_label().iter().filter(|pair| pair.name() == label);
            values.all(|pair| is_wanted(pair.value()))
        });
    }

    pub(super) fn into_proto(self) -> MetricFamily {
        let mut family = MetricFamily::default();
        family.set_name(format!("cutover_{}", self.name));
        family.set_help(self.help.to_owned());
        family.set_field_type(self.kind);
        family.set_metric(self.series);
        family
    }
}
