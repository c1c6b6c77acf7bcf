//! The bounded cache of verdicts: a token that was verified once is looked up, not verified again.
//!
//! Set-associative: a token's last bytes (its signature's, which differ between any two tokens) choose
//! a set of four places, and the whole token is compared. Only tokens whose signature was found good
//! get in, so nobody can aim at a set. Bounded in entries for each policy and in bytes for the whole
//! virtual machine; an entry whose time has run out is no hit.

use std::cell::Cell;
use std::rc::Rc;

use crate::authz::Verdict;
use crate::host::Time;

/// Sets of places: with four each, 16,384 tokens.
const SETS: usize = 4096;
const WAYS: usize = 4;

/// The most bytes that the tokens and header values of all policies' caches may take together: a
/// virtual machine has 1 GiB, and runs into a trap there.
const MAX_BYTES: usize = 32 << 20;

/// Longer tokens are verified every time.
const MAX_TOKEN: usize = 16 << 10;

/// The bytes in use, counted over all caches of a virtual machine.
#[derive(Clone, Debug, Default)]
pub struct Budget(Rc<Cell<usize>>);

impl Budget {
    pub(crate) fn has_room_for(&self, bytes: usize) -> bool {
        self.0.get().saturating_add(bytes) <= MAX_BYTES
    }

    pub(crate) fn take(&self, bytes: usize) {
        self.0.set(self.0.get().saturating_add(bytes));
    }

    pub(crate) fn give_back(&self, bytes: usize) {
        self.0.set(self.0.get().saturating_sub(bytes));
    }
}

/// Verdicts by token.
pub struct VerdictCache {
    sets: Vec<[Option<Entry>; WAYS]>,
    budget: Budget,
    /// Where the next eviction for want of bytes begins.
    hand: usize,
}

struct Entry {
    token: Box<[u8]>,
    verdict: Rc<Verdict>,
    /// When it is forgotten, which may be before the token's own end (`cache_ttl_max`).
    keep_until: Time,
    bytes: usize,
}

impl VerdictCache {
    /// An empty cache that shares `budget` with others.
    pub fn new(budget: Budget) -> VerdictCache {
        VerdictCache {
            sets: Vec::new(),
            budget,
            hand: 0,
        }
    }

    /// The verdict on this token, if there is one that is to be kept still.
    pub fn get(&self, token: &[u8], now: Time) -> Option<Rc<Verdict>> {
        self.sets
            .get(set_of(token))?
            .iter()
            .flatten()
            .find(|entry| same(&entry.token, token) && now < entry.keep_until)
            .map(|entry| entry.verdict.clone())
    }

    /// Remembers a verdict for `ttl` seconds, or until it ends if that is sooner. In a full set the
    /// one that ends first makes room.
    pub fn put(&mut self, token: &[u8], verdict: Rc<Verdict>, ttl: u64, now: Time) {
        let bytes = cost(token, &verdict);
        let keep_until = verdict.valid_until.min(now.plus_seconds(ttl));
        if token.len() > MAX_TOKEN || now >= keep_until {
            return;
        }
        if self.sets.is_empty() {
            self.sets.resize_with(SETS, Default::default);
        }
        self.remove(token);
        self.make_room(bytes);
        if !self.budget.has_room_for(bytes) {
            // Other policies hold it all: this token is verified each time.
            return;
        }
        let Some(set) = self.sets.get_mut(set_of(token)) else {
            return;
        };
        let Some(place) = set
            .iter_mut()
            .min_by_key(|place| place.as_ref().map_or(Time(0), |entry| entry.keep_until))
        else {
            return;
        };
        let freed = place.as_ref().map_or(0, |entry| entry.bytes);
        self.budget.give_back(freed);
        self.budget.take(bytes);
        *place = Some(Entry {
            token: token.into(),
            verdict,
            keep_until,
            bytes,
        });
    }

    /// Forgets the verdict on this token.
    pub fn remove(&mut self, token: &[u8]) {
        let Some(set) = self.sets.get_mut(set_of(token)) else {
            return;
        };
        for place in set {
            if place
                .as_ref()
                .is_some_and(|entry| same(&entry.token, token))
                && let Some(entry) = place.take()
            {
                self.budget.give_back(entry.bytes);
            }
        }
    }

    fn make_room(&mut self, bytes: usize) {
        // One walk round the sets empties the cache: the loop ends.
        for _ in 0..SETS {
            if self.budget.has_room_for(bytes) {
                return;
            }
            if let Some(set) = self.sets.get_mut(self.hand) {
                for entry in set.iter_mut().filter_map(Option::take) {
                    self.budget.give_back(entry.bytes);
                }
            }
            self.hand = self.hand.wrapping_add(1) % SETS;
        }
    }
}

impl Drop for VerdictCache {
    fn drop(&mut self) {
        for entry in self.sets.iter().flatten().flatten() {
            self.budget.give_back(entry.bytes);
        }
    }
}

/// What is kept and counted.
pub trait Weigh {
    /// How many bytes it takes, by and large.
    fn bytes(&self) -> usize;
}

impl Weigh for Verdict {
    fn bytes(&self) -> usize {
        let headers: usize = self
            .headers
            .iter()
            .chain(self.told.iter().flat_map(|told| told.iter()))
            .map(|(name, value)| name.len().saturating_add(value.len()).saturating_add(64))
            .fold(0, usize::saturating_add);
        let token = self.token.as_ref().map_or(0, |token| token.len());
        let who = self.who.bytes();
        headers
            .saturating_add(token)
            .saturating_add(who)
            .saturating_add(320)
    }
}

fn cost(token: &[u8], verdict: &Verdict) -> usize {
    token.len().saturating_add(verdict.bytes())
}

/// Equality eight bytes at a time: what `==` becomes on wasm32 goes byte by byte, and a token of 1.3 KB
/// is compared on every request. No secret: who shows a token knows it.
fn same(a: &[u8], b: &[u8]) -> bool {
    let (a_words, a_rest) = a.as_chunks::<8>();
    let (b_words, b_rest) = b.as_chunks::<8>();
    let word = |bytes: &[u8; 8]| u64::from_le_bytes(*bytes);
    a.len() == b.len()
        && a_words.iter().zip(b_words).all(|(a, b)| word(a) == word(b))
        && a_rest == b_rest
}

/// The set for a token, from its last eight bytes.
fn set_of(token: &[u8]) -> usize {
    let tail = token
        .iter()
        .rev()
        .take(8)
        .fold(0u64, |sum, byte| sum.rotate_left(8) ^ u64::from(*byte));
    // Fibonacci hashing: base64url uses few of a byte's values.
    let mixed = tail.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    usize::try_from(mixed).unwrap_or_default() % SETS
}

#[cfg(test)]
#[allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may fail loudly"
)]
mod tests {
    use super::*;
    use crate::account::Who;
    use crate::config::AuthMethod;

    fn verdict(until: u64, header_bytes: usize) -> Rc<Verdict> {
        Rc::new(Verdict {
            valid_until: Time(until),
            key: None,
            rules: Ok(()),
            session_cookie: None,
            token: None,
            told: None,
            who: Who::of(AuthMethod::Bearer, &serde_json::Value::Null),
            headers: Rc::from([(b"x".to_vec(), vec![b'v'; header_bytes])]),
        })
    }

    fn cache() -> VerdictCache {
        VerdictCache::new(Budget::default())
    }

    #[test]
    fn the_whole_token_counts() {
        let mut cache = cache();
        cache.put(b"one.signature", verdict(10, 1), 60, Time(1));
        assert!(cache.get(b"one.signature", Time(1)).is_some());
        assert!(
            cache.get(b"two.signature", Time(1)).is_none(),
            "same tail, another token"
        );
        cache.remove(b"one.signature");
        assert!(cache.get(b"one.signature", Time(1)).is_none());
        assert_eq!(cache.budget.0.get(), 0);
    }

    #[test]
    fn equality_looks_at_every_byte() {
        let token: Vec<u8> = (0..37).collect();
        assert!(same(&token, &token.clone()));
        assert!(!same(&token, &token[..36]));
        for at in 0..token.len() {
            let mut other = token.clone();
            other[at] ^= 1;
            assert!(!same(&token, &other), "byte {at}");
        }
    }

    #[test]
    fn what_has_ended_is_not_remembered() {
        let mut cache = cache();
        cache.put(b"t", verdict(10, 1), 60, Time(10));
        assert!(cache.get(b"t", Time(10)).is_none());
        cache.put(b"t", verdict(100_000, 1), 0, Time(10));
        assert!(
            cache.get(b"t", Time(10)).is_none(),
            "a lifetime of 0 keeps nothing"
        );
        cache.put(b"t", verdict(100_000, 1), 5, Time(10));
        assert!(cache.get(b"t", Time(5009)).is_some());
        assert!(cache.get(b"t", Time(5010)).is_none());
    }

    #[test]
    fn a_hundred_thousand_tokens_stay_within_the_bounds() {
        let budget = Budget::default();
        let mut caches = [
            VerdictCache::new(budget.clone()),
            VerdictCache::new(budget.clone()),
        ];
        for number in 0..100_000u64 {
            let token = format!("header.payload.{number:08}");
            let cache = &mut caches[usize::from(number % 2 == 1)];
            cache.put(token.as_bytes(), verdict(10 + number, 2000), 60, Time(1));
            assert!(budget.0.get() <= MAX_BYTES);
        }
        let entries = || {
            caches
                .iter()
                .flat_map(|cache| cache.sets.iter().flatten().flatten())
        };
        let kept = entries().count();
        assert!(kept > 1000 && kept <= 2 * SETS * WAYS, "{kept} kept");
        assert_eq!(
            entries().map(|entry| entry.bytes).sum::<usize>(),
            budget.0.get()
        );
        let newest = caches[1].get(b"header.payload.00099999", Time(1));
        assert!(newest.is_some(), "the newest is there");
        drop(caches);
        assert_eq!(budget.0.get(), 0, "a cache that goes gives its bytes back");
    }
}
