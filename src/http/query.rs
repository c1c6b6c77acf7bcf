//! Arguments in a query string (`application/x-www-form-urlencoded`, WHATWG URL section 5).

/// The decoded value of the only argument named `name`. A repeated argument is no argument: which
/// copy an upstream would read is anybody's guess.
pub fn argument(query: &[u8], name: &str) -> Option<Vec<u8>> {
    let mut values = pairs(query).filter(|(key, _)| percent_decode(key) == name.as_bytes());
    match (values.next(), values.next()) {
        (Some((_, value)), None) => Some(percent_decode(value)),
        _ => None,
    }
}

/// The query without any argument named `name`, the others untouched and in order. `None` when
/// nothing is left.
pub fn without_argument(query: &[u8], name: &str) -> Option<Vec<u8>> {
    let mut left = Vec::with_capacity(query.len());
    for part in query.split(|byte| *byte == b'&') {
        let key = part.split(|byte| *byte == b'=').next().unwrap_or_default();
        if percent_decode(key) == name.as_bytes() {
            continue;
        }
        if !left.is_empty() {
            left.push(b'&');
        }
        left.extend_from_slice(part);
    }
    (!left.is_empty()).then_some(left)
}

/// Bytes with `%xx` and `+` resolved; a broken escape stays as it is.
pub fn percent_decode(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        match (first, tail) {
            (b'+', _) => out.push(b' '),
            (b'%', [high, low, after @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => {
                    out.push((high << 4) | low);
                    rest = after;
                }
                _ => out.push(b'%'),
            },
            (byte, _) => out.push(*byte),
        }
    }
    out
}

fn pairs(query: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    query.split(|byte| *byte == b'&').map(|part| {
        match part.iter().position(|byte| *byte == b'=') {
            Some(mark) => {
                let (key, value) = part.split_at(mark);
                (key, value.get(1..).unwrap_or_default())
            }
            None => (part, &b""[..]),
        }
    })
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_and_decodes() {
        assert_eq!(argument(b"a=1&access_token=x%2By+z", "access_token"), Some(b"x+y z".to_vec()));
        assert_eq!(argument(b"access%5Ftoken=t", "access_token"), Some(b"t".to_vec()));
        assert_eq!(argument(b"access_token", "access_token"), Some(Vec::new()));
        assert_eq!(argument(b"", "access_token"), None);
    }

    #[test]
    fn a_repeated_argument_is_none() {
        assert_eq!(argument(b"t=1&t=2", "t"), None);
        assert_eq!(argument(b"t=1&%74=2", "t"), None);
    }

    #[test]
    fn removal_leaves_the_rest_as_it_was() {
        assert_eq!(without_argument(b"a=1&t=2&b=%20", "t"), Some(b"a=1&b=%20".to_vec()));
        assert_eq!(without_argument(b"%74=2&t=3&t", "t"), None);
        assert_eq!(without_argument(b"a=1", "t"), Some(b"a=1".to_vec()));
    }

    #[test]
    fn broken_escapes_stay() {
        assert_eq!(percent_decode(b"%4%zz%"), b"%4%zz%");
    }
}
