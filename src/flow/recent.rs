//! What calls to the provider brought, kept for a while and fetched once for all who wait for it
//! (specification section 15).

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use crate::cache::{Budget, Weigh};
use crate::config::Caching;
use crate::failure::{Kind, Refusal};
use crate::host::{Host, Task, Time};
use crate::policy::Policy;

/// The most results that are kept, of one kind and policy.
const MOST: usize = 4096;

/// How long a failure of the provider is the answer for all who ask the same, in milliseconds: who waited
/// for the one call must not make all of them again.
const FAILURE_MS: u64 = 1000;

/// A key: the hash of all that the result depends on. No credential is kept in the clear.
pub type Key = [u8; 32];

/// What a fetch brought, and until when it may be kept.
pub type Fetched<T> = Result<(Rc<T>, Time), Refusal>;

/// Results by their keys.
pub struct Recent<T: Weigh> {
    kept: RefCell<HashMap<Key, Kept<T>>>,
    budget: Budget,
}

struct Kept<T> {
    until: Time,
    result: Result<Rc<T>, Refusal>,
    bytes: usize,
}

/// What a key and a refusal take, by and large.
const SMALL: usize = 256;

impl<T: Weigh> Recent<T> {
    /// Nothing is kept yet; the memory is shared with others.
    pub fn new(budget: Budget) -> Self {
        Recent {
            kept: RefCell::default(),
            budget,
        }
    }

    /// What is kept under this key.
    pub fn get(&self, key: &Key, now: Time) -> Option<Result<Rc<T>, Refusal>> {
        let kept = self.kept.borrow();
        kept.get(key)
            .filter(|kept| now < kept.until)
            .map(|kept| kept.result.clone())
    }

    /// Keeps a result. Where there is no room, what ends first goes.
    pub fn put(&self, key: Key, result: Result<Rc<T>, Refusal>, until: Time, now: Time) {
        self.remove(&key);
        if now >= until {
            return;
        }
        let own = result.as_ref().map_or(0, |result| result.bytes());
        let bytes = own.saturating_add(SMALL);
        if self.is_full(bytes) {
            self.drop_ended(now);
        }
        while self.is_full(bytes) {
            let soonest = {
                let kept = self.kept.borrow();
                let soonest = kept.iter().min_by_key(|(_, kept)| kept.until);
                soonest.map(|(key, _)| *key)
            };
            match soonest {
                Some(soonest) => self.remove(&soonest),
                // Others hold all the memory: this is asked again each time.
                None => return,
            }
        }
        self.budget.take(bytes);
        let kept = Kept {
            until,
            result,
            bytes,
        };
        self.kept.borrow_mut().insert(key, kept);
    }

    fn is_full(&self, bytes: usize) -> bool {
        self.kept.borrow().len() >= MOST || !self.budget.has_room_for(bytes)
    }

    fn remove(&self, key: &Key) {
        if let Some(kept) = self.kept.borrow_mut().remove(key) {
            self.budget.give_back(kept.bytes);
        }
    }

    fn drop_ended(&self, now: Time) {
        let budget = &self.budget;
        self.kept.borrow_mut().retain(|_, kept| {
            let stays = now < kept.until;
            if !stays {
                budget.give_back(kept.bytes);
            }
            stays
        });
    }
}

impl<T: Weigh> Drop for Recent<T> {
    fn drop(&mut self) {
        for kept in self.kept.borrow().values() {
            self.budget.give_back(kept.bytes);
        }
    }
}

/// How to fetch it, for whoever comes first.
pub type Fetch<T> = Rc<dyn Fn(Rc<dyn Host>) -> Task<Fetched<T>>>;

/// Where the results of one kind are kept.
pub type Shelf<T> = fn(&Policy) -> &Recent<T>;

/// One question to the provider.
pub struct Question<T: Weigh> {
    /// What it depends on.
    pub key: Key,
    /// Where its results are kept.
    pub shelf: Shelf<T>,
    /// Its name, for the flight.
    pub name: &'static str,
    /// Whether results are kept at all: else each request asks for itself.
    pub is_kept: bool,
}

/// Answers a question from what is kept, or by one fetch for all who ask it meanwhile.
pub async fn answer<T: Weigh + 'static>(
    policy: &Rc<Policy>,
    host: &Rc<dyn Host>,
    question: &Question<T>,
    fetch: &Fetch<T>,
) -> Result<Rc<T>, Refusal> {
    if !question.is_kept {
        return fetch(host.clone()).await.map(|(result, _)| result);
    }
    let (key, shelf) = (question.key, question.shelf);
    if let Some(kept) = shelf(policy).get(&key, host.now()) {
        return kept;
    }
    let mine = Rc::new(RefCell::new(None));
    let name = format!("{} {:p} {}", question.name, Rc::as_ptr(policy), hex(&key));
    host.join(&name, &mut |flight_host| {
        let (policy, mine, fetch) = (policy.clone(), mine.clone(), fetch.clone());
        Box::pin(async move {
            let fetched = fetch(flight_host.clone()).await;
            let now = flight_host.now();
            let until = match &fetched {
                Ok((_, until)) => *until,
                Err(refusal) => end_of_refusal(refusal, &policy.config.caching, now),
            };
            let result = fetched.map(|(result, _)| result);
            shelf(&policy).put(key, result.clone(), until, now);
            *mine.borrow_mut() = Some(result);
        })
    })
    .await;
    if let Some(result) = mine.borrow_mut().take() {
        return result;
    }
    match shelf(policy).get(&key, host.now()) {
        Some(kept) => kept,
        // The flight that was joined brought something that may not be kept.
        None => fetch(host.clone()).await.map(|(result, _)| result),
    }
}

/// Until when a refusal is kept: row S `cache_ttl_neg` for what the provider refused, a moment for its
/// failures.
fn end_of_refusal(refusal: &Refusal, caching: &Caching, now: Time) -> Time {
    match refusal.kind {
        Kind::Unexpected => Time(now.0.saturating_add(FAILURE_MS)),
        _ => now.plus_seconds(caching.ttl_neg.unwrap_or(0)),
    }
}

/// Until when something may be kept that ends at `end`, or does not say when.
pub fn keep_until(caching: &Caching, end: Option<Time>, now: Time) -> Time {
    let until = now.plus_seconds(caching.ttl_of(end.is_some()));
    end.map_or(until, |end| until.min(end))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The hash of these parts, each with its length, so that none can run into the next.
pub fn key_of<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Key {
    use sha2::{Digest, Sha256};
    let mut hash = Sha256::new();
    for part in parts {
        let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
        hash.update(length.to_le_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test may fail loudly")]
mod tests {
    use super::*;

    impl Weigh for u64 {
        fn bytes(&self) -> usize {
            10_000
        }
    }

    #[test]
    fn the_newest_result_always_has_room() {
        let budget = Budget::default();
        let recent = Recent::new(budget.clone());
        for number in 0..10_000 {
            let key = key_of([&u64::to_le_bytes(number)[..]]);
            recent.put(key, Ok(Rc::new(number)), Time(100_000 + number), Time(0));
            assert!(recent.get(&key, Time(0)).is_some());
        }
        let kept = recent.kept.borrow().len();
        assert!(kept > 1000 && kept <= MOST, "{kept}");
        drop(recent);
        assert!(budget.has_room_for(32 << 20), "all bytes are given back");
    }

    #[test]
    fn where_others_hold_all_the_memory_nothing_is_kept() {
        let budget = Budget::default();
        budget.take(32 << 20);
        let recent = Recent::new(budget);
        let key = key_of([&b"a"[..]]);
        recent.put(key, Ok(Rc::new(1)), Time(6), Time(5));
        assert!(recent.get(&key, Time(5)).is_none());
    }

    #[test]
    fn nothing_is_kept_beyond_its_end() {
        let recent = Recent::new(Budget::default());
        let key = key_of([&b"a"[..]]);
        recent.put(key, Ok(Rc::new(1)), Time(5), Time(5));
        assert!(recent.get(&key, Time(5)).is_none());
        recent.put(key, Ok(Rc::new(1)), Time(6), Time(5));
        assert!(recent.get(&key, Time(5)).is_some() && recent.get(&key, Time(6)).is_none());
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_ne!(key_of([&b"ab"[..], b"c"]), key_of([&b"a"[..], b"bc"]));
    }
}
