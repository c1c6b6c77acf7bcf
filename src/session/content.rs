//! What a session holds, for how long, and its bytes.

use std::fmt;

use miniz_oxide::deflate::compress_to_vec;
use miniz_oxide::inflate::decompress_to_vec_with_limit;
use serde::{Deserialize, Serialize};

use crate::config::Timeouts;
use crate::host::Time;

/// The most bytes that a compressed session may become (CVE-2024-28176 and its kin).
const MOST_INFLATED: usize = 64 << 10;
/// The first byte tells how the rest is written.
const PLAIN: u8 = 0;
const DEFLATED: u8 = 1;
/// The usual level of zlib: higher ones gain nothing on tokens.
const LEVEL: u8 = 6;

/// A use is written down at most this often, in seconds (section 14, "Renewal").
const TOUCH_INTERVAL: u64 = 60;

/// What is known of somebody who logged in. It tells how it was made, so that each policy can judge
/// whether that is good enough for it. `Debug` prints no token and no person. Times are in seconds.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Stays the same from login to logout: base64url of at least 16 unpredictable bytes.
    pub id: String,
    /// When the login was.
    pub created: u64,
    /// When it was renewed last.
    pub renewed: u64,
    /// When it was used last, by and large.
    pub used: u64,
    /// Grows with each renewal.
    pub generation: u32,
    /// The method that made it, by Kong's name.
    pub method: String,
    /// The client it was made with.
    pub client_id: String,
    /// Who vouches for the subject: the verified `iss` of its ID token.
    pub issuer: String,
    /// Whether the client's secret signed that token (HS*), and no key of the provider's.
    #[serde(default, skip_serializing_if = "is_false")]
    pub by_secret: bool,
    /// `sub` (OpenID Connect Core 1.0 section 2): unique at its issuer only.
    pub subject: String,
    /// `sid` (OpenID Connect Front-Channel Logout 1.0 section 3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sid: Option<String>,
    /// `acr`: how well the provider authenticated the person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acr: Option<String>,
    /// `auth_time`: when it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_time: Option<u64>,
    /// The granted scope (RFC 6749 section 3.3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// The access token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_token: Option<String>,
    /// When the access token ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_expires: Option<u64>,
    /// The ID token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_token: Option<String>,
    /// The refresh token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
}

/// How a session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It holds.
    Live {
        /// Three quarters of the rolling time are spent: write it anew after [`Session::renew`].
        renew: bool,
        /// Its last use is not written down: write it after [`Session::touch`]. A renewal does that, too.
        touch: bool,
    },
    /// It does not hold any more.
    Ended(Limit),
}

/// The timeout that ended a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// `session_absolute_timeout`: too long since the login.
    Absolute,
    /// `session_rolling_timeout`: not renewed in time.
    Rolling,
    /// `session_idling_timeout`: not used for too long.
    Idling,
}

/// Seconds that are left; `None` where a timeout is off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remaining {
    /// Until it is too old.
    pub absolute: Option<u64>,
    /// Until it must have been renewed.
    pub rolling: Option<u64>,
    /// Until it must have been used.
    pub idling: Option<u64>,
}

impl Remaining {
    /// Until the first of them strikes.
    pub fn least(self) -> Option<u64> {
        let all = [self.absolute, self.rolling, self.idling];
        all.into_iter().flatten().min()
    }
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde calls it with a reference"
)]
fn is_false(flag: &bool) -> bool {
    !flag
}

impl Session {
    /// The session as bytes, compressed where that is shorter: tokens are base64url, which loses a
    /// quarter.
    pub fn to_bytes(&self) -> Option<Vec<u8>> {
        let json = serde_json::to_vec(self).ok()?;
        if json.len() > MOST_INFLATED {
            return None;
        }
        let deflated = compress_to_vec(&json, LEVEL);
        let (kind, rest) = if deflated.len() < json.len() {
            (DEFLATED, deflated)
        } else {
            (PLAIN, json)
        };
        let mut bytes = vec![kind];
        bytes.extend_from_slice(&rest);
        Some(bytes)
    }

    /// Reads the bytes of [`Session::to_bytes`]. Members of a later version are passed over.
    pub fn from_bytes(bytes: &[u8]) -> Option<Session> {
        let (kind, rest) = bytes.split_first()?;
        match *kind {
            PLAIN if rest.len() <= MOST_INFLATED => serde_json::from_slice(rest).ok(),
            DEFLATED => {
                let json = decompress_to_vec_with_limit(rest, MOST_INFLATED).ok()?;
                serde_json::from_slice(&json).ok()
            }
            _ => None,
        }
    }

    /// How it stands at `now`. A timeout of 0 is off. A clock that runs behind the writer's counts as no
    /// time passed.
    pub fn state(&self, timeouts: &Timeouts, now: Time) -> State {
        let left = self.remaining(timeouts, now);
        let struck = |left: Option<u64>| left == Some(0);
        if struck(left.absolute) {
            return State::Ended(Limit::Absolute);
        }
        if struck(left.rolling) {
            return State::Ended(Limit::Rolling);
        }
        if struck(left.idling) {
            return State::Ended(Limit::Idling);
        }
        let since = |then: u64| now.seconds().saturating_sub(then);
        // With a short idling time a use a minute would come too late.
        let interval = TOUCH_INTERVAL.min(timeouts.idling / 2);
        State::Live {
            renew: timeouts.rolling > 0
                && since(self.renewed).saturating_mul(4) >= timeouts.rolling.saturating_mul(3),
            touch: timeouts.idling > 0 && since(self.used) >= interval,
        }
    }

    /// Seconds from `now` until it is to be written anew; `None`: not for its timeouts' sake.
    pub fn quiet(&self, timeouts: &Timeouts, now: Time) -> Option<u64> {
        let until = |since: u64, interval: u64| {
            let due = since.saturating_add(interval);
            due.saturating_sub(now.seconds())
        };
        let renew = (timeouts.rolling > 0)
            .then(|| until(self.renewed, timeouts.rolling.saturating_mul(3) / 4));
        let touch = (timeouts.idling > 0)
            .then(|| until(self.used, TOUCH_INTERVAL.min(timeouts.idling / 2)));
        renew.into_iter().chain(touch).min()
    }

    /// The seconds that are left at `now`: 0 where the time is up.
    pub fn remaining(&self, timeouts: &Timeouts, now: Time) -> Remaining {
        let left = |timeout: u64, since: u64| {
            let spent = now.seconds().saturating_sub(since);
            (timeout > 0).then(|| timeout.saturating_sub(spent))
        };
        Remaining {
            absolute: left(timeouts.absolute, self.created),
            rolling: left(timeouts.rolling, self.renewed),
            idling: left(timeouts.idling, self.used),
        }
    }

    /// Begins it, under this id.
    pub fn begin(&mut self, id: String, now: Time) {
        self.id = id;
        (self.created, self.renewed, self.used) = (now.seconds(), now.seconds(), now.seconds());
    }

    /// Begins a new rolling time.
    pub fn renew(&mut self, now: Time) {
        self.generation = self.generation.saturating_add(1);
        self.renewed = now.seconds();
        self.touch(now);
    }

    /// Notes a use.
    pub fn touch(&mut self, now: Time) {
        self.used = now.seconds();
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("created", &self.created)
            .field("renewed", &self.renewed)
            .field("used", &self.used)
            .field("generation", &self.generation)
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}
