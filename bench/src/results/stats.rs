//! Medians, and whether two sets of rounds differ.

use serde::Serialize;

/// Some values in short.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    /// The middle one, or the mean of the two.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
    /// How many.
    pub count: usize,
}

impl Summary {
    /// `None` of nothing.
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let upper = *sorted.get(middle)?;
        let median = if sorted.len().is_multiple_of(2) {
            f64::midpoint(*sorted.get(middle - 1)?, upper)
        } else {
            upper
        };
        Some(Self {
            median,
            min: *sorted.first()?,
            max: *sorted.last()?,
            count: sorted.len(),
        })
    }
}

/// Up to this many values on each side the distribution is counted out; above it is normal enough.
const EXACT: usize = 9;

/// Probability that two sets differ at least so much by chance (Mann–Whitney U, two-sided).
///
/// It asks only for the order of the values, so that a few wild rounds on a shared machine do not
/// decide. Ties, which make the exact count wrong, go by the normal approximation.
pub fn mann_whitney(a: &[f64], b: &[f64]) -> f64 {
    if a.is_empty() || b.is_empty() {
        return 1.0;
    }
    let mut u = 0.0;
    let mut tied = false;
    for x in a {
        for y in b {
            match x.total_cmp(y) {
                std::cmp::Ordering::Less => {}
                std::cmp::Ordering::Equal => {
                    u += 0.5;
                    tied = true;
                }
                std::cmp::Ordering::Greater => u += 1.0,
            }
        }
    }
    let all = (a.len() * b.len()) as f64;
    let least = f64::min(u, all - u);
    if !tied && a.len() <= EXACT && b.len() <= EXACT {
        return exact(least as usize, a.len(), b.len());
    }
    normal(least, a, b)
}

/// Twice the share of orders whose U is at most `u`.
fn exact(u: usize, a: usize, b: usize) -> f64 {
    let ways = orders(a, b);
    let total: f64 = ways.iter().sum();
    let below: f64 = ways.iter().take(u + 1).sum();
    (2.0 * below / total).min(1.0)
}

/// In how many orders of `a` and `b` values each U comes about: the last value is of the one set,
/// and then stands above all of the other, or it is of the other.
fn orders(a: usize, b: usize) -> Vec<f64> {
    if a == 0 || b == 0 {
        return vec![1.0];
    }
    let with = orders(a - 1, b);
    let without = orders(a, b - 1);
    let mut ways = vec![0.0; a * b + 1];
    for (way, count) in ways.iter_mut().skip(b).zip(with) {
        *way += count;
    }
    for (way, count) in ways.iter_mut().zip(without) {
        *way += count;
    }
    ways
}

fn normal(least: f64, one: &[f64], other: &[f64]) -> f64 {
    let (n, m) = (one.len() as f64, other.len() as f64);
    let mut all: Vec<f64> = one.iter().chain(other).copied().collect();
    all.sort_by(f64::total_cmp);
    let ties: f64 = all
        .chunk_by(|x, y| x.total_cmp(y).is_eq())
        .map(|run| (run.len() as f64).powi(3) - run.len() as f64)
        .sum();
    let sum = n + m;
    let variance = n * m / 12.0 * (sum + 1.0 - ties / (sum * (sum - 1.0).max(1.0)));
    if variance <= 0.0 {
        return 1.0;
    }
    // Half a step, because U is whole and the curve is not.
    let z = ((least - n * m / 2.0).abs() - 0.5).max(0.0) / variance.sqrt();
    (2.0 * upper_tail(z)).min(1.0)
}

/// Area of the normal curve above `z`, to seven digits (Abramowitz and Stegun 26.2.17).
fn upper_tail(z: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.231_641_9 * z);
    let factors = [
        0.319_381_530,
        -0.356_563_782,
        1.781_477_937,
        -1.821_255_978,
        1.330_274_429,
    ];
    let sum = factors
        .iter()
        .rev()
        .fold(0.0, |sum, factor| (sum + factor) * t);
    (-z * z / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt() * sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_is_the_middle_and_the_ends() {
        for (values, expected) in [
            (&[3.0][..], (3.0, 3.0, 3.0, 1)),
            (&[9.0, 1.0, 2.0], (2.0, 1.0, 9.0, 3)),
            (&[4.0, 1.0, 2.0, 9.0], (3.0, 1.0, 9.0, 4)),
        ] {
            let found = Summary::of(values).unwrap();
            assert_eq!((found.median, found.min, found.max, found.count), expected);
        }
        assert_eq!(Summary::of(&[]), None);
    }

    #[test]
    fn small_sets_have_the_probabilities_of_the_tables() {
        // Known tables: complete separation of n and n values is 2 / C(2n, n).
        for (n, p) in [(3, 0.1), (4, 2.0 / 70.0), (5, 2.0 / 252.0)] {
            let low: Vec<f64> = (0..n).map(f64::from).collect();
            let high: Vec<f64> = (0..n).map(|v| f64::from(v) + 100.0).collect();
            assert!((mann_whitney(&low, &high) - p).abs() < 1e-12, "{n}");
            assert!((mann_whitney(&high, &low) - p).abs() < 1e-12, "{n}");
        }
        // U = 3 of 5 and 5: 7 of 252 orders are at or below, twice.
        let a = [1.0, 2.0, 3.0, 4.0, 7.5];
        let b = [5.0, 6.0, 7.0, 8.0, 9.0];
        assert!((mann_whitney(&a, &b) - 14.0 / 252.0).abs() < 1e-12);
    }

    #[test]
    fn sets_that_are_alike_do_not_differ() {
        assert!((mann_whitney(&[1.0, 2.0], &[1.0, 2.0]) - 1.0).abs() < 0.35);
        assert!((mann_whitney(&[5.0; 5], &[5.0; 5]) - 1.0).abs() < 1e-9);
        assert!((mann_whitney(&[], &[1.0]) - 1.0).abs() < 1e-9);
        let mixed = mann_whitney(&[1.0, 4.0, 5.0, 8.0], &[2.0, 3.0, 6.0, 7.0]);
        assert!(mixed > 0.8, "{mixed}");
    }

    #[test]
    fn large_sets_go_by_the_normal_curve() {
        let low: Vec<f64> = (0..20).map(f64::from).collect();
        let high: Vec<f64> = (0..20).map(|v| f64::from(v) + 12.0).collect();
        let p = mann_whitney(&low, &high);
        assert!(p > 0.0 && p < 0.001, "{p}");
        assert!((upper_tail(1.959_964) - 0.025).abs() < 1e-6);
        assert!((upper_tail(0.0) - 0.5).abs() < 1e-6);
    }
}
