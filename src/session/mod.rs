//! Sessions: what a browser shows instead of a credential after somebody logged in (section 14).
//!
//! A session is [`Session`] (what it holds), sealed by [`Keyring`], in a cookie that [`cookie`] cuts and
//! puts together. [`Sessions`] does the three for one policy.
//!
//! One cookie may hold the sessions of several audiences, each sealed apart, with points between them:
//!
//! ```text
//! <tag><mark><sealed>.<tag><mark><sealed>
//! ```
//!
//! The tag says whose part it is (issuer, client, audience), so that others are kept as they are. The
//! mark stands for the subject, so that parts can be compared that cannot be opened here. Both are eight
//! characters of base64url, and both are sealed in.
//!
//! A part is bound to purpose, format, cookie name, issuer, client, audience and `session_bind`, and
//! **not** to the policy: two routes share one login, and a changed field logs nobody out. Whether a
//! session is good enough is for each policy to judge.

mod content;
pub mod cookie;
mod seal;

#[cfg(test)]
mod tests;

pub use content::{Limit, Remaining, Session, State};
pub use cookie::{Cookie, Jar, is_piece_of};
pub use seal::{Keyring, Purpose};

use std::fmt;
use std::rc::Rc;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use sha2::{Digest, Sha256};

use crate::config::{SessionFact, SessionSettings};
use crate::host::Time;
use crate::http::Headers;

/// The most bytes of a sealed text: nine cookies of 4,096.
const MOST_BYTES: usize = 36_864;
/// The most parts that are tried to be opened for one request.
const MOST_CANDIDATES: usize = 4;
/// The most parts of others that are kept in a cookie.
const MOST_OTHERS: usize = 8;
const SEPARATOR: u8 = b'.';
/// A tag or a mark: six bytes in base64url.
const TAG: usize = 8;

/// The sessions of one policy.
#[derive(Debug)]
pub struct Sessions {
    keyring: Rc<Keyring>,
    settings: SessionSettings,
    issuer: String,
    client_ids: Vec<String>,
    tag: String,
}

/// What a request's cookies say about who is there.
#[derive(Debug)]
pub enum Found {
    /// No session.
    None,
    /// A session. Its own timeouts are the caller's to judge ([`Session::state`]).
    One(Box<Opened>),
    /// Live sessions of different subjects: somebody put a cookie there. None is believed.
    Conflict,
}

/// A session that opened. `Debug` leaves the sealed parts out: who has them has the sessions.
pub struct Opened {
    /// The session.
    pub session: Session,
    /// The parts of other audiences beside it.
    others: Vec<String>,
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Opened").field(&self.session).finish()
    }
}

impl Sessions {
    /// Sessions under these settings. The first of `client_ids` is the client in force; sessions of the
    /// others are taken as well.
    pub fn new(
        keyring: Rc<Keyring>,
        settings: SessionSettings,
        issuer: &str,
        client_ids: &[String],
    ) -> Sessions {
        let client = client_ids.first().map_or("", String::as_str);
        let names = [issuer, client, &settings.audience].map(str::as_bytes);
        let hash = Sha256::digest(seal::framed(&names));
        let tag = BASE64_URL_SAFE_NO_PAD.encode(hash.first_chunk::<6>().unwrap_or(&[0; 6]));
        Sessions {
            keyring,
            settings,
            issuer: issuer.to_owned(),
            client_ids: client_ids.to_vec(),
            tag,
        }
    }

    /// The session that a request shows. `bind` are the values of `session_bind`. Parts that do not open
    /// are ignored: anybody on a sister domain can put some there.
    pub fn find(&self, headers: &Headers, bind: &[u8], now: Time) -> Found {
        let jar = Jar::read(headers, &self.settings.cookie_name);
        let mut opened: Vec<Opened> = Vec::new();
        let mut tried = 0usize;
        for value in jar.values() {
            for part in self.own(&value) {
                if tried == MOST_CANDIDATES {
                    break;
                }
                tried = tried.saturating_add(1);
                if let Some(session) = self.open(part, bind) {
                    let others = self.others(&value);
                    opened.push(Opened { session, others });
                }
            }
        }
        // One that ended long ago neither wins over a live one nor contradicts it.
        let is_live = |one: &Opened| self.is_live(&one.session, now);
        if opened.iter().any(is_live) {
            opened.retain(is_live);
            // A subject is unique at its issuer only (OpenID Connect Core section 2).
            let mut subjects = opened
                .iter()
                .map(|one| (&one.session.issuer, &one.session.subject));
            let first = subjects.next();
            if subjects.any(|subject| Some(subject) != first) {
                return Found::Conflict;
            }
        }
        let newest = opened
            .into_iter()
            .max_by_key(|one| (one.session.generation, one.session.used));
        newest.map_or(Found::None, |newest| Found::One(Box::new(newest)))
    }

    /// The Set-Cookie values that bring a session to the browser. Parts of other audiences beside
    /// `opened` are kept, or those that the request shows when nothing opened; where all of them do not
    /// fit, the last ones go. `None`: it fits not even alone, or is of a client not ours.
    pub fn write(
        &self,
        session: &Session,
        opened: Option<&Opened>,
        headers: &Headers,
        bind: &[u8],
        nonce: [u8; 12],
        secure: bool,
    ) -> Option<Vec<String>> {
        let own = self.seal(session, bind, nonce)?;
        let jar = Jar::read(headers, &self.settings.cookie_name);
        let mut others = match opened {
            Some(opened) => opened.others.clone(),
            None => self.beside(&jar),
        };
        if self.settings.enforce_same_subject {
            let marks: Vec<String> = self.marks(session).collect();
            others.retain(|part| {
                let mark = part.get(TAG..).and_then(|rest| rest.get(..TAG));
                mark.is_some_and(|mark| marks.iter().any(|ours| ours == mark))
            });
        }
        let mut parts = vec![own];
        parts.append(&mut others);
        loop {
            let lines = self.cookie(secure).set(&parts.join("."), jar.sent());
            if lines.is_some() {
                return lines;
            }
            parts.pop();
            if parts.is_empty() {
                return None;
            }
        }
    }

    /// The Set-Cookie values that take this audience's session away; the last part takes the cookie with
    /// it. None when the request shows no such cookie.
    pub fn destroy(&self, headers: &Headers, secure: bool) -> Vec<String> {
        let jar = Jar::read(headers, &self.settings.cookie_name);
        if jar.sent() == 0 {
            return Vec::new();
        }
        let cookie = self.cookie(secure);
        let others = self.beside(&jar);
        let kept = if others.is_empty() {
            None
        } else {
            cookie.set(&others.join("."), jar.sent())
        };
        kept.unwrap_or_else(|| cookie.clear(jar.sent()))
    }

    /// The request's Cookie header without the session cookie, whatever it holds. `None` when nothing is
    /// left.
    pub fn strip(&self, headers: &Headers) -> Option<Vec<u8>> {
        cookie::without(headers, |name| self.owns(name))
    }

    /// Whether a cookie of this name is the session cookie or a piece of it.
    pub fn owns(&self, name: &[u8]) -> bool {
        cookie::piece_number(name, &self.settings.cookie_name).is_some()
    }

    /// The value of one of the `Session-*` headers (row Q `session_request_headers`). `None` where the
    /// timeout in question is off.
    pub fn fact(&self, fact: SessionFact, session: &Session, now: Time) -> Option<String> {
        let left = session.remaining(&self.settings.timeouts, now);
        let seconds = |left: Option<u64>| left.map(|left| left.to_string());
        match fact {
            SessionFact::Id => Some(session.id.clone()),
            SessionFact::Audience => Some(self.settings.audience.clone()),
            SessionFact::Subject => Some(session.subject.clone()),
            SessionFact::Timeout => seconds(left.least()),
            SessionFact::AbsoluteTimeout => seconds(left.absolute),
            SessionFact::RollingTimeout => seconds(left.rolling),
            SessionFact::IdlingTimeout => seconds(left.idling),
        }
    }

    fn cookie(&self, secure: bool) -> Cookie<'_> {
        Cookie {
            name: &self.settings.cookie_name,
            path: &self.settings.cookie_path,
            domain: self.settings.cookie_domain.as_deref(),
            same_site: self.settings.cookie_same_site,
            http_only: self.settings.cookie_http_only,
            secure: self.settings.cookie_secure.unwrap_or(secure),
            max_age: None,
        }
    }

    fn is_live(&self, session: &Session, now: Time) -> bool {
        matches!(
            session.state(&self.settings.timeouts, now),
            State::Live { .. }
        )
    }

    fn seal(&self, session: &Session, bind: &[u8], nonce: [u8; 12]) -> Option<String> {
        if !self.is_ours(session) {
            return None;
        }
        let mark = self.marks(session).next()?;
        let label = format!("{}{mark}", self.tag);
        let plain = session.to_bytes()?;
        let binding = self.binding(label.as_bytes(), bind);
        let sealed = self
            .keyring
            .seal(Purpose::Session, &binding, &plain, nonce)?;
        Some(label + &sealed)
    }

    fn open(&self, part: &[u8], bind: &[u8]) -> Option<Session> {
        let (label, sealed) = labelled(part)?;
        let binding = self.binding(label, bind);
        let plain = self.keyring.open(Purpose::Session, &binding, sealed)?;
        Session::from_bytes(&plain).filter(|session| self.is_ours(session))
    }

    /// Whether it is of one of our clients. The configured issuer is in the binding; whether the one that
    /// vouches counts is for each policy to judge.
    fn is_ours(&self, session: &Session) -> bool {
        // Where no client is configured, clients of the callers' own begin sessions all the same.
        let nobodys = self.client_ids.is_empty() && session.client_id.is_empty();
        nobodys || self.client_ids.contains(&session.client_id)
    }

    fn binding<'a>(&'a self, label: &'a [u8], bind: &'a [u8]) -> [&'a [u8]; 6] {
        let client = self.client_ids.first().map_or("", String::as_str);
        [
            self.settings.cookie_name.as_bytes(),
            self.issuer.as_bytes(),
            client.as_bytes(),
            self.settings.audience.as_bytes(),
            label,
            bind,
        ]
    }

    fn marks(&self, session: &Session) -> impl Iterator<Item = String> {
        let who = [session.issuer.as_bytes(), session.subject.as_bytes()];
        let marks = self.keyring.marks(&who).into_iter();
        marks.map(|mark| BASE64_URL_SAFE_NO_PAD.encode(mark))
    }

    /// The parts of a value that are this audience's and may be sealed by us.
    fn own<'a>(&'a self, value: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        value
            .split(|byte| *byte == SEPARATOR)
            .filter(|part| self.has_tag(part))
            .filter(|part| labelled(part).is_some_and(|(_, sealed)| self.keyring.knows(sealed)))
    }

    fn has_tag(&self, part: &[u8]) -> bool {
        part.starts_with(self.tag.as_bytes())
    }

    /// The parts of a value that are other audiences', as far as they look like parts at all: they go
    /// into a Set-Cookie.
    fn others(&self, value: &[u8]) -> Vec<String> {
        value
            .split(|byte| *byte == SEPARATOR)
            .filter(|part| !self.has_tag(part) && labelled(part).is_some())
            .filter(|part| part.iter().all(|byte| is_base64url(*byte)))
            .filter_map(|part| String::from_utf8(part.to_vec()).ok())
            .take(MOST_OTHERS)
            .collect()
    }

    /// The parts to keep when nothing opened: those beside our own, or of the first value when none is
    /// ours. Of two values with a part of ours, one may have been put there: nothing is kept of either.
    fn beside(&self, jar: &Jar<'_>) -> Vec<String> {
        let mut ours = jar.values().filter(|value| {
            value
                .split(|byte| *byte == SEPARATOR)
                .any(|part| self.has_tag(part))
        });
        match (ours.next(), ours.next()) {
            (Some(value), None) => self.others(&value),
            (Some(_), Some(_)) => Vec::new(),
            (None, _) => jar
                .values()
                .map(|value| self.others(&value))
                .find(|others| !others.is_empty())
                .unwrap_or_default(),
        }
    }
}

/// Tag with mark, and what is sealed.
fn labelled(part: &[u8]) -> Option<(&[u8], &[u8])> {
    let (label, sealed) = part.split_at_checked(TAG.saturating_mul(2))?;
    (!sealed.is_empty()).then_some((label, sealed))
}

fn is_base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}
