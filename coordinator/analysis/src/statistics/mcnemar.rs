//! McNemar's exact test: two networks on the same images (McNemar 1947).

use statrs::distribution::{Binomial, DiscreteCDF};

/// The two-sided p-value for `gained` images that only the first network classified correctly and `lost` images that
/// only the second did: twice the lower tail of a fair binomial, at most 1, as statsmodels' `mcnemar(exact=True)`.
/// Images on which both agree do not count. The test concerns these two trained networks, not the methods that trained
/// them.
pub fn mcnemar(gained: u64, lost: u64) -> f64 {
    if gained == lost {
        return 1.0;
    }
    match Binomial::new(0.5, gained.saturating_add(lost)) {
        Ok(fair) => (2.0 * fair.cdf(gained.min(lost))).min(1.0),
        Err(_) => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worked_by_hand() {
        assert_eq!(mcnemar(0, 0), 1.0);
        assert_eq!(mcnemar(4, 4), 1.0);
        assert!((mcnemar(0, 5) - 2.0 / 32.0).abs() < 1e-14);
        assert!((mcnemar(6, 1) - 2.0 * 8.0 / 128.0).abs() < 1e-14);
        assert_eq!(mcnemar(6, 1), mcnemar(1, 6));
    }

    #[test]
    fn large_counts_are_no_trouble() {
        assert!(mcnemar(u64::MAX, 0) < 1e-300);
        assert!(mcnemar(500_000, 500_001) > 0.99);
    }
}
