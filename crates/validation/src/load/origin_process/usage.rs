//! Sums and peaks of the samples of an origin's processes.

use wire::OriginUse;

/// Linux counts the CPU time of processes in hundredths of a second for programs, whatever the kernel's own clock is.
const TICKS_A_SECOND: f64 = 100.0;

/// What all processes of an origin have at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResourceSample {
    /// Of a clock that only grows, in microseconds.
    pub at: u64,
    pub cpu_ticks: u64,
    pub memory_bytes: u64,
    /// `None`: they belong to another user.
    pub open_files: Option<u64>,
    pub threads: u64,
}

#[derive(Clone, Debug, Default)]
pub struct UsageTotal {
    first: Option<u64>,
    last: ResourceSample,
    cpu_ticks: u64,
    memory_peak: u64,
    open_files_peak: Option<u64>,
    threads_peak: u64,
}

impl UsageTotal {
    pub fn add(&mut self, sample: ResourceSample) {
        if self.first.is_none() {
            self.first = Some(sample.at);
        } else {
            // A process that was handed to another parent takes its time along: that is no use of CPU, nor its opposite.
            self.cpu_ticks += sample.cpu_ticks.saturating_sub(self.last.cpu_ticks);
        }
        self.memory_peak = self.memory_peak.max(sample.memory_bytes);
        self.open_files_peak = self.open_files_peak.max(sample.open_files);
        self.threads_peak = self.threads_peak.max(sample.threads);
        self.last = sample;
    }

    /// `None` without two samples.
    pub fn used(&self) -> Option<OriginUse> {
        let seconds = self.last.at.checked_sub(self.first?).filter(|micros| *micros > 0)? as f64 / 1e6;
        let cpu_seconds = self.cpu_ticks as f64 / TICKS_A_SECOND;
        Some(OriginUse {
            cpu_seconds,
            cores: cpu_seconds / seconds,
            memory_peak_bytes: self.memory_peak,
            open_files_peak: self.open_files_peak,
            threads_peak: self.threads_peak,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_is_summed_over_the_time_and_the_rest_are_peaks() {
        let mut total = UsageTotal::default();
        assert_eq!(total.used(), None);
        let sample = |at, cpu_ticks, memory_bytes, threads| ResourceSample {
            at,
            cpu_ticks,
            memory_bytes,
            threads,
            open_files: Some(threads),
        };
        total.add(sample(1_000_000, 5_000, 10, 3));
        assert_eq!(total.used(), None);
        total.add(sample(2_000_000, 5_100, 90, 9));
        // A worker that had used 1,000 was handed to another parent.
        total.add(sample(2_500_000, 4_100, 40, 4));
        total.add(sample(3_000_000, 4_150, 40, 4));
        let used = total.used().unwrap();
        assert_eq!((used.cpu_seconds, used.cores), (1.5, 0.75));
        assert_eq!((used.memory_peak_bytes, used.threads_peak, used.open_files_peak), (90, 9, Some(9)));
    }
}
