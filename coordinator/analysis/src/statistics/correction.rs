//! Corrects the p-values of a family for their number.
//!
//! A member without a p-value counts towards the size of the family, as if it had p = 1, and stays without one. So a
//! verdict does not change when results of running trials arrive, and leaving out failures gains nothing. A caller that
//! does not want them to count leaves them out.

/// Holm's step-down correction (Holm 1979, "A simple sequentially rejective multiple test procedure"): members at or
/// under alpha are rejected, and the chance of any false rejection is at most alpha, however the tests depend on each
/// other.
pub fn holm(family: &[Option<f64>]) -> Vec<Option<f64>> {
    let size = family.len();
    let mut adjusted = vec![None; size];
    let mut largest: f64 = 0.0;
    for (rank, (index, p)) in ascending(family).into_iter().enumerate() {
        largest = largest.max(((size - rank) as f64 * p).min(1.0));
        adjusted[index] = Some(largest);
    }
    adjusted
}

/// Benjamini and Hochberg's step-up correction (1995, "Controlling the false discovery rate"): of the members at or
/// under alpha, at most that share is false in expectation, for independent or positively dependent tests. Never
/// decides a verdict.
pub fn benjamini_hochberg(family: &[Option<f64>]) -> Vec<Option<f64>> {
    let size = family.len();
    let mut adjusted = vec![None; size];
    let mut smallest: f64 = 1.0;
    for (rank, (index, p)) in ascending(family).into_iter().enumerate().rev() {
        smallest = smallest.min(p * size as f64 / (rank + 1) as f64);
        adjusted[index] = Some(smallest);
    }
    adjusted
}

/// The p-values with their indices, the smallest first. NaN counts as absent.
fn ascending(family: &[Option<f64>]) -> Vec<(usize, f64)> {
    let mut present: Vec<(usize, f64)> =
        family.iter().enumerate().filter_map(|(index, p)| p.filter(|p| !p.is_nan()).map(|p| (index, p))).collect();
    present.sort_by(|one, other| one.1.total_cmp(&other.1));
    present
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(seen: &[Option<f64>], wanted: &[Option<f64>]) {
        assert_eq!(seen.len(), wanted.len());
        for (seen, wanted) in seen.iter().zip(wanted) {
            match (seen, wanted) {
                (Some(seen), Some(wanted)) => assert!((seen - wanted).abs() < 1e-12, "{seen} for {wanted}"),
                (seen, wanted) => assert_eq!(seen, wanted),
            }
        }
    }

    #[test]
    fn worked_by_hand() {
        let family = [Some(0.01), Some(0.04), Some(0.03), Some(0.005)];
        close(&holm(&family), &[Some(0.03), Some(0.06), Some(0.06), Some(0.02)]);
        close(&benjamini_hochberg(&family), &[Some(0.02), Some(0.04), Some(0.04), Some(0.02)]);
    }

    #[test]
    fn absent_members_count_and_stay_absent() {
        let family = [None, Some(0.01), Some(f64::NAN), Some(0.04)];
        close(&holm(&family), &[None, Some(0.04), None, Some(0.12)]);
        close(&benjamini_hochberg(&family), &[None, Some(0.04), None, Some(0.08)]);
        assert!(holm(&[]).is_empty() && benjamini_hochberg(&[]).is_empty());
    }
}
