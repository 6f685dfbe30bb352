//! Shortens names to a number of columns so that neighbours stay distinguishable.

use std::collections::BTreeSet;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Replaces the omitted part.
const ELLIPSIS: &str = "…";

/// Which part of a name is omitted.
#[derive(Debug, Clone, Copy)]
enum Cut {
    /// Keeps the end: names of configurations and hosts mostly differ there.
    Beginning,
    /// Keeps both ends.
    Middle,
    End,
}

const CUTS: [Cut; 3] = [Cut::Beginning, Cut::Middle, Cut::End];

/// The names in at most `columns` columns, all shortened in the same way; `None` if different names would become equal.
pub(crate) fn shortened(names: &[&str], columns: usize) -> Option<Vec<String>> {
    let different = names.iter().collect::<BTreeSet<_>>().len();
    CUTS.into_iter().find_map(|cut| {
        let shown: Vec<String> = names.iter().map(|name| cut_to(name, columns, cut)).collect();
        let told_apart = shown.iter().collect::<BTreeSet<_>>().len() == different;
        told_apart.then_some(shown)
    })
}

/// The fewest columns, within bounds, that keep all names distinct.
pub(crate) fn least_width(names: &[&str], least: usize, most: usize) -> Option<usize> {
    (least..=most).find(|columns| shortened(names, *columns).is_some())
}

/// The end of a name in at most `columns` columns.
pub(crate) fn end_of(name: &str, columns: usize) -> String {
    cut_to(name, columns, Cut::Beginning)
}

/// The beginning of a name in at most `columns` columns.
pub(crate) fn beginning_of(name: &str, columns: usize) -> String {
    cut_to(name, columns, Cut::End)
}

fn cut_to(name: &str, columns: usize, cut: Cut) -> String {
    if name.width() <= columns {
        return name.to_owned();
    }
    let Some(room) = columns.checked_sub(1) else { return String::new() };
    match cut {
        Cut::Beginning => format!("{ELLIPSIS}{}", back(name, room)),
        Cut::Middle => format!("{}{ELLIPSIS}{}", front(name, room / 2), back(name, room - room / 2)),
        Cut::End => format!("{}{ELLIPSIS}", front(name, room)),
    }
}

fn front(name: &str, columns: usize) -> &str {
    let mut taken = 0;
    let end = name.char_indices().find(|(_, letter)| {
        taken += letter.width().unwrap_or(0);
        taken > columns
    });
    end.map_or(name, |(at, _)| &name[..at])
}

fn back(name: &str, columns: usize) -> &str {
    let mut taken = 0;
    let begin = name.char_indices().rev().find(|(_, letter)| {
        taken += letter.width().unwrap_or(0);
        taken > columns
    });
    begin.map_or(name, |(at, letter)| &name[at + letter.len_utf8()..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_name_stays() {
        assert_eq!(end_of("filters=64", 10), "filters=64");
        assert_eq!(end_of("conv_layers=4 filters=64", 11), "…filters=64");
        assert_eq!([end_of("図書館", 6), end_of("図書館", 5), end_of("図書館", 4)], ["図書館", "…書館", "…館"]);
        assert_eq!([end_of("abc", 1), end_of("abc", 0)], ["…", ""]);
    }

    #[test]
    fn different_names_stay_different() {
        let ends = ["conv_layers=4 filters=64", "conv_layers=4 filters=128", "baseline"];
        assert_eq!(shortened(&ends, 12).unwrap(), ["… filters=64", "…filters=128", "baseline"]);
        // Neither their ends nor their middles differ.
        let beginnings = ["width=4 filters=64", "width=5 filters=64"];
        assert_eq!(shortened(&beginnings, 10).unwrap(), ["width=4 f…", "width=5 f…"]);
        let both = ["a=1 conv_layers=4 z=1", "a=2 conv_layers=4 z=1", "a=2 conv_layers=4 z=2"];
        assert_eq!(shortened(&both, 9).unwrap(), ["a=1 … z=1", "a=2 … z=1", "a=2 … z=2"]);
        let middle = ["filters=64 dropout=0.2 dense_layers=2", "filters=64 dropout=0.3 dense_layers=2"];
        assert_eq!(shortened(&middle, 12), None);
        assert_eq!(least_width(&middle, 12, 40), Some(17));
        assert_eq!(shortened(&["same", "same"], 3).unwrap(), ["…me", "…me"]);
        assert_eq!(shortened(&[], 3).unwrap(), Vec::<String>::new());
    }
}
