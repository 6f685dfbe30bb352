//! The whole coordinator over real gRPC, with workers that only pretend to train.

#[cfg(test)]
mod damage;
#[cfg(test)]
mod env;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod flow;
mod known;
#[cfg(test)]
mod people;
#[cfg(test)]
mod watching;
