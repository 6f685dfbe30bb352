//! Which pictures show the same.

use std::collections::HashMap;

use serde::Serialize;
use sweep_spec::Digest;

use super::Print;
use super::files::File;

/// Two files with one picture.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pair {
    /// One file; the one of the training part, where only one is.
    pub first: String,
    /// The other.
    pub second: String,
    /// Every pixel is the same; otherwise they are alike.
    pub exact: bool,
    /// Correlation of their details, 1 for exact copies.
    pub likeness: f32,
    /// They are in two classes: one of the labels is wrong.
    pub two_classes: bool,
    /// One trains and one tests.
    pub across: bool,
}

/// All pairs, the exact ones first, then the most alike. Of a picture that is there many times, each copy is told once, with
/// the first.
pub(super) fn find(prints: &[(&File, Print)]) -> Vec<Pair> {
    // The training part stands first, so a copy in the test part is always told with one that trains.
    let mut firsts: HashMap<Digest, usize> = HashMap::new();
    let (mut pairs, mut distinct) = (Vec::new(), Vec::new());
    for (index, (_, print)) in prints.iter().enumerate() {
        match firsts.get(&print.content) {
            Some(first) => pairs.push(pair(prints, *first, index, None)),
            None => {
                firsts.insert(print.content, index);
                distinct.push(index);
            }
        }
    }
    for (place, &second) in distinct.iter().enumerate() {
        for &first in &distinct[..place] {
            if let Some(likeness) = prints[first].1.likeness(&prints[second].1) {
                pairs.push(pair(prints, first, second, Some(likeness)));
            }
        }
    }
    pairs.sort_by(|a, b| {
        b.exact.cmp(&a.exact).then(b.likeness.total_cmp(&a.likeness)).then_with(|| a.first.cmp(&b.first))
    });
    pairs
}

fn pair(prints: &[(&File, Print)], first: usize, second: usize, likeness: Option<f32>) -> Pair {
    let (one, other) = (prints[first].0, prints[second].0);
    Pair {
        first: one.name.clone(),
        second: other.name.clone(),
        exact: likeness.is_none(),
        likeness: likeness.unwrap_or(1.0),
        two_classes: one.class != other.class,
        across: one.test != other.test,
    }
}
