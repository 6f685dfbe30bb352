//! The whole coordinator over real gRPC, with workers that only pretend to train.

#[cfg(test)]
mod damage;
mod env;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod flow;
mod people;
#[cfg(test)]
mod watching;
