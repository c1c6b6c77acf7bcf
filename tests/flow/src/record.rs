//! What the world notes: log lines, counters, and whatever breaks a rule of the glue.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};

use oidc_filter::account::Account;
use oidc_filter::host::{Counter, Level, Series};
use oidc_filter::http::Response;

use crate::forward::Forwarded;
use crate::idp::{END_SESSION, USERINFO};
use crate::network::Sent;
use crate::stage::KONG_ADMIN;

/// Notes of a whole world.
#[derive(Default)]
pub(crate) struct Record {
    pub(crate) lines: RefCell<Vec<(Level, String)>>,
    pub(crate) answers: RefCell<Vec<Response>>,
    counters: RefCell<HashMap<Counter, u64>>,
    series: RefCell<BTreeMap<String, u64>>,
    /// What the access log could tell of each request that was decided on.
    pub(crate) accounts: RefCell<Vec<Account>>,
    secrets: RefCell<Vec<String>>,
    /// Secrets that an answer may hold: what `login_tokens` hands out.
    handed_out: RefCell<Vec<String>>,
    /// Values of cookies that we set, and the configuration that did: for no log and for no upstream.
    sealed: RefCell<Vec<(u32, String)>>,
    /// What must not be in the log, but stands in an address of ours.
    unlogged: RefCell<Vec<String>>,
    violations: RefCell<Vec<String>>,
    pub(crate) asked_host: Cell<u32>,
}

impl Record {
    pub(crate) fn log(&self, level: Level, line: &str) {
        if line.contains('\n') || line.contains('\r') {
            self.violation(format!("a log line of two lines: {line:?}"));
        }
        self.lines.borrow_mut().push((level, line.to_owned()));
    }

    pub(crate) fn count(&self, counter: Counter) {
        *self.counters.borrow_mut().entry(counter).or_default() += 1;
    }

    pub(crate) fn tally(&self, series: Series) {
        *self.series.borrow_mut().entry(series.name()).or_default() += 1;
    }

    /// Every decision has its code: without one the operator would look in vain.
    pub(crate) fn account(&self, account: &Account) {
        if account.code.is_empty() {
            self.violation("a decision without a code");
        }
        self.accounts.borrow_mut().push(account.clone());
    }

    pub(crate) fn series(&self) -> BTreeMap<String, u64> {
        self.series.borrow().clone()
    }

    pub(crate) fn counted(&self, counter: Counter) -> u64 {
        self.counters
            .borrow()
            .get(&counter)
            .copied()
            .unwrap_or_default()
    }

    /// Something that must never happen; the end of the world fails for it.
    pub(crate) fn violation(&self, text: impl Into<String>) {
        self.violations.borrow_mut().push(text.into());
    }

    /// Every own reply is complete, of one line a header, and kept by no cache.
    pub(crate) fn answer(&self, root: u32, answer: &Response) {
        let of = |name: &str| {
            let same = answer.headers.iter().filter(|(own, _)| *own == name);
            let texts = same.map(|(_, value)| String::from_utf8_lossy(value).into_owned());
            texts.collect::<Vec<_>>()
        };
        self.set_cookies(root, &of("set-cookie"), &of("cache-control"), &of("vary"));
        // Our public keys are nobody's secret.
        let public = of("content-type") == ["application/jwk-set+json"];
        let kept_by_none = of("cache-control")
            .iter()
            .any(|value| value.ends_with("no-store"));
        if !kept_by_none && !public {
            self.violation(format!("an answer that a cache may keep: {answer:?}"));
        }
        for (name, value) in &answer.headers {
            self.header(name.as_bytes(), value);
        }
        self.answers.borrow_mut().push(answer.clone());
    }

    /// No cookie of ours reaches the upstream of the configuration that set it.
    pub(crate) fn forwarded(&self, root: u32, forwarded: &Forwarded) {
        for (own, value) in self.sealed.borrow().iter() {
            if *own == root && forwarded.contains(value) {
                self.violation(format!("a cookie of ours upstream: {forwarded:?}"));
            }
        }
        let of = |name: &str| forwarded.response(name);
        let ours = of("set-cookie");
        let ours: Vec<String> = ours.into_iter().filter(|set| set != "theirs=1").collect();
        self.set_cookies(root, &ours, &of("cache-control"), &of("vary"));
    }

    /// Whoever keeps a response with a cookie must keep it for its owner alone.
    fn set_cookies(&self, root: u32, cookies: &[String], caching: &[String], vary: &[String]) {
        if cookies.is_empty() {
            return;
        }
        let fit = caching == ["private, no-store"] && vary == ["Cookie, Authorization"];
        if !fit {
            self.violation(format!("a cookie with {caching:?}, {vary:?}"));
        }
        for cookie in cookies {
            if cookie.len() > MOST_OF_A_COOKIE {
                self.violation("a cookie that browsers drop");
            }
            let pair = cookie.split(';').next().unwrap_or_default();
            let value = pair.split_once('=').map_or("", |(_, value)| value);
            if value.len() >= SHORTEST_SECRET {
                self.sealed.borrow_mut().push((root, value.to_owned()));
            }
        }
    }

    /// A header that the filter writes has no control byte.
    pub(crate) fn header(&self, name: &[u8], value: &[u8]) {
        let controls = |bytes: &[u8]| bytes.iter().any(|byte| *byte < 0x20 || *byte == 0x7f);
        if controls(name) || controls(value) {
            let shown = (name.escape_ascii(), value.escape_ascii());
            self.violation(format!("control bytes in {}: {}", shown.0, shown.1));
        }
    }

    /// Keeps a text that must not be seen. A token is known by its parts as well.
    pub(crate) fn keep_secret(&self, text: &str) {
        let mut secrets = self.secrets.borrow_mut();
        for part in text.split('.').chain([text]) {
            if part.len() >= SHORTEST_SECRET && !secrets.iter().any(|known| known == part) {
                secrets.push(part.to_owned());
            }
        }
    }

    /// An answer may hold this.
    pub(crate) fn hand_out(&self, text: &str) {
        let parts = text.split('.').chain([text]).map(str::to_owned);
        self.handed_out.borrow_mut().extend(parts);
    }

    /// Keeps a text that must not be in the log.
    pub(crate) fn keep_out_of_log(&self, text: &str) {
        self.unlogged.borrow_mut().push(text.to_owned());
    }

    /// Everything that was found wrong.
    pub(crate) fn findings(&self, calls: &[Sent]) -> Vec<String> {
        let mut findings = self.violations.borrow().clone();
        let sealed = self.sealed.borrow();
        let unlogged = self.unlogged.borrow();
        let unlogged = sealed.iter().map(|(_, value)| value).chain(unlogged.iter());
        for secret in unlogged {
            for (_, line) in self.lines.borrow().iter() {
                if line.contains(secret.as_str()) {
                    findings.push(format!("a cookie or a code in the log: {line}"));
                }
            }
        }
        for secret in self.secrets.borrow().iter() {
            for (_, line) in self.lines.borrow().iter() {
                if line.contains(secret) {
                    findings.push(format!("a secret in the log: {line}"));
                }
            }
            let handed_out = self.handed_out.borrow().contains(secret);
            for answer in self.answers.borrow().iter().filter(|_| !handed_out) {
                // The way to the provider's logout tells it who goes (`id_token_hint`).
                let values = answer.headers.iter().map(|(_, value)| value);
                let values = values.filter(|value| !value.starts_with(END_SESSION.as_bytes()));
                let holds = values
                    .chain([&answer.body])
                    .any(|bytes| String::from_utf8_lossy(bytes).contains(secret));
                if holds {
                    let names = answer.headers.iter().map(|(name, _)| *name);
                    let names: Vec<_> = names.collect();
                    findings.push(format!(
                        "a secret in an answer: {} {names:?}",
                        answer.status
                    ));
                }
            }
            for call in calls {
                // Kong's Admin API knows tokens by their address.
                if call.url.starts_with(KONG_ADMIN) {
                    continue;
                }
                // The userinfo endpoint gets the token where RFC 6750 has it.
                let (place, _) = call.url.split_once('?').unwrap_or((&call.url, ""));
                let at_userinfo = |name: &str| place == USERINFO && name == "authorization";
                let headers = call.headers.iter();
                let headers = headers.filter(|(name, _)| !at_userinfo(name));
                let headers = headers.map(|(_, value)| value);
                if headers.chain([&call.url]).any(|text| text.contains(secret)) {
                    findings.push(format!("a secret in a call to {}", call.url));
                }
            }
        }
        findings
    }
}

/// Shorter texts occur by chance.
const SHORTEST_SECRET: usize = 12;

/// RFC 6265 section 6.1.
const MOST_OF_A_COOKIE: usize = 4096;
