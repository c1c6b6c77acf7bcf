//! A provider's metadata and keys: fetched when first needed, shared by all policies that name it,
//! refetched for an unknown key at most once per `rediscovery_lifetime`, refreshed in the background.

mod fetch;
mod keys;

pub use keys::KeySet;

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use crate::config::{Clusters, Config, Provider as Settings};
use crate::failure::Refusal;
use crate::host::{Counter, Host, Level, Task, Time};

/// The wait after a failed attempt, in seconds, where `rediscovery_lifetime` is not shorter.
const RETRY_SECONDS: u64 = 5;

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
    /// When the last attempt of any kind began, and how it ended.
    attempt: Cell<Option<Attempt>>,
    /// When keys were last fetched because of an unknown one.
    rediscovered: Cell<Option<Time>>,
    last_error: RefCell<Option<Refusal>>,
    refreshing: Cell<bool>,
    /// How many fetches are under way: one on Envoy, one per request on Kong.
    flights: Cell<u32>,
}

#[derive(Clone, Copy)]
struct Attempt {
    ended: Time,
    failed: bool,
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
            attempt: Cell::new(None),
            rediscovered: Cell::new(None),
            last_error: RefCell::new(None),
            refreshing: Cell::new(false),
            flights: Cell::new(0),
        }
    }

    fn is_same_as(&self, other: &Provider) -> bool {
        self.settings == other.settings && self.clusters == other.clusters && self.ttl == other.ttl
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
        if !self.just_failed(host.now()) {
            self.fly(host).await;
        }
        self.current().ok_or_else(|| {
            let error = self.last_error.borrow().clone();
            error.unwrap_or_else(|| {
                Refusal::unexpected("provider_unreachable", "the provider's keys are not there yet")
            })
        })
    }

    /// Fetches the keys anew because a token names one that `seen` does not hold; at most once per
    /// `rediscovery_lifetime`. `None`: not now, or nothing new. A failed attempt leaves what is
    /// cached as it is.
    pub async fn rediscover(
        self: &Rc<Self>,
        host: &Rc<dyn Host>,
        seen: &KeySet,
        arrived: Time,
    ) -> Option<Rc<KeySet>> {
        let newer = |keys: &Rc<KeySet>| keys.serial != seen.serial;
        if let Some(keys) = self.current().filter(newer) {
            // Somebody else fetched them meanwhile.
            return Some(keys);
        }
        let now = host.now();
        // Keys that were fetched for this very request cannot be out of date.
        let fresh = seen.fetched >= arrived;
        let too_soon = self.rediscovered.get().is_some_and(|last| {
            now < last.plus_seconds(self.settings.rediscovery_lifetime)
        });
        if fresh || too_soon && !self.flying_now() || self.just_failed(now) {
            return None;
        }
        self.rediscovered.set(Some(now));
        self.fly(host).await;
        self.current().filter(newer)
    }

    /// Leaves a refresh to the next tick when the keys are older than `cache_ttl`.
    pub fn refresh_if_stale(self: &Rc<Self>, host: &dyn Host, now: Time) {
        let stale = self
            .keys
            .borrow()
            .as_ref()
            .is_some_and(|keys| now >= keys.fetched.plus_seconds(self.ttl));
        if !stale || self.refreshing.get() || self.just_failed(now) {
            return;
        }
        self.refreshing.set(true);
        let provider = self.clone();
        host.background(Box::new(move |host| {
            Box::pin(async move {
                provider.fly(&host).await;
                provider.refreshing.set(false);
            })
        }));
    }

    /// One fetch, shared with everybody who wants the same now.
    async fn fly(self: &Rc<Self>, host: &Rc<dyn Host>) {
        let provider = self.clone();
        let key = format!("keys {:p}", Rc::as_ptr(self));
        host.join(&key, &mut |flight_host| {
            let provider = provider.clone();
            let task: Task<()> = Box::pin(async move { provider.fetch(flight_host).await });
            task
        })
        .await;
    }

    async fn fetch(self: Rc<Self>, host: Rc<dyn Host>) {
        self.flights.set(self.flights.get().saturating_add(1));
        let before = self.current();
        let fetched = fetch::key_set(&self.settings, &self.clusters, &*host, before.as_deref()).await;
        self.flights.set(self.flights.get().saturating_sub(1));
        let ended = host.now();
        self.attempt.set(Some(Attempt {
            ended,
            failed: fetched.is_err(),
        }));
        match fetched {
            Ok(keys) => {
                *self.last_error.borrow_mut() = None;
                *self.keys.borrow_mut() = Some(Rc::new(keys));
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

    fn flying_now(&self) -> bool {
        self.flights.get() > 0
    }

    fn just_failed(&self, now: Time) -> bool {
        let wait = RETRY_SECONDS.min(self.settings.rediscovery_lifetime);
        self.attempt
            .get()
            .is_some_and(|last| last.failed && now < last.ended.plus_seconds(wait))
    }
}
