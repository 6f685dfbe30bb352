//! The whole coordinator over real gRPC, with workers that only simulate training.

#[cfg(test)]
mod analysis;
#[cfg(test)]
mod api;
#[cfg(test)]
mod backups;
#[cfg(test)]
mod budgets;
#[cfg(test)]
mod canaries;
#[cfg(test)]
mod damage;
#[cfg(test)]
mod deleting;
#[cfg(test)]
mod env;
#[cfg(test)]
mod extend;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod flow;
mod gauges;
#[cfg(test)]
mod http;
#[cfg(test)]
mod known;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod names;
#[cfg(test)]
mod operations;
#[cfg(test)]
mod pages;
#[cfg(test)]
mod pins;
#[cfg(test)]
mod pools;
#[cfg(test)]
mod questions;
#[cfg(test)]
mod reports;
#[cfg(test)]
mod seeds;
#[cfg(test)]
mod sign_in;
#[cfg(test)]
mod upgrade;
#[cfg(test)]
mod watching;
#[cfg(test)]
mod weights;
