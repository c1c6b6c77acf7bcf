//! The random numbers that the module gets.

/// Where `random_get` draws from.
#[derive(Debug)]
pub enum Random {
    /// The system's, as in Envoy.
    System,
    /// A repeatable stream that is not weak in the way of Kong's.
    Seeded(u64),
    /// libc's `random()`, as in Kong: 31 outputs give away the rest.
    Libc(Box<LibcRandom>),
}

impl Random {
    /// Fills `bytes`.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        match self {
            Random::System => {
                // It fails only where the system has none: zeros then fail the tests.
                let _ = aws_lc_rs::rand::fill(bytes);
            }
            Random::Seeded(state) => {
                for byte in bytes {
                    *byte = splitmix(state).to_le_bytes()[7];
                }
            }
            Random::Libc(random) => {
                for byte in bytes {
                    *byte = random.next().to_le_bytes()[0];
                }
            }
        }
    }
}

/// SplitMix64.
fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// glibc's `random()`: an additive generator over 31 words.
#[derive(Debug)]
pub struct LibcRandom {
    words: [u32; 31],
    at: usize,
}

impl LibcRandom {
    /// As after `srandom(seed)`.
    pub fn new(seed: u32) -> LibcRandom {
        let mut words = [0u32; 31];
        let mut word = i64::from(seed.max(1).cast_signed());
        for place in &mut words {
            *place = (word as i32).cast_unsigned();
            // 16807 * word mod (2^31 - 1), as glibc computes it.
            let (high, low) = (word / 127_773, word % 127_773);
            word = 16_807 * low - 2_836 * high;
            if word < 0 {
                word += 2_147_483_647;
            }
        }
        let mut random = LibcRandom { words, at: 3 };
        for _ in 0..310 {
            random.next();
        }
        random
    }

    fn next(&mut self) -> u32 {
        // r[i] = r[i-3] + r[i-31]; the word at `at` is r[i-31].
        let word = self.words[self.at].wrapping_add(self.words[(self.at + 28) % 31]);
        self.words[self.at] = word;
        self.at = (self.at + 1) % 31;
        word >> 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_numbers_are_those_of_glibc() {
        // What `srandom(1)` and three calls of `random()` print on any Linux.
        let mut random = LibcRandom::new(1);
        let numbers: Vec<u32> = (0..3).map(|_| random.next()).collect();
        assert_eq!(numbers, [1_804_289_383, 846_930_886, 1_681_692_777]);
    }
}
