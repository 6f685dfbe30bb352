//! Finds pairs of equal or similar images.

use std::collections::HashMap;

use serde::Serialize;
use sweep_spec::Digest;

use super::Fingerprint;
use super::files::File;
use super::near;

/// Pairs that are listed; further ones are only counted.
const NAMED: usize = 1000;
/// The largest difference between the mean colours of two flat images that count as equal.
const FLAT_STEP: u8 = 2;

/// Duplicate images.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Pairs {
    /// The number of pairs.
    pub count: u64,
    /// At most 1,000: exact copies first, then the most similar.
    pub named: Vec<Pair>,
}

/// Two files with the same image.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pair {
    /// The file in the training part, if only one is.
    pub first: String,
    pub second: String,
    /// Every pixel is equal; otherwise the images are similar.
    pub exact: bool,
    /// The fraction of one image's contrast that the other explains after registration: 1 for exact copies.
    pub likeness: f32,
    /// They are in two classes, so one of the labels is wrong.
    pub two_classes: bool,
    /// One is in the training part and one in the test part.
    pub across: bool,
}

/// Two indices into the list of images.
struct Found {
    first: usize,
    second: usize,
    /// `None` for exact copies.
    difference: Option<f32>,
}

/// Pairs across the parts, and pairs within one. Of an image that occurs many times, each exact copy is listed once,
/// with the first.
pub(super) fn find(fingerprints: &[(&File, Fingerprint)]) -> (Pairs, Pairs) {
    // The training part comes first, so a copy in the test part is always listed with its original in the training
    // part.
    let mut firsts: HashMap<Digest, usize> = HashMap::new();
    let (mut found, mut distinct) = (Vec::new(), Vec::new());
    for (second, (_, fingerprint)) in fingerprints.iter().enumerate() {
        match firsts.get(&fingerprint.content) {
            Some(&first) => found.push(Found { first, second, difference: None }),
            None => {
                firsts.insert(fingerprint.content, second);
                distinct.push(second);
            }
        }
    }
    let (flat, distinct): (Vec<_>, Vec<_>) =
        distinct.into_iter().partition(|place| fingerprints[*place].1.flat.is_some());
    found.extend(alike_and_flat(fingerprints, &flat));
    let thumbnails: Vec<_> = distinct.iter().map(|place| &fingerprints[*place].1.thumbnail).collect();
    found.extend(near::find(&thumbnails).into_iter().map(|near| Found {
        first: distinct[near.first],
        second: distinct[near.second],
        difference: Some(near.difference),
    }));
    let across = |found: &Found| fingerprints[found.first].0.test != fingerprints[found.second].0.test;
    let (across, within) = found.into_iter().partition(across);
    (named(fingerprints, across), named(fingerprints, within))
}

/// Pairs each flat image with the first one of its colour.
fn alike_and_flat(fingerprints: &[(&File, Fingerprint)], flat: &[usize]) -> Vec<Found> {
    // Grouped by the first of their three colour values, so that few have to be compared.
    let mut firsts: Vec<Vec<(usize, [u8; 3])>> = vec![Vec::new(); 256];
    let mut found = Vec::new();
    for &second in flat {
        let Some(colour) = fingerprints[second].1.flat else { continue };
        let close = |other: &[u8; 3]| colour.iter().zip(other).all(|(one, other)| one.abs_diff(*other) <= FLAT_STEP);
        let range = usize::from(colour[0].saturating_sub(FLAT_STEP))..=usize::from(colour[0].saturating_add(FLAT_STEP));
        let first = firsts[range].iter().flatten().find(|(_, other)| close(other)).map(|(first, _)| *first);
        match first {
            Some(first) => found.push(Found { first, second, difference: Some(0.0) }),
            None => firsts[usize::from(colour[0])].push((second, colour)),
        }
    }
    found
}

fn named(fingerprints: &[(&File, Fingerprint)], mut found: Vec<Found>) -> Pairs {
    let rank = |found: &Found| found.difference.unwrap_or(-1.0);
    let place = |found: &Found| (found.first, found.second);
    found.sort_by(|one, other| rank(one).total_cmp(&rank(other)).then_with(|| place(one).cmp(&place(other))));
    Pairs {
        count: found.len() as u64,
        named: found.iter().take(NAMED).map(|found| pair(fingerprints, found)).collect(),
    }
}

fn pair(fingerprints: &[(&File, Fingerprint)], found: &Found) -> Pair {
    let (one, other) = (fingerprints[found.first].0, fingerprints[found.second].0);
    Pair {
        first: one.name.clone(),
        second: other.name.clone(),
        exact: found.difference.is_none(),
        likeness: 1.0 - found.difference.unwrap_or(0.0),
        two_classes: one.class != other.class,
        across: one.test != other.test,
    }
}
