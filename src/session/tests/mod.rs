//! Sealing, content and cookies, each alone and all together.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects,
    reason = "a test may fail loudly"
)]

use std::rc::Rc;

use super::*;
use crate::config::{SameSite, Secret, Timeouts};

mod content;
mod cookie;
mod facade;
mod seal;
mod vectors;

const ISSUER: &str = "https://idp.example/realm";
const SECRET: &str = "the secret of these tests";
/// The moment of the tests, in seconds.
const NOW: u64 = 1_800_000_000;

fn keyring(current: &str, previous: &[&str]) -> Keyring {
    let previous: Vec<Secret> = previous.iter().copied().map(Secret::new).collect();
    Keyring::new(&Secret::new(current), &previous)
}

fn settings() -> SessionSettings {
    SessionSettings {
        disabled_for: Vec::new(),
        secret: None,
        previous_secrets: Vec::new(),
        audience: "default".to_owned(),
        cookie_name: "session".to_owned(),
        cookie_path: "/".to_owned(),
        cookie_domain: None,
        cookie_same_site: SameSite::Lax,
        cookie_http_only: true,
        cookie_secure: None,
        timeouts: TIMEOUTS,
        bind: Vec::new(),
        request_headers: Vec::new(),
        response_headers: Vec::new(),
        enforce_same_subject: false,
    }
}

const TIMEOUTS: Timeouts = Timeouts {
    rolling: 3600,
    idling: 900,
    absolute: 86_400,
};

fn sessions(settings: SessionSettings) -> Sessions {
    let keyring = Rc::new(keyring(SECRET, &[]));
    Sessions::new(keyring, settings, ISSUER, &["me".to_owned()])
}

fn session(subject: &str) -> Session {
    Session {
        id: "AAAAAAAAAAAAAAAAAAAAAA".to_owned(),
        created: NOW,
        renewed: NOW,
        used: NOW,
        method: "authorization_code".to_owned(),
        client_id: "me".to_owned(),
        issuer: ISSUER.to_owned(),
        subject: subject.to_owned(),
        access_token: Some("the.access.token".to_owned()),
        ..Session::default()
    }
}

fn now(after: u64) -> Time {
    Time((NOW + after) * 1000)
}

/// What a browser sends back after it took these Set-Cookie values: one Cookie line.
fn sent_back(lines: &[String]) -> String {
    let pairs = lines.iter().filter(|line| !line.contains("Max-Age=0"));
    let pairs: Vec<&str> = pairs.map(|line| line.split(';').next().unwrap()).collect();
    pairs.join("; ")
}

fn request(cookie_lines: &[&str]) -> Headers {
    Headers::from_pairs(cookie_lines.iter().map(|line| ("cookie", *line)))
}

/// Text that no compression makes short.
fn noise(length: usize) -> String {
    let mut bytes = vec![0; length];
    keyring("noise for the tests of sessions", &[]).random(&[], &mut bytes);
    let mut text = BASE64_URL_SAFE_NO_PAD.encode(bytes);
    text.truncate(length);
    text
}
