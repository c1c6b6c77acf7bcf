//! The ways in which servers may read one path.
//!
//! Whoever decides by a path must not read it otherwise than the upstream does: `/public/..%2fadmin` is below
//! `/public` for one server and `/admin` for another. Nobody knows all servers, so [`readings`] gives what any
//! of the usual steps makes of a path, in any order, and who decides asks whether all of them come to the same.

use std::collections::VecDeque;

/// The longest path that is read in all ways, in bytes, where it is not plain.
const LONGEST: usize = 8 << 10;
/// The most readings of one path. An honest path has a handful.
const MOST: usize = 128;
/// How often a path may be decoded on its way: by a proxy, and by the server behind it.
const DECODINGS: u8 = 2;

/// Whether there is one way only to read this path. Most are plain, and the hot path looks no further.
pub fn is_plain(path: &[u8]) -> bool {
    let ordinary = |byte: &u8| byte.is_ascii_graphic() && !b"%;\\?#".contains(byte);
    let follows = |(this, next): (&u8, &u8)| !(*this == b'/' && matches!(next, b'/' | b'.'));
    path.iter().all(ordinary)
        && (path.iter().zip(path.iter().skip(1)).all(follows) || !has_empty_or_dots(path))
}

/// All readings of a path, itself the first; `None` where it has more than an honest one has.
pub fn readings(path: &[u8]) -> Option<Vec<Vec<u8>>> {
    if is_plain(path) {
        return Some(vec![path.to_vec()]);
    }
    if path.len() > LONGEST {
        return None;
    }
    // Each with the number of decodings behind it: fewer leave more to come.
    let mut found: Vec<(Vec<u8>, u8)> = vec![(path.to_vec(), 0)];
    let mut open: VecDeque<(Vec<u8>, u8)> = found.iter().cloned().collect();
    while let Some((path, decoded)) = open.pop_front() {
        let next = decoded.saturating_add(1);
        let mut read = |reading: Vec<u8>, decoded: u8| {
            let known = found.iter_mut().find(|(own, _)| *own == reading);
            match known {
                Some((_, before)) if *before <= decoded => return,
                Some((_, before)) => *before = decoded,
                None => found.push((reading.clone(), decoded)),
            }
            open.push_back((reading, decoded));
        };
        for step in STEPS {
            read(step(&path), decoded);
        }
        if decoded < DECODINGS {
            read(decode(&path, true), next);
            read(decode(&path, false), next);
        }
        if found.len() > MOST {
            return None;
        }
    }
    Some(found.into_iter().map(|(reading, _)| reading).collect())
}

type Step = fn(&[u8]) -> Vec<u8>;

/// What servers do with a path beside decoding it.
const STEPS: [Step; 6] = [
    with_slashes,
    without_parameters,
    with_single_slashes,
    without_dots,
    cut_short,
    without_controls,
];

fn is_dots(segment: &[u8]) -> bool {
    matches!(segment, b"." | b"..")
}

fn has_empty_or_dots(path: &[u8]) -> bool {
    let rest = path.strip_prefix(b"/").unwrap_or(path);
    let last = rest.iter().filter(|byte| **byte == b'/').count();
    rest.split(|byte| *byte == b'/')
        .enumerate()
        .any(|(at, segment)| {
            is_dots(segment) || segment.is_empty() && (at < last || at == 0 && last > 0)
        })
}

/// `%41` becomes `A` (RFC 3986 section 2.1). Some servers leave an encoded slash or backslash as it is.
fn decode(path: &[u8], slashes: bool) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((byte, behind)) = rest.split_first() {
        rest = behind;
        if let (b'%', [high, low, behind @ ..]) = (*byte, behind)
            && let (Some(high), Some(low)) = (nibble(*high), nibble(*low))
        {
            let value = high << 4 | low;
            if slashes || !matches!(value, b'/' | b'\\') {
                decoded.push(value);
                rest = behind;
                continue;
            }
        }
        decoded.push(*byte);
    }
    decoded
}

fn nibble(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

/// `\` is a slash for servers and clients that grew up on Windows (WHATWG URL, "path state").
fn with_slashes(path: &[u8]) -> Vec<u8> {
    let slash = |byte: &u8| if *byte == b'\\' { b'/' } else { *byte };
    path.iter().map(slash).collect()
}

/// `/a;x=1/b` is `/a/b` for servlet containers (RFC 3986 section 3.3, "parameters").
fn without_parameters(path: &[u8]) -> Vec<u8> {
    let segments = path.split(|byte| *byte == b'/');
    let bare = segments.map(|segment| {
        segment
            .split(|byte| *byte == b';')
            .next()
            .unwrap_or_default()
    });
    bare.collect::<Vec<_>>().join(&b'/')
}

/// `//a` is `/a` for servers that merge slashes.
fn with_single_slashes(path: &[u8]) -> Vec<u8> {
    let mut merged = path.to_vec();
    merged.dedup_by(|this, before| *this == b'/' && *before == b'/');
    merged
}

/// `/a/../b` is `/b` (RFC 3986 section 5.2.4).
fn without_dots(path: &[u8]) -> Vec<u8> {
    let mut kept: Vec<&[u8]> = Vec::new();
    let mut ends_in_dots = false;
    for (at, segment) in path.split(|byte| *byte == b'/').enumerate() {
        ends_in_dots = is_dots(segment);
        match segment {
            b"." => {}
            // Never above the root: what stands before the first slash stays.
            b".." if at > 0 => {
                if kept.len() > 1 {
                    kept.pop();
                }
            }
            _ => kept.push(segment),
        }
    }
    if ends_in_dots {
        kept.push(b"");
    }
    kept.join(&b'/')
}

/// A second look for a query or a fragment, or a text that ends with its first NUL.
fn cut_short(path: &[u8]) -> Vec<u8> {
    let end = |byte: &u8| matches!(byte, b'?' | b'#' | 0);
    path.split(end).next().unwrap_or_default().to_vec()
}

/// Blanks and controls are dropped by some who read a URL again (WHATWG URL, "basic URL parser").
fn without_controls(path: &[u8]) -> Vec<u8> {
    let stays = |byte: &u8| *byte > b' ' && *byte != 0x7f;
    path.iter().copied().filter(stays).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail loudly")]
mod tests {
    use super::*;

    fn all(path: &str) -> Vec<String> {
        let found = readings(path.as_bytes()).unwrap_or_default();
        found
            .iter()
            .map(|reading| String::from_utf8_lossy(reading).into_owned())
            .collect()
    }

    #[test]
    fn a_plain_path_has_one_reading() {
        for path in [
            "/",
            "/a",
            "/a/",
            "/a/b.c/~d",
            "/.well-known/x",
            "/a..b/...",
            "*",
        ] {
            assert!(is_plain(path.as_bytes()), "{path}");
            assert_eq!(all(path), [path]);
        }
    }

    #[test]
    fn what_is_not_plain_is_seen() {
        for path in [
            "//a",
            "/a//b",
            "/a//",
            "/./a",
            "/a/..",
            "/a/.",
            "/..",
            "/a%20b",
            "/a;b",
            "/a\\b",
            "/a#b",
            "/a\tb",
            "/caf\u{e9}",
        ] {
            assert!(!is_plain(path.as_bytes()), "{path}");
        }
    }

    #[test]
    fn every_way_to_the_same_place_is_found() {
        for path in [
            "/public/../admin",
            "/public/..%2fadmin",
            "/public/%2e%2e/admin",
            "/public/%252e%252e%252fadmin",
            "/public/..;/admin",
            "/public/..;x=1/admin",
            "/public/..%3b/admin",
            "/public/..\\admin",
            "/public/..%5cadmin",
            "/public/..%255cadmin",
            "//admin",
            "/./admin",
            "/%61dmin",
            "/%2561dmin",
            "/admin;x",
            "/admin%00.png",
            "/admin%3fx",
            "/admin%23x",
            "/ad%09min",
            "/public//../../admin",
            "/public/%2e./admin",
            "/x%2f..%2fadmin",
        ] {
            assert!(
                all(path).iter().any(|reading| reading == "/admin"),
                "{path}: {:?}",
                all(path)
            );
        }
    }

    #[test]
    fn an_ordinary_encoded_path_has_few() {
        assert_eq!(
            all("/files/a%20b"),
            ["/files/a%20b", "/files/a b", "/files/ab"]
        );
    }

    #[test]
    fn what_is_too_long_to_be_read_in_all_ways_is_none() {
        let nasty = "/a;b/..\\c%2f%252e%252e/%2f;/".repeat(12);
        assert!(readings(nasty.as_bytes()).is_none_or(|all| all.len() <= MOST));
        let long = format!("/%20{}", "a".repeat(LONGEST));
        assert!(readings(long.as_bytes()).is_none());
    }
}
