//! Tables by numbers that the server has given out itself: nobody can choose them so that they collide, and to find one
//! costs a multiplication.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// What stands under such numbers.
pub type Numbers<T> = HashMap<u64, T, BuildHasherDefault<Mixer>>;

/// See [`Numbers`].
#[derive(Default)]
pub struct Mixer(u64);

impl Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(*byte as u64));
    }

    fn write_u64(&mut self, number: u64) {
        // The table looks at the lowest bits and at the highest ones.
        self.0 = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
