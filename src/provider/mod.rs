//! A provider's metadata and keys: fetched when first needed, shared by all policies that name it,
//! refetched for an unknown key at most once per `rediscovery_lifetime`, refreshed in the background.

mod fetch;
mod keys;
mod metadata;
pub mod verify;

pub use keys::KeySet;
pub use metadata::Metadata;

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use crate::config::{Clusters, Config, Provider as Settings};
use crate::failure::Refusal;
use crate::host::{Counter, Host, Level, Task, Time};

/// The wait after a failed attempt, in seconds, where `rediscovery_lifetime` is not shorter.
const RETRY_SECONDS: u64 = 5;

/// How many requests may look for an unknown key in one `rediscovery_lifetime`, while another does,
/// where each has to do so by itself (Kong).
const MOST_OWN_FLIGHTS: u32 = 8;

/// All providers of one virtual machine. Fifty routes on one provider fetch its keys once.
#[derive(Default)]
pub struct Providers {
    known: RefCell<Vec<Weak<Provider>>>,
}

/// One provider: its address and what is known of it.
pub struct Provider {
    settings: Settings,
    clusters: Clusters,
    /// Seconds after which keys are refreshed in the background (decision C4).
    ttl: u64,
    name: String,
    keys: RefCell<Option<Rc<KeySet>>>,
    /// How the last fetch ended that a request waited for.
    needed: Cell<Option<Attempt>>,
    /// How the last one ended that nobody waited for. It says nothing about a request's own: on Kong
    /// a call from the tick resolves names in another way.
    refreshed: Cell<Option<Attempt>>,
    /// When keys were last fetched because of an unknown one.
    rediscovered: Cell<Option<Time>>,
    /// How many requests did so since.
    joined: Cell<u32>,
    last_error: RefCell<Option<Refusal>>,
    /// A refresh is waiting for its tick, or under way.
    refreshing: Flag,
    /// How many fetches are under way: one on Envoy, one per request on Kong.
    flights: Flag,
    /// Counts fetches, and which of them the keys are from: an older one never replaces a newer.
    begun: Cell<u64>,
    /// Counts fetches that came to their end.
    ended: Cell<u64>,
    kept: Cell<u64>,
}

#[derive(Clone, Copy)]
struct Attempt {
    ended: Time,
    failed: bool,
}

/// Counts what is under way. A task may be dropped anywhere (its request left, its root ended), so the
/// count goes down with a guard.
#[derive(Default)]
struct Flag(Rc<Cell<u32>>);

struct Raised(Rc<Cell<u32>>);

impl Flag {
    fn raise(&self) -> Raised {
        self.0.set(self.0.get().saturating_add(1));
        Raised(self.0.clone())
    }

    fn count(&self) -> u32 {
        self.0.get()
    }
}

impl Drop for Raised {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

/// Why keys are fetched.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// A request waits for them.
    Needed,
    /// They are older than `cache_ttl`, and good still.
    Refresh,
}

impl Providers {
    /// The provider that this configuration names, shared where it is known already.
    pub fn of(&self, config: &Config) -> Rc<Provider> {
        let wanted = Provider::new(config);
        let mut known = self.known.borrow_mut();
        known.retain(|provider| provider.strong_count() > 0);
        let found = known
            .iter()
            .filter_map(Weak::upgrade)
            .find(|provider| provider.is_same_as(&wanted));
        found.unwrap_or_else(|| {
            let provider = Rc::new(wanted);
            known.push(Rc::downgrade(&provider));
            provider
        })
    }
}

impl Provider {
    fn new(config: &Config) -> Provider {
        Provider {
            settings: config.provider.clone(),
            clusters: config.host.clusters.clone(),
            ttl: config.caching.ttl,
            name: config.provider.issuer.identifier.clone(),
            keys: RefCell::new(None),
            needed: Cell::new(None),
            refreshed: Cell::new(None),
            rediscovered: Cell::new(None),
            joined: Cell::new(0),
            last_error: RefCell::new(None),
            refreshing: Flag::default(),
            flights: Flag::default(),
            begun: Cell::new(0),
            ended: Cell::new(0),
            kept: Cell::new(0),
        }
    }

    fn is_same_as(&self, other: &Provider) -> bool {
        // Whose word counts is each policy's to say; the keys are the same.
        let keys = |provider: &Provider| Settings {
            issuers_allowed: Vec::new(),
            ..provider.settings.clone()
        };
        keys(self) == keys(other) && self.clusters == other.clusters && self.ttl == other.ttl
    }

    /// The keys as they are now, without asking anybody.
    pub fn current(&self) -> Option<Rc<KeySet>> {
        self.keys.borrow().clone()
    }

    /// The keys, fetched if there are none yet.
    pub async fn keys(self: &Rc<Self>, host: &Rc<dyn Host>) -> Result<Rc<KeySet>, Refusal> {
        if let Some(keys) = self.current() {
            return Ok(keys);
        }
        // A flight that began under another configuration ends without a result when that does: once more.
        for _ in 0..2 {
            if self.current().is_some() || self.just_failed(&self.needed, host.now()) {
                break;
            }
            let ended = self.ended.get();
            self.fly(host, Purpose::Needed).await;
            if self.ended.get() != ended {
                break;
            }
        }
        self.current().ok_or_else(|| {
            let error = self.last_error.borrow().clone();
            error.unwrap_or_else(|| {
                Refusal::unexpected(
                    "provider_unreachable",
                    "the provider's keys are not there yet",
                )
            })
        })
    }

    /// Fetches the keys anew because a token names one that `seen` does not hold; at most once per
    /// `rediscovery_lifetime`, or 5 s after an attempt that failed (specification section 7.1).
    /// `None`: not now, or nothing new. A failed attempt leaves what is cached as it is.
    pub async fn rediscover(
        self: &Rc<Self>,
        host: &Rc<dyn Host>,
        seen: &KeySet,
        arrived: Time,
    ) -> Option<Rc<KeySet>> {
        let newer = |keys: &Rc<KeySet>| !std::ptr::eq(&raw const **keys, seen);
        if let Some(keys) = self.current().filter(newer) {
            // Somebody else fetched them meanwhile.
            return Some(keys);
        }
        let now = host.now();
        // Keys that were fetched for this very request cannot be out of date.
        let fresh = seen.fetched >= arrived;
        let too_soon = self
            .rediscovered
            .get()
            .is_some_and(|last| now < last.plus_seconds(self.settings.rediscovery_lifetime));
        if fresh || too_soon && !self.may_join(&**host) || self.just_failed(&self.needed, now) {
            return None;
        }
        if too_soon {
            self.joined.set(self.joined.get().saturating_add(1));
        } else {
            self.rediscovered.set(Some(now));
            self.joined.set(1);
        }
        self.fly(host, Purpose::Needed).await;
        if self.last_error.borrow().is_some() {
            // Also where it was a refresh in the background that failed, and this request joined it.
            self.needed.set(Some(Attempt {
                ended: host.now(),
                failed: true,
            }));
            self.rediscovered.set(None);
        }
        self.current().filter(newer)
    }

    /// Whether a fetch is under way whose result this request may have as well. On Kong it makes a
    /// call of its own, so a stranger must not be able to cause many of them.
    fn may_join(&self, host: &dyn Host) -> bool {
        let shared = host.abilities().shares_flights;
        self.flights.count() > 0 && (shared || self.joined.get() < MOST_OWN_FLIGHTS)
    }

    /// Whether the keys are older than `cache_ttl` and nobody is about to fetch them.
    pub fn is_due(&self, now: Time) -> bool {
        let stale = self
            .keys
            .borrow()
            .as_ref()
            .is_some_and(|keys| now >= keys.fetched.plus_seconds(self.ttl));
        stale && self.refreshing.count() == 0 && !self.just_failed(&self.refreshed, now)
    }

    /// Leaves a refresh to the next tick, if one is due. Where the tick cannot call, a request that
    /// waits anyway does it: [`Provider::refresh_if_due`].
    pub fn refresh_in_background(self: &Rc<Self>, host: &dyn Host, now: Time) {
        if !host.abilities().shares_flights || !self.is_due(now) {
            return;
        }
        let (provider, raised) = (self.clone(), self.refreshing.raise());
        host.background(Box::new(move |host| {
            Box::pin(async move {
                provider.fly(&host, Purpose::Refresh).await;
                drop(raised);
            })
        }));
    }

    /// Fetches keys that are older than `cache_ttl`: now, or on the next tick where that can call.
    pub async fn refresh_if_due(self: &Rc<Self>, host: &Rc<dyn Host>) {
        let now = host.now();
        if host.abilities().shares_flights {
            self.refresh_in_background(&**host, now);
        } else if self.is_due(now) {
            let _raised = self.refreshing.raise();
            self.fly(host, Purpose::Refresh).await;
        }
    }

    /// One fetch, shared with everybody who wants the same now.
    async fn fly(self: &Rc<Self>, host: &Rc<dyn Host>, purpose: Purpose) {
        let provider = self.clone();
        let key = format!("keys {:p}", Rc::as_ptr(self));
        host.join(&key, &mut |flight_host| {
            let provider = provider.clone();
            let task: Task<()> =
                Box::pin(async move { provider.fetch(flight_host, purpose).await });
            task
        })
        .await;
    }

    async fn fetch(self: Rc<Self>, host: Rc<dyn Host>, purpose: Purpose) {
        let _raised = self.flights.raise();
        let number = self.begun.get().wrapping_add(1);
        self.begun.set(number);
        let before = self.current();
        let fetched =
            fetch::key_set(&self.settings, &self.clusters, &*host, before.as_deref()).await;
        self.ended.set(self.ended.get().wrapping_add(1));
        let attempt = match purpose {
            Purpose::Needed => &self.needed,
            Purpose::Refresh => &self.refreshed,
        };
        attempt.set(Some(Attempt {
            ended: host.now(),
            failed: fetched.is_err(),
        }));
        match fetched {
            Ok(keys) => {
                *self.last_error.borrow_mut() = None;
                let before = self.current().map(|keys| keys.generation);
                self.keep(keys, number);
                if let Some(keys) = self
                    .current()
                    .filter(|keys| before != Some(keys.generation))
                {
                    let (name, ids) = (&self.name, keys.ids());
                    let line = format!("oidc-filter: keys_in_force: provider {name}: {ids}");
                    host.log(Level::Info, &line);
                }
            }
            Err(refusal) => {
                host.count(Counter::FetchFailed);
                host.log(
                    Level::Error,
                    &format!(
                        "oidc-filter: {}: provider {}: {}",
                        refusal.code, self.name, refusal.reason
                    ),
                );
                *self.last_error.borrow_mut() = Some(refusal);
            }
        }
    }

    /// Puts keys in force, unless a fetch that began later has brought some already. The generation
    /// is judged against those in force now, not against those of when the fetch began.
    fn keep(&self, mut keys: KeySet, number: u64) {
        if number < self.kept.get() {
            return;
        }
        self.kept.set(number);
        keys.generation = match self.current() {
            Some(before) if keys.same_keys(&before) => before.generation,
            Some(before) => before.generation.wrapping_add(1),
            None => 1,
        };
        *self.keys.borrow_mut() = Some(Rc::new(keys));
    }

    fn just_failed(&self, attempt: &Cell<Option<Attempt>>, now: Time) -> bool {
        let wait = RETRY_SECONDS.min(self.settings.rediscovery_lifetime);
        attempt
            .get()
            .is_some_and(|last| last.failed && now < last.ended.plus_seconds(wait))
    }
}
