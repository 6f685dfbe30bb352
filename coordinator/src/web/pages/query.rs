//! The query of a page's address: the order of a table, the shown part, the chosen configurations. Every view has an address
//! of its own, so it can be shared.

use std::collections::BTreeSet;

/// The most configurations that can be chosen: one for each colour of a chart.
pub(super) const MOST_CHOSEN: usize = sweep_report::parts::MOST_SERIES;
/// The longest search text, in characters.
const MOST_SEARCHED: usize = 200;

/// The pairs of the query, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    pub(super) fn of(text: &str) -> Self {
        let pairs = form_urlencoded::parse(text.as_bytes()).filter(|(_, value)| !value.is_empty());
        Self { pairs: pairs.map(|(key, value)| (key.into_owned(), value.into_owned())).collect() }
    }

    /// The first value of a key.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.pairs.iter().find(|(other, _)| other == key).map(|(_, value)| value.as_str())
    }

    /// Every value of a key.
    pub(super) fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> + 'a {
        self.pairs.iter().filter(move |(other, _)| other == key).map(|(_, value)| value.as_str())
    }

    /// Whether the value of a key is `1` or `on`.
    pub(super) fn is_on(&self, key: &str) -> bool {
        self.get(key).is_some_and(|value| value == "1" || value == "on")
    }

    /// The search text, in lowercase.
    pub(super) fn searched(&self) -> String {
        self.get("q").unwrap_or_default().chars().take(MOST_SEARCHED).collect::<String>().trim().to_lowercase()
    }

    /// The page of the table, counted from 1.
    pub(super) fn page(&self) -> usize {
        self.get("page").and_then(|page| page.parse().ok()).unwrap_or(1).max(1)
    }

    /// The chosen configurations in the order of choosing; `chosen=3,7` and `chosen=3&chosen=7` are equal.
    pub(super) fn chosen(&self) -> Vec<u32> {
        let numbers = self.all("chosen").flat_map(|text| text.split(',')).filter_map(|text| text.trim().parse().ok());
        let mut seen = BTreeSet::new();
        numbers.filter(|number| seen.insert(*number)).take(MOST_CHOSEN).collect()
    }

    /// Sets the values of some keys, and removes the keys whose new value is `None`.
    pub(super) fn with(&self, changes: &[(&str, Option<&str>)]) -> Self {
        let kept = self.pairs.iter().filter(|(key, _)| changes.iter().all(|(other, _)| key != other));
        let new = changes.iter().filter_map(|(key, value)| Some(((*key).to_owned(), (*value)?.to_owned())));
        Self { pairs: kept.cloned().chain(new).collect() }
    }

    /// Removes one value of a key.
    pub(super) fn without(&self, key: &str, value: &str) -> Self {
        let kept = self.pairs.iter().filter(|(other, held)| !(other == key && held == value));
        Self { pairs: kept.cloned().collect() }
    }

    /// Adds a value to a key.
    pub(super) fn and(&self, key: &str, value: &str) -> Self {
        let mut query = self.without(key, value);
        query.pairs.push((key.to_owned(), value.to_owned()));
        query
    }

    /// Keeps only these keys.
    pub(super) fn only(&self, keys: &[&str]) -> Self {
        Self { pairs: self.pairs.iter().filter(|(key, _)| keys.contains(&key.as_str())).cloned().collect() }
    }

    /// The pairs of all other keys, for a form that sets these.
    pub(super) fn others<'a>(&'a self, keys: &'a [&'a str]) -> impl Iterator<Item = &'a (String, String)> + 'a {
        self.pairs.iter().filter(|(key, _)| !keys.contains(&key.as_str()))
    }

    /// The address of `path` with this query.
    pub(super) fn link(&self, path: &str) -> String {
        if self.pairs.is_empty() {
            return path.to_owned();
        }
        let mut text = form_urlencoded::Serializer::new(String::new());
        text.extend_pairs(&self.pairs);
        format!("{path}?{}", text.finish())
    }
}

/// Encodes a name as one segment of a path.
pub(super) fn part(name: &str) -> String {
    // A `+` means a blank in a form, but not in a path.
    form_urlencoded::byte_serialize(name.as_bytes()).collect::<String>().replace('+', "%20")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_says_what_it_was_made_of() {
        let query = Query::of("sort=params&order=desc&where=filters%3A8&where=dropout%3A0.2&q=&page=3");
        assert_eq!(query.get("sort"), Some("params"));
        assert_eq!(query.get("q"), None, "what is empty is not there");
        assert_eq!(query.all("where").collect::<Vec<_>>(), ["filters:8", "dropout:0.2"]);
        assert_eq!(query.page(), 3);
        let other = query.with(&[("page", None), ("sort", Some("a&b=c"))]).without("where", "filters:8");
        assert_eq!(other.link("/sweeps/1"), "/sweeps/1?order=desc&where=dropout%3A0.2&sort=a%26b%3Dc");
        assert_eq!(Query::of("order=desc&where=dropout%3A0.2&sort=a%26b%3Dc"), other);
    }

    #[test]
    fn nonsense_in_an_address_is_nothing_chosen() {
        for text in ["", "chosen=", "chosen=x,-1,99999999999", "page=-3&page=x", "%ff%00&&==", "q=%20"] {
            let query = Query::of(text);
            assert_eq!((query.chosen(), query.page()), (Vec::new(), 1), "{text}");
        }
        let many = (0..100).map(|number| number.to_string()).collect::<Vec<_>>().join(",");
        assert_eq!(Query::of(&format!("chosen={many}&chosen=1")).chosen().len(), MOST_CHOSEN);
        assert_eq!(Query::of("chosen=7,3&chosen=7").chosen(), [7, 3]);
    }

    #[test]
    fn a_name_in_a_path_stays_in_its_part() {
        assert_eq!(part("a/../b c?d#e%"), "a%2F..%2Fb%20c%3Fd%23e%25");
    }
}
