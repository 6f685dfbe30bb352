//! The whole coordinator over real gRPC, with workers that only pretend to train.

#[cfg(test)]
mod budgets;
#[cfg(test)]
mod damage;
#[cfg(test)]
mod env;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod flow;
#[cfg(test)]
mod people;
#[cfg(test)]
mod watching;
