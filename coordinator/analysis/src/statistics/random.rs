//! Random numbers that are the same on every machine: ChaCha with 8 rounds from a fixed seed for each purpose.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use statrs::distribution::{ContinuousCDF, Normal};

/// The purpose of random numbers. Each has a separate stream, so that no two parts of an analysis share randomness.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Simulation = 0,
    SignFlip = 1,
    Bootstrap = 2,
    Front = 3,
    Power = 4,
}

/// A stream of numbers.
#[derive(Debug, Clone)]
pub struct Random(ChaCha8Rng);

impl Random {
    /// A stream for simulated studies, different for every number.
    pub fn simulation(number: u64) -> Self {
        Self::numbered(Purpose::Simulation, number)
    }

    /// The stream of a purpose.
    pub(crate) fn new(purpose: Purpose) -> Self {
        Self::numbered(purpose, 0)
    }

    fn numbered(purpose: Purpose, number: u64) -> Self {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&(purpose as u64).to_le_bytes());
        seed[8..16].copy_from_slice(&number.to_le_bytes());
        Self(ChaCha8Rng::from_seed(seed))
    }

    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A whole number below `bound`; 0 if that is 0. The bias of multiply-and-shift is under `bound` / 2^64.
    pub fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.bits()) * bound as u128) >> 64) as usize
    }

    /// Strictly between 0 and 1.
    pub fn unit(&mut self) -> f64 {
        ((self.bits() >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    /// A standard normal number, by inversion.
    pub fn normal(&mut self) -> f64 {
        Normal::standard().inverse_cdf(self.unit())
    }
}
