//! Whether the store can be written.

/// Whether the store can be written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Trouble {
    /// It can.
    #[default]
    None,
    /// It cannot for now, for this reason; it is tried again and again.
    Passing(String),
    /// It is damaged, and nothing goes on.
    Damage(String),
}
