//! Random numbers from a key: the same key gives the same numbers.

/// A small generator (splitmix64).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn of(key: &[u64]) -> Self {
        let mut random = Self(0x9E37_79B9_7F4A_7C15);
        for part in key {
            random.0 ^= part.wrapping_mul(0xD6E8_FEB8_6659_FD93);
            random.next();
        }
        random
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Uniform in [0, 1).
    pub(crate) fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Approximately normal, with mean 0 and standard deviation 1: a sum of twelve uniform numbers.
    pub(crate) fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.share()).sum::<f64>() - 6.0
    }
}
