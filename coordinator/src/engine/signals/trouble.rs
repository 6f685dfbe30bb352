//! The health of the store: whether it can be written.

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Trouble {
    /// The store can be written.
    #[default]
    None,
    /// The store cannot be written at present, for this reason. The owner task retries.
    Passing(String),
    /// The store is damaged, for this reason, and the engine stops.
    Damage(String),
}
