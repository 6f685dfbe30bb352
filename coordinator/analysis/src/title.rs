//! What a configuration is called: its name, or without one what differs from the baseline.

/// The texts by which a user can name a configuration.
#[derive(Debug, Clone, Copy)]
pub struct Title<'a> {
    /// Its position in the plan.
    pub position: u32,
    /// The name of an entry of `extra` or of a hand-picked point; otherwise empty.
    pub name: &'a str,
    /// What differs from the baseline, such as `filters=64`.
    pub label: &'a str,
    pub baseline: bool,
}

impl<'a> Title<'a> {
    pub fn text(&self) -> &'a str {
        title(self.name, self.label)
    }
}

/// The name, or the label of a configuration without one.
pub fn title<'a>(name: &'a str, label: &'a str) -> &'a str {
    if name.is_empty() { label } else { name }
}

#[cfg(test)]
mod tests {
    use super::title;

    #[test]
    fn a_name_goes_before_the_label() {
        assert_eq!([title("wide", "filters=32"), title("", "filters=32"), title("", "")], ["wide", "filters=32", ""]);
    }
}
