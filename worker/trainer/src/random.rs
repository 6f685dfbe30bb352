//! Counter-based random streams (Philox 4x32-10, Salmon et al., 2011): the numbers of a stream depend only on its key,
//! not on earlier draws from others. Every random number of a trial comes from here, so a resumed trial needs no
//! generator state, and two configurations under one seed get the same order and the same augmentations.

const MULTIPLIER: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
const ROUNDS: usize = 10;

/// The purpose of a stream. Purposes never share numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Initial weights; keyed by the layer's name and the shape.
    Weights,
    /// Dropout masks; keyed by layer, epoch and step.
    Dropout,
    /// The order of an epoch's samples; keyed by the epoch.
    Order,
    /// Augmentation of one sample; keyed by epoch and sample.
    Augment,
    /// The held-out images; keyed by the class.
    Split,
    /// A drawn scene; keyed by part and number.
    Scene,
}

/// An endless sequence of random numbers.
#[derive(Debug, Clone)]
pub(crate) struct Stream {
    key: [u32; 2],
    nonce: u64,
    block: u64,
    buffer: [u32; 4],
    left: usize,
}

impl Stream {
    /// The stream of `purpose` under `seed`, identified by `place` (epoch, sample, ...) and `name` (a layer's).
    pub(crate) fn new(seed: u64, purpose: Purpose, name: &str, place: &[u64]) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&[purpose as u8]);
        hasher.update(&seed.to_le_bytes());
        hasher.update(&(name.len() as u64).to_le_bytes());
        hasher.update(name.as_bytes());
        for number in place {
            hasher.update(&number.to_le_bytes());
        }
        let hash = hasher.finalize();
        let word = |index: usize| {
            let at = index * 4;
            let bytes = hash.as_bytes();
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        let nonce = u64::from(word(2)) | u64::from(word(3)) << 32;
        Self { key: [word(0), word(1)], nonce, block: 0, buffer: [0; 4], left: 0 }
    }

    pub(crate) fn next_u32(&mut self) -> u32 {
        if self.left == 0 {
            let counter = [self.block as u32, (self.block >> 32) as u32, self.nonce as u32, (self.nonce >> 32) as u32];
            self.buffer = philox(counter, self.key);
            self.block += 1;
            self.left = 4;
        }
        self.left -= 1;
        self.buffer[3 - self.left]
    }

    /// Uniform in [0, 1), with 24 bits.
    pub(crate) fn unit_f32(&mut self) -> f32 {
        (self.next_u32() >> 8) as f32 * (1.0 / 16_777_216.0)
    }

    /// Uniform in [0, 1), with 53 bits.
    pub(crate) fn unit(&mut self) -> f64 {
        let bits = u64::from(self.next_u32()) << 32 | u64::from(self.next_u32());
        (bits >> 11) as f64 * (1.0 / 9_007_199_254_740_992.0)
    }

    /// Uniform in [low, high).
    pub(crate) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Uniform in 0..limit, without bias; 0 if the limit is 0.
    pub(crate) fn below(&mut self, limit: u32) -> u32 {
        let reject_under = if limit == 0 { 0 } else { limit.wrapping_neg() % limit };
        loop {
            let product = u64::from(self.next_u32()) * u64::from(limit);
            if product as u32 >= reject_under {
                return (product >> 32) as u32;
            }
        }
    }

    /// Normal, mean 0 and variance 1.
    pub(crate) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// The numbers 0..count in random order.
    pub(crate) fn order(&mut self, count: usize) -> Vec<u32> {
        let mut order: Vec<u32> = (0..count as u32).collect();
        for last in (1..count).rev() {
            order.swap(last, self.below(last as u32 + 1) as usize);
        }
        order
    }
}

fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..ROUNDS {
        let left = u64::from(MULTIPLIER[0]) * u64::from(counter[0]);
        let right = u64::from(MULTIPLIER[1]) * u64::from(counter[2]);
        counter = [
            (right >> 32) as u32 ^ counter[1] ^ key[0],
            right as u32,
            (left >> 32) as u32 ^ counter[3] ^ key[1],
            left as u32,
        ];
        key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
    }
    counter
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn philox_gives_the_published_answers() {
        let answer = [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8];
        assert_eq!(philox([0; 4], [0; 2]), answer);
        let answer = [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd];
        assert_eq!(philox([u32::MAX; 4], [u32::MAX; 2]), answer);
    }

    #[test]
    fn a_stream_is_its_key_and_nothing_else() {
        let draw = |seed, purpose, name: &str, place: &[u64]| {
            let mut stream = Stream::new(seed, purpose, name, place);
            [stream.next_u32(), stream.next_u32(), stream.next_u32()]
        };
        let first = draw(7, Purpose::Augment, "", &[3, 9]);
        assert_eq!(first, draw(7, Purpose::Augment, "", &[3, 9]));
        for other in [
            draw(8, Purpose::Augment, "", &[3, 9]),
            draw(7, Purpose::Order, "", &[3, 9]),
            draw(7, Purpose::Augment, "x", &[3, 9]),
            draw(7, Purpose::Augment, "", &[9, 3]),
        ] {
            assert_ne!(first, other);
        }
    }

    #[test]
    fn an_order_holds_every_number_once() {
        let mut order = Stream::new(1, Purpose::Order, "", &[1]).order(1000);
        assert_ne!(order, (0..1000).collect::<Vec<_>>());
        order.sort_unstable();
        assert_eq!(order, (0..1000).collect::<Vec<_>>());
        assert!(Stream::new(1, Purpose::Order, "", &[1]).order(0).is_empty());
    }

    #[test]
    fn numbers_fill_their_range_evenly() {
        let mut stream = Stream::new(3, Purpose::Scene, "", &[]);
        let mut counts = [0_u32; 3];
        let mut sum = 0.0;
        let mut squares = 0.0;
        for _ in 0..30_000 {
            counts[stream.below(3) as usize] += 1;
            let normal = stream.normal();
            sum += normal;
            squares += normal * normal;
            assert!((0.0..1.0).contains(&stream.unit_f32()));
        }
        // Five standard deviations of each: 5·√(30000·2/9) = 408, 5/√30000 = 0.029, 5·√(2/30000) = 0.041.
        assert!(counts.iter().all(|count| count.abs_diff(10_000) < 408), "{counts:?}");
        assert!((sum / 30_000.0).abs() < 0.029);
        assert!((squares / 30_000.0 - 1.0).abs() < 0.041);
    }
}
