//! Medians, percentiles, and the difference of two samples with its interval.

/// How values are spread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spread {
    pub median: u64,
    pub p95: u64,
    pub worst: u64,
}

/// By how much one sample lies above another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The median of all differences between one of each (Hodges and Lehmann).
    pub by: i64,
    /// Its 95 % interval by the rank-sum test; `None` for samples that are too small for one.
    pub interval: Option<(i64, i64)>,
}

/// Zero of nothing.
pub(crate) fn median(values: &mut [u64]) -> u64 {
    values.sort_unstable();
    match values.len() {
        0 => 0,
        count => values[(count - 1) / 2].midpoint(values[count / 2]),
    }
}

/// The lower quartile of `count` values, of which those that aren't given are zero: what is usual where others wait.
pub(crate) fn lower_quartile(mut values: Vec<u64>, count: usize) -> u64 {
    let rank = count.div_ceil(4).max(1) - 1;
    match rank.checked_sub(count - values.len()) {
        Some(rank) if rank < values.len() => *values.select_nth_unstable(rank).1,
        _ => 0,
    }
}

impl Spread {
    pub(crate) fn of(mut values: Vec<u64>) -> Self {
        let median = median(&mut values);
        let rank = (values.len() * 95).div_ceil(100).max(1) - 1;
        Self {
            median,
            p95: values.get(rank).copied().unwrap_or(0),
            worst: values.last().copied().unwrap_or(0),
        }
    }
}

/// So many pairs are compared; of larger samples, quantiles.
const PAIRS: usize = 250_000;
/// The 97.5 % quantile of the normal distribution.
const Z: f64 = 1.96;
/// Each sample has at least so many.
const ENOUGH: usize = 4;

impl Difference {
    /// Of `after` to `before`; `None` where one of them is empty.
    pub(crate) fn of(before: &[u64], after: &[u64]) -> Option<Self> {
        let most = PAIRS.isqrt();
        let (small, large) = (thinned(before, most), thinned(after, most));
        let signed = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let mut pairs: Vec<i64> = Vec::with_capacity(small.len() * large.len());
        for &b in &small {
            pairs.extend(large.iter().map(|&a| signed(a) - signed(b)));
        }
        pairs.sort_unstable();
        let (lower, upper) = (
            pairs.get((pairs.len().max(1) - 1) / 2)?,
            pairs[pairs.len() / 2],
        );
        Some(Self {
            by: lower.midpoint(upper),
            interval: interval(&pairs, before.len(), after.len(), small.len() * large.len()),
        })
    }

    /// The interval doesn't hold zero.
    #[must_use]
    pub fn is_certain(&self) -> bool {
        self.interval.is_some_and(|(low, high)| low > 0 || high < 0)
    }
}

fn interval(pairs: &[i64], n: usize, m: usize, looked_at: usize) -> Option<(i64, i64)> {
    if n < ENOUGH || m < ENOUGH {
        return None;
    }
    let (n, m) = (n as f64, m as f64);
    let below = n * m / 2.0 - Z * (n * m * (n + m + 1.0) / 12.0).sqrt();
    // Of thinned samples, the same part of the pairs.
    let part = (below / (n * m)).max(0.0);
    let rank = (part * looked_at as f64).floor() as usize;
    Some((pairs[rank], pairs[pairs.len() - 1 - rank]))
}

/// At most `most` values, evenly from the lowest to the highest.
fn thinned(values: &[u64], most: usize) -> Vec<u64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    if sorted.len() <= most {
        return sorted;
    }
    let last = sorted.len() - 1;
    (0..most)
        .map(|index| sorted[index * last / (most - 1)])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_spread() {
        let check = |values: &[u64], median: u64, p95: u64, worst: u64| {
            let expected = Spread { median, p95, worst };
            assert_eq!(Spread::of(values.to_vec()), expected, "{values:?}");
        };
        check(&[], 0, 0, 0);
        check(&[7], 7, 7, 7);
        check(&[4, 1], 2, 4, 4);
        check(&[3, 1, 2], 2, 3, 3);
        check(&(1..=100).collect::<Vec<_>>(), 50, 95, 100);
    }

    #[test]
    fn a_lower_quartile_counts_zeros_that_are_not_given() {
        let check = |values: &[u64], count: usize, expected: u64| {
            assert_eq!(
                lower_quartile(values.to_vec(), count),
                expected,
                "{values:?}"
            );
        };
        check(&[], 0, 0);
        check(&[7], 1, 7);
        check(&[4, 3, 2, 1], 4, 1);
        check(&[5, 4, 3, 2, 1], 5, 2);
        check(&[9, 8, 7], 4, 0);
        check(&[9, 8, 7, 6, 5, 4], 8, 0);
        check(&[9, 8, 7, 6, 5, 4, 3], 8, 3);
    }

    #[test]
    fn a_difference_has_an_interval_where_the_samples_are_large_enough() {
        let difference = |before: &[u64], after: &[u64]| Difference::of(before, after).unwrap();
        assert_eq!(Difference::of(&[], &[1]), None);
        assert_eq!(difference(&[10], &[14]).by, 4);
        assert_eq!(difference(&[10], &[14]).interval, None);

        let before: Vec<u64> = (100..120).collect();
        let same = difference(&before, &before);
        assert_eq!(same.by, 0);
        assert!(!same.is_certain(), "{same:?}");

        let slower: Vec<u64> = before.iter().map(|value| value + 50).collect();
        let worse = difference(&before, &slower);
        assert_eq!(worse.by, 50);
        assert!(worse.is_certain(), "{worse:?}");

        let many: Vec<u64> = (0..5_000).collect();
        let more: Vec<u64> = many.iter().map(|value| value + 1_000).collect();
        let worse = difference(&many, &more);
        assert!((990..=1_010).contains(&worse.by), "{worse:?}");
        assert!(worse.is_certain(), "{worse:?}");
    }
}
