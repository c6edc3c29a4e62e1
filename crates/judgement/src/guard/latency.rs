//! Latency in log-linear buckets: eight per octave from 0.5 ms on, so a quantile is off by at most an eighth.
//!
//! Fixed buckets that only count up can be shared by the request path (one increment), Prometheus (cumulative sums) and
//! the judge (differences). HdrHistogram (Tene) has the same layout, with settings that are not needed here.

/// Buckets 0..8 are 62.5 µs wide each, up to 0.5 ms; then eight per octave; the last one holds everything from 65.5 s
/// on.
pub const BUCKETS: usize = 145;

/// 1/16 ms: the width of the first buckets.
const UNIT_US_NUMERATOR: u64 = 125;
const UNIT_US_DENOMINATOR: u64 = 2;

/// The bucket of a latency in microseconds.
#[inline]
pub const fn bucket_of(micros: u64) -> usize {
    let units = micros.saturating_mul(UNIT_US_DENOMINATOR) / UNIT_US_NUMERATOR;
    if units < 16 {
        return units as usize;
    }
    let octave = (units.ilog2() - 3) as usize;
    let bucket = 8 * octave + (units >> octave) as usize;
    if bucket < BUCKETS { bucket } else { BUCKETS - 1 }
}

/// The first whole microsecond after a bucket; the last bucket has no end.
pub const fn upper_micros(bucket: usize) -> Option<u64> {
    if bucket + 1 >= BUCKETS {
        return None;
    }
    let next = bucket as u64 + 1;
    let units = if next < 16 { next } else { (8 + next % 8) << (next / 8 - 1) };
    Some((units * UNIT_US_NUMERATOR).div_ceil(UNIT_US_DENOMINATOR))
}

/// The latency below which a share `q` of the counts lies, in microseconds, interpolated within its bucket; `None` if
/// empty.
pub fn quantile(counts: &[u64], q: f64) -> Option<u64> {
    let total: u64 = counts.iter().sum();
    if total == 0 {
        return None;
    }
    let rank = ((q * total as f64).ceil() as u64).clamp(1, total);
    let mut before = 0;
    for (bucket, count) in counts.iter().enumerate() {
        if before + count >= rank {
            let lower = bucket.checked_sub(1).and_then(upper_micros).unwrap_or(0);
            let upper = upper_micros(bucket).unwrap_or(lower);
            return Some(lower + (upper - lower) * (rank - before) / count);
        }
        before += count;
    }
    None
}

/// How many are slower than a latency, but for those in its own bucket.
pub fn slower_than(counts: &[u64], micros: u64) -> u64 {
    counts.iter().skip(bucket_of(micros) + 1).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_meet_without_gap_and_stay_within_an_eighth() {
        let mut lower = 0;
        for bucket in 0..BUCKETS - 1 {
            let upper = upper_micros(bucket).unwrap();
            assert!(upper > lower, "bucket {bucket}");
            assert_eq!(bucket_of(upper), bucket + 1, "{upper} µs opens bucket {}", bucket + 1);
            assert_eq!(bucket_of(upper - 1), bucket, "{} µs is still in bucket {bucket}", upper - 1);
            assert!(bucket < 8 || (upper - lower - 1) * 8 <= lower, "bucket {bucket} is too wide");
            lower = upper;
        }
        assert!((60_000_000..70_000_000).contains(&lower), "{lower}");
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_come_within_an_eighth_of_the_truth() {
        let mut counts = [0_u64; BUCKETS];
        for ms in 1..=10_000_u64 {
            counts[bucket_of(ms * 1000)] += 1;
        }
        for q in [0.01, 0.5, 0.95, 0.99, 1.0] {
            let got = quantile(&counts, q).unwrap() as f64;
            assert!((got / (q * 1e7) - 1.0).abs() < 0.125, "{q}: {got}");
        }
        assert_eq!(quantile(&[0; BUCKETS], 0.5), None);
    }
}
