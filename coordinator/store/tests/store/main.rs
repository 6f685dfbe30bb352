//! The store as a file: damaged, and of the first release.

#[cfg(test)]
mod damage;
#[cfg(test)]
mod env;
#[cfg(test)]
mod upgrade;
