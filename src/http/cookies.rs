//! Cookies of a request (RFC 6265 section 5.4). HTTP/1 clients may send several Cookie lines.

use super::Headers;

/// The values of every cookie named `name`, over all Cookie lines.
pub fn cookie_values<'a>(headers: &'a Headers, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    headers
        .all("cookie")
        .flat_map(|line| line.split(|byte| *byte == b';'))
        .filter_map(move |part| named(part, name))
}

/// The names of all cookies, over all Cookie lines.
pub fn cookie_names(headers: &Headers) -> impl Iterator<Item = &[u8]> {
    headers
        .all("cookie")
        .flat_map(|line| line.split(|byte| *byte == b';'))
        .filter_map(|part| split(part).map(|(name, _)| name))
}

/// All Cookie lines as one, without the cookies that `goes` picks by their names. `None` when nothing
/// is left.
pub fn without_cookies(headers: &Headers, goes: &dyn Fn(&[u8]) -> bool) -> Option<Vec<u8>> {
    let mut left = Vec::new();
    for line in headers.all("cookie") {
        for part in line.split(|byte| *byte == b';') {
            let part = part.trim_ascii();
            if part.is_empty() || split(part).is_some_and(|(name, _)| goes(name)) {
                continue;
            }
            if !left.is_empty() {
                left.extend_from_slice(b"; ");
            }
            left.extend_from_slice(part);
        }
    }
    (!left.is_empty()).then_some(left)
}

fn named<'a>(part: &'a [u8], name: &str) -> Option<&'a [u8]> {
    split(part)
        .filter(|(key, _)| *key == name.as_bytes())
        .map(|(_, value)| value)
}

/// A cookie's name and value.
fn split(part: &[u8]) -> Option<(&[u8], &[u8])> {
    let part = part.trim_ascii();
    let mark = part.iter().position(|byte| *byte == b'=')?;
    let (key, value) = part.split_at(mark);
    Some((
        key.trim_ascii_end(),
        value.get(1..).unwrap_or_default().trim_ascii(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_line() {
        let headers = Headers::from_pairs([("cookie", "a=1; tok=x"), ("cookie", "tok = y")]);
        assert_eq!(
            cookie_values(&headers, "tok").collect::<Vec<_>>(),
            [b"x", b"y"]
        );
        assert_eq!(cookie_values(&headers, "to").count(), 0);
    }

    #[test]
    fn removal_joins_the_lines() {
        let headers =
            Headers::from_pairs([("cookie", "a=1; tok=x;; b=2"), ("cookie", "tok=y; c=3")]);
        let without = |headers, name: &str| without_cookies(headers, &|own| own == name.as_bytes());
        assert_eq!(without(&headers, "tok"), Some(b"a=1; b=2; c=3".to_vec()));
        let only = Headers::from_pairs([("cookie", "tok=x")]);
        assert_eq!(without(&only, "tok"), None);
    }
}
