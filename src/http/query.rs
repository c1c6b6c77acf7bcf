//! Arguments in a query string (`application/x-www-form-urlencoded`, WHATWG URL section 5).

/// The decoded values of all arguments named `name`, in their order.
pub fn arguments<'a>(query: &'a [u8], name: &'a str) -> impl Iterator<Item = Vec<u8>> + 'a {
    pairs(query)
        .filter(move |(key, _)| percent_decode(key) == name.as_bytes())
        .map(|(_, value)| percent_decode(value))
}

/// The query without the arguments of these names, the others untouched and in order. `None` when
/// nothing is left.
pub fn without_arguments(query: &[u8], names: &[impl AsRef<str>]) -> Option<Vec<u8>> {
    let mut left = Vec::with_capacity(query.len());
    for part in query.split(|byte| *byte == b'&') {
        let key = part.split(|byte| *byte == b'=').next().unwrap_or_default();
        let key = percent_decode(key);
        if names.iter().any(|name| name.as_ref().as_bytes() == key) {
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
    query
        .split(|byte| *byte == b'&')
        .map(|part| match part.iter().position(|byte| *byte == b'=') {
            Some(mark) => {
                let (key, value) = part.split_at(mark);
                (key, value.get(1..).unwrap_or_default())
            }
            None => (part, &b""[..]),
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
        let all = |query, name| arguments(query, name).collect::<Vec<_>>();
        assert_eq!(all(b"a=1&access_token=x%2By+z", "access_token"), [b"x+y z"]);
        assert_eq!(all(b"access%5Ftoken=t", "access_token"), [b"t"]);
        assert_eq!(all(b"access_token", "access_token"), [b""]);
        assert_eq!(all(b"t=1&%74=2", "t"), [b"1", b"2"]);
        assert_eq!(arguments(b"", "access_token").count(), 0);
    }

    #[test]
    fn removal_leaves_the_rest_as_it_was() {
        assert_eq!(
            without_arguments(b"a=1&t=2&b=%20", &["t"]),
            Some(b"a=1&b=%20".to_vec())
        );
        assert_eq!(without_arguments(b"%74=2&t=3&t", &["t"]), None);
        assert_eq!(without_arguments(b"a=1", &["t"]), Some(b"a=1".to_vec()));
    }

    #[test]
    fn broken_escapes_stay() {
        assert_eq!(percent_decode(b"%4%zz%"), b"%4%zz%");
    }
}
