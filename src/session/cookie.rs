//! Cookies that hold more than a browser takes in one, and how they go.
//!
//! A browser drops a cookie beyond 4,096 bytes without a word. A longer value is cut: `name`, `name2` to
//! `name9`. The first piece begins with the number of pieces; where that is not 1, every piece carries
//! the same four characters, so that pieces of two values never mix and old ones do no harm:
//!
//! ```text
//! name=1<value>          name=3<label><value...>   name2=<label><...value...>   name3=<label><...value>
//! ```

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use sha2::{Digest, Sha256};

use crate::config::SameSite;
use crate::http::Headers;

/// The most bytes of one cookie with its name and attributes (RFC 6265 section 6.1).
const MOST_BYTES: usize = 4096;
/// The most pieces of a value (section 14, "Chunks").
const MOST_PIECES: usize = 9;
const LABEL: usize = 4;
/// Values of several pieces that are put together at all, from whatever a client sends.
const MOST_JOINED: usize = 16;

/// A cookie without its value (RFC 6265 section 4.1). A cookie only goes when it is cleared with the
/// attributes it was set with (CVE-2025-55162), hence they are in one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cookie<'a> {
    /// The name. Never such that name and digit are another cookie's name.
    pub name: &'a str,
    /// `Path`.
    pub path: &'a str,
    /// `Domain`; `None`: this host only.
    pub domain: Option<&'a str>,
    /// `SameSite`.
    pub same_site: SameSite,
    /// `HttpOnly`.
    pub http_only: bool,
    /// `Secure`. Set in any case where browsers take the cookie on no other terms: `SameSite=None`, and
    /// the prefixes `__Secure-` and `__Host-` (RFC 6265bis section 4.1.3).
    pub secure: bool,
    /// `Max-Age` in seconds; `None`: until the browser ends.
    pub max_age: Option<u64>,
}

impl Cookie<'_> {
    /// The Set-Cookie values that bring `value` to the browser. `sent` is [`Jar::sent`] of the request:
    /// pieces beyond the new value's are cleared. `None`: the value needs more than nine pieces, or holds
    /// what a cookie cannot.
    pub fn set(&self, value: &str, sent: usize) -> Option<Vec<String>> {
        if !value.bytes().all(is_cookie_octet) {
            return None;
        }
        let mut attributes = self.attributes();
        if let Some(seconds) = self.max_age {
            attributes.push_str(&format!("; Max-Age={seconds}"));
        }
        let taken = self.name.len().checked_add(1)?;
        let room = MOST_BYTES.checked_sub(taken.checked_add(attributes.len())?)?;
        let pieces = pieces(value, room)?;
        let count = pieces.len();
        let set = pieces
            .into_iter()
            .zip(1..)
            .map(|(piece, number)| format!("{}={piece}{attributes}", self.piece_name(number)));
        Some(
            set.chain(self.cleared(count.saturating_add(1), sent))
                .collect(),
        )
    }

    /// The Set-Cookie values that make the browser forget the cookie with all its pieces.
    pub fn clear(&self, sent: usize) -> Vec<String> {
        self.cleared(1, sent.max(1)).collect()
    }

    fn cleared(&self, first: usize, last: usize) -> impl Iterator<Item = String> {
        let attributes = self.attributes();
        (first..=last.min(MOST_PIECES)).map(move |number| {
            format!(
                "{}={attributes}; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
                self.piece_name(number)
            )
        })
    }

    fn piece_name(&self, number: usize) -> Cow<'_, str> {
        match number {
            1 => Cow::Borrowed(self.name),
            _ => Cow::Owned(format!("{}{number}", self.name)),
        }
    }

    fn attributes(&self) -> String {
        let mut text = format!("; Path={}", self.path);
        if let Some(domain) = self.domain {
            text.push_str("; Domain=");
            text.push_str(domain);
        }
        if let Some(same_site) = self.same_site.attribute() {
            text.push_str("; SameSite=");
            text.push_str(same_site);
        }
        if self.http_only {
            text.push_str("; HttpOnly");
        }
        if self.secure || self.same_site == SameSite::None || has_prefix(self.name) {
            text.push_str("; Secure");
        }
        text
    }
}

/// A cookie as a request brought it: every value of its name, over all Cookie lines (RFC 6265 section
/// 5.4: cookies of one name and several paths arrive together).
pub struct Jar<'a> {
    firsts: Vec<&'a [u8]>,
    later: BTreeMap<(usize, &'a [u8]), &'a [u8]>,
    sent: usize,
}

impl<'a> Jar<'a> {
    /// Reads the pieces of the cookie `name`. One walk over the headers, however many cookies there are.
    pub fn read(headers: &'a Headers, name: &str) -> Jar<'a> {
        let mut jar = Jar {
            firsts: Vec::new(),
            later: BTreeMap::new(),
            sent: 0,
        };
        for part in parts(headers) {
            let Some((own, value)) = split(part) else {
                continue;
            };
            let Some(number) = piece_number(own, name) else {
                continue;
            };
            jar.sent = jar.sent.max(number);
            if number == 1 {
                jar.firsts.push(value);
            } else if let Some((label, data)) = value.split_at_checked(LABEL) {
                jar.later.entry((number, label)).or_insert(data);
            }
        }
        jar
    }

    /// The number of the last piece that came; 0 when none did.
    pub fn sent(&self) -> usize {
        self.sent
    }

    /// The complete values, in the order of arrival. Nothing is reserved by what a client says
    /// (CVE-2024-24814), and what is put together is bounded.
    pub fn values(&self) -> impl Iterator<Item = Cow<'a, [u8]>> {
        let mut joined = 0usize;
        self.firsts.iter().filter_map(move |first| {
            let (count, rest) = first.split_first()?;
            match count {
                b'1' => Some(Cow::Borrowed(rest)),
                b'2'..=b'9' if joined < MOST_JOINED => {
                    let value = self.join(usize::from(count.wrapping_sub(b'0')), rest)?;
                    joined = joined.saturating_add(1);
                    Some(Cow::Owned(value))
                }
                _ => None,
            }
        })
    }

    fn join(&self, count: usize, first: &[u8]) -> Option<Vec<u8>> {
        let (label, data) = first.split_at_checked(LABEL)?;
        let later: Option<Vec<&[u8]>> = (2..=count)
            .map(|number| self.later.get(&(number, label)).copied())
            .collect();
        let mut value = data.to_vec();
        later?
            .into_iter()
            .for_each(|piece| value.extend_from_slice(piece));
        Some(value)
    }
}

/// All Cookie lines as one, without the cookies whose names are ours. `None` when nothing is left.
pub fn without(headers: &Headers, is_ours: impl Fn(&[u8]) -> bool) -> Option<Vec<u8>> {
    let mut left = Vec::new();
    for part in parts(headers) {
        if part.is_empty() || split(part).is_some_and(|(name, _)| is_ours(name)) {
            continue;
        }
        if !left.is_empty() {
            left.extend_from_slice(b"; ");
        }
        left.extend_from_slice(part);
    }
    (!left.is_empty()).then_some(left)
}

/// Whether the cookie `own` is the cookie `name`, or a further piece of it.
pub fn is_piece_of(own: &[u8], name: &str) -> bool {
    piece_number(own, name).is_some()
}

/// Which piece of the cookie `name` the cookie `own` is: 1 to 9.
pub(super) fn piece_number(own: &[u8], name: &str) -> Option<usize> {
    match own.strip_prefix(name.as_bytes())? {
        [] => Some(1),
        [digit @ b'2'..=b'9'] => Some(usize::from(digit.wrapping_sub(b'0'))),
        _ => None,
    }
}

/// Whether browsers take a cookie of this name only with `Secure`. They look at the prefix without
/// regard to case.
fn has_prefix(name: &str) -> bool {
    ["__secure-", "__host-"].iter().any(|prefix| {
        name.get(..prefix.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    })
}

/// Cuts a value so that each piece, with number and label, has at most `room` bytes; later names are one
/// byte longer.
fn pieces(value: &str, room: usize) -> Option<Vec<String>> {
    if value.len() < room {
        return Some(vec![format!("1{value}")]);
    }
    let hash = Sha256::digest(value.as_bytes());
    let label = BASE64_URL_SAFE_NO_PAD.encode(hash.first_chunk::<3>()?);
    let step = room.checked_sub(LABEL.saturating_add(1))?;
    if step == 0 {
        return None;
    }
    let mut rest = value;
    let mut cut = Vec::new();
    while !rest.is_empty() {
        if cut.len() == MOST_PIECES {
            return None;
        }
        let (piece, tail) = rest.split_at_checked(step).unwrap_or((rest, ""));
        cut.push(format!("{label}{piece}"));
        rest = tail;
    }
    let count = cut.len();
    if let Some(first) = cut.first_mut() {
        *first = format!("{count}{first}");
    }
    Some(cut)
}

fn parts(headers: &Headers) -> impl Iterator<Item = &[u8]> {
    headers
        .all("cookie")
        .flat_map(|line| line.split(|byte| *byte == b';'))
        .map(<[u8]>::trim_ascii)
}

fn split(part: &[u8]) -> Option<(&[u8], &[u8])> {
    let mark = part.iter().position(|byte| *byte == b'=')?;
    let (name, value) = part.split_at_checked(mark)?;
    let value = value.get(1..).unwrap_or_default();
    Some((name.trim_ascii_end(), value.trim_ascii()))
}

/// `cookie-octet` of RFC 6265 section 4.1.1.
fn is_cookie_octet(byte: u8) -> bool {
    matches!(byte, b'!' | b'#'..=b'+' | b'-'..=b':' | b'<'..=b'[' | b']'..=b'~')
}
