//! What a test may ask of the host: what was written, counted and left over.

use std::collections::BTreeMap;

use oidc_filter::host::{Counter, Level};

use crate::crypto::HostCrypto;
use crate::random::Random;
use crate::world::{Dialect, World};

impl World {
    /// The host's own cryptography from now on.
    pub fn set_crypto(&self, crypto: HostCrypto) {
        self.inner.crypto.set(crypto);
    }

    /// From now on Kong's requests have no id: only the secret, time and a counter make random numbers.
    pub fn without_request_marks(&self) {
        self.inner.marks.set(false);
    }

    /// From now on Kong's requests are for the service of this id; Envoy knows no such thing.
    pub fn set_service(&self, id: Option<&str>) {
        *self.inner.service.borrow_mut() = id.map(str::to_owned);
    }

    /// How often the host's cryptography was asked, known-answer probe included.
    #[must_use]
    pub fn asked_crypto(&self) -> u32 {
        self.inner.record.asked_host.get()
    }

    /// The host that this world imitates.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        self.inner.dialect
    }

    /// What the seed says.
    #[must_use]
    pub fn random(&self) -> &Random {
        &self.inner.random
    }

    /// A counter.
    #[must_use]
    pub fn counted(&self, counter: Counter) -> u64 {
        self.inner.record.counted(counter)
    }

    /// The counters of the series, by their names.
    #[must_use]
    pub fn series(&self) -> BTreeMap<String, u64> {
        self.inner.record.series()
    }

    /// What the access log can tell of the request that was decided on last, as `name=value`.
    ///
    /// # Panics
    /// When there was none.
    #[must_use]
    pub fn told(&self) -> Vec<String> {
        let accounts = self.inner.record.accounts.borrow();
        let last = accounts.last().expect("a request");
        let told = last.told();
        told.map(|(name, value)| format!("{name}={value}"))
            .collect()
    }

    /// The log lines of this level.
    #[must_use]
    pub fn lines(&self, level: Level) -> Vec<String> {
        let lines = self.inner.record.lines.borrow();
        let of_level = lines.iter().filter(|(own, _)| *own == level);
        of_level.map(|(_, line)| line.clone()).collect()
    }

    /// Whether a log line holds this text.
    #[must_use]
    pub fn logged(&self, text: &str) -> bool {
        let lines = self.inner.record.lines.borrow();
        lines.iter().any(|(_, line)| line.contains(text))
    }

    /// Keeps a text that must appear in no log line, no answer and no call.
    pub fn keep_secret(&self, text: &str) {
        self.inner.record.keep_secret(text);
    }

    /// Lets answers hold this token: the configuration hands it out.
    pub fn hand_out(&self, token: &str) {
        self.inner.record.hand_out(token);
    }

    /// Keeps a text out of the log alone.
    pub fn keep_out_of_log(&self, text: &str) {
        self.inner.record.keep_out_of_log(text);
    }

    /// How many tasks the executors hold.
    #[must_use]
    pub fn tasks(&self) -> usize {
        let workers = self.inner.workers.iter();
        workers.map(|worker| worker.executor.len()).sum()
    }
}
