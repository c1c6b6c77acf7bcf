//! What the world notes: log lines, counters, and whatever breaks a rule of the glue.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use oidc_filter::host::{Counter, Level};
use oidc_filter::http::Response;

use crate::network::Sent;

/// Notes of a whole world.
#[derive(Default)]
pub(crate) struct Record {
    pub(crate) lines: RefCell<Vec<(Level, String)>>,
    pub(crate) answers: RefCell<Vec<Response>>,
    counters: RefCell<HashMap<Counter, u64>>,
    secrets: RefCell<Vec<String>>,
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
    pub(crate) fn answer(&self, answer: &Response) {
        let no_store = answer
            .headers
            .iter()
            .any(|(name, value)| *name == "cache-control" && value == b"no-store");
        if !no_store {
            self.violation(format!("an answer that a cache may keep: {answer:?}"));
        }
        for (name, value) in &answer.headers {
            self.header(name.as_bytes(), value);
        }
        self.answers.borrow_mut().push(answer.clone());
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

    /// Everything that was found wrong.
    pub(crate) fn findings(&self, calls: &[Sent]) -> Vec<String> {
        let mut findings = self.violations.borrow().clone();
        for secret in self.secrets.borrow().iter() {
            for (_, line) in self.lines.borrow().iter() {
                if line.contains(secret) {
                    findings.push(format!("a secret in the log: {line}"));
                }
            }
            for answer in self.answers.borrow().iter() {
                let values = answer.headers.iter().map(|(_, value)| value);
                let holds = values
                    .chain([&answer.body])
                    .any(|bytes| String::from_utf8_lossy(bytes).contains(secret));
                if holds {
                    findings.push(format!("a secret in an answer: {answer:?}"));
                }
            }
            for call in calls {
                let headers = call.headers.iter().map(|(_, value)| value);
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
