//! The bounded cache of verdicts: a token that was verified once is looked up, not verified again.
//!
//! Set-associative: a token's last bytes (its signature's, which differ between any two tokens) choose
//! a set of four places, and the whole token is compared. Only tokens whose signature was found good
//! get in, so nobody can aim at a set. Bounded in entries and in bytes; an entry whose time has run
//! out is no hit.

use std::rc::Rc;

use crate::authz::Verdict;
use crate::host::Time;

/// Sets of places: with four each, 16,384 tokens.
const SETS: usize = 4096;
const WAYS: usize = 4;

/// The most bytes that the tokens and header values of one policy's cache may take.
const MAX_BYTES: usize = 32 << 20;

/// Longer tokens are verified every time.
const MAX_TOKEN: usize = 16 << 10;

/// Verdicts by token.
#[derive(Default)]
pub struct VerdictCache {
    sets: Vec<[Option<Entry>; WAYS]>,
    bytes: usize,
    /// Where the next eviction for want of bytes begins.
    hand: usize,
}

struct Entry {
    token: Box<[u8]>,
    verdict: Rc<Verdict>,
    bytes: usize,
}

impl VerdictCache {
    /// The verdict on this token, if there is one.
    pub fn get(&self, token: &[u8]) -> Option<Rc<Verdict>> {
        self.sets
            .get(set_of(token))?
            .iter()
            .flatten()
            .find(|entry| *entry.token == *token)
            .map(|entry| entry.verdict.clone())
    }

    /// Remembers a verdict. In a full set the one that ends first makes room.
    pub fn put(&mut self, token: &[u8], verdict: Rc<Verdict>, now: Time) {
        let bytes = cost(token, &verdict);
        if token.len() > MAX_TOKEN || bytes > MAX_BYTES || now >= verdict.valid_until {
            return;
        }
        if self.sets.is_empty() {
            self.sets.resize_with(SETS, Default::default);
        }
        self.remove(token);
        self.make_room(bytes);
        let Some(set) = self.sets.get_mut(set_of(token)) else { return };
        let Some(place) = set.iter_mut().min_by_key(|place| {
            place
                .as_ref()
                .map_or(Time(0), |entry| entry.verdict.valid_until)
        }) else {
            return;
        };
        let freed = place.as_ref().map_or(0, |entry| entry.bytes);
        self.bytes = self.bytes.saturating_sub(freed).saturating_add(bytes);
        *place = Some(Entry {
            token: token.into(),
            verdict,
            bytes,
        });
    }

    /// Forgets the verdict on this token.
    pub fn remove(&mut self, token: &[u8]) {
        let Some(set) = self.sets.get_mut(set_of(token)) else { return };
        for place in set {
            if place.as_ref().is_some_and(|entry| *entry.token == *token)
                && let Some(entry) = place.take()
            {
                self.bytes = self.bytes.saturating_sub(entry.bytes);
            }
        }
    }

    fn make_room(&mut self, bytes: usize) {
        // One walk round the sets empties the cache: the loop ends.
        for _ in 0..SETS {
            if self.bytes.saturating_add(bytes) <= MAX_BYTES {
                return;
            }
            if let Some(set) = self.sets.get_mut(self.hand) {
                for entry in set.iter_mut().filter_map(Option::take) {
                    self.bytes = self.bytes.saturating_sub(entry.bytes);
                }
            }
            self.hand = self.hand.wrapping_add(1) % SETS;
        }
    }
}

fn cost(token: &[u8], verdict: &Verdict) -> usize {
    let headers: usize = verdict
        .headers
        .iter()
        .map(|(name, value)| name.len().saturating_add(value.len()).saturating_add(64))
        .fold(0, usize::saturating_add);
    token.len().saturating_add(headers).saturating_add(256)
}

/// The set for a token, from its last eight bytes.
fn set_of(token: &[u8]) -> usize {
    let tail = token.iter().rev().take(8).fold(0u64, |sum, byte| {
        sum.rotate_left(8) ^ u64::from(*byte)
    });
    // Fibonacci hashing: base64url uses few of a byte's values.
    let mixed = tail.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    usize::try_from(mixed).unwrap_or_default() % SETS
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::arithmetic_side_effects, reason = "a test may fail loudly")]
mod tests {
    use super::*;

    fn verdict(until: u64, header_bytes: usize) -> Rc<Verdict> {
        Rc::new(Verdict {
            valid_until: Time(until),
            key: None,
            rules: Ok(()),
            session_cookie: None,
            headers: Rc::from([(b"x".to_vec(), vec![b'v'; header_bytes])]),
        })
    }

    #[test]
    fn the_whole_token_counts() {
        let mut cache = VerdictCache::default();
        cache.put(b"one.signature", verdict(10, 1), Time(1));
        assert!(cache.get(b"one.signature").is_some());
        assert!(cache.get(b"two.signature").is_none(), "same tail, another token");
        cache.remove(b"one.signature");
        assert!(cache.get(b"one.signature").is_none());
        assert_eq!(cache.bytes, 0);
    }

    #[test]
    fn what_has_ended_is_not_remembered() {
        let mut cache = VerdictCache::default();
        cache.put(b"t", verdict(10, 1), Time(10));
        assert!(cache.get(b"t").is_none());
    }

    #[test]
    fn a_hundred_thousand_tokens_stay_within_the_bounds() {
        let mut cache = VerdictCache::default();
        for number in 0..100_000u64 {
            let token = format!("header.payload.{number:08}");
            cache.put(token.as_bytes(), verdict(10 + number, 1000), Time(1));
            assert!(cache.bytes <= MAX_BYTES);
        }
        let kept = cache.sets.iter().flatten().flatten().count();
        assert!(kept > 1000 && kept <= SETS * WAYS, "{kept} kept");
        let counted: usize = cache.sets.iter().flatten().flatten().map(|e| e.bytes).sum();
        assert_eq!(counted, cache.bytes);
        assert!(cache.get(b"header.payload.00099999").is_some(), "the newest is there");
    }
}
