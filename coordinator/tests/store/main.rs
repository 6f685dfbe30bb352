//! The store as a file: damaged, and of the first release.

mod damage;
mod env;
mod upgrade;
