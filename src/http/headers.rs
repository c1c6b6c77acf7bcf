//! A header map kept in the one buffer the host delivered it in.

use std::ops::Range;

/// Request or answer headers in the order of arrival, every copy of a repeated name apart.
///
/// One allocation for the bytes and one for the places: the host hands the map over as one buffer,
/// and the hot path must not copy each of twenty headers.
#[derive(Clone, Default)]
pub struct Headers {
    buffer: Vec<u8>,
    places: Vec<(Range<usize>, Range<usize>)>,
}

impl Headers {
    /// Reads the serialized map of the Proxy-Wasm ABI: a count, the sizes of each name and value
    /// (all 32-bit little-endian), then each name and value followed by a NUL. `None` if the buffer
    /// contradicts itself. Names become lower case here, once: Kong delivers them as the client spelt
    /// them.
    pub fn from_serialized(mut buffer: Vec<u8>) -> Option<Headers> {
        if buffer.is_empty() {
            return Some(Headers::default());
        }
        let count = read_u32(&buffer, 0)?;
        // Each pair costs at least its two sizes and two NULs: a larger count is a lie.
        if count > buffer.len().checked_div(10)? {
            return None;
        }
        let mut places = Vec::with_capacity(count);
        let mut size_at = 4usize;
        let mut at = count.checked_mul(8)?.checked_add(4)?;
        for _ in 0..count {
            let name_end = at.checked_add(read_u32(&buffer, size_at)?)?;
            let value_at = name_end.checked_add(1)?;
            let value_end = value_at.checked_add(read_u32(&buffer, size_at.checked_add(4)?)?)?;
            if value_end >= buffer.len() {
                return None;
            }
            buffer.get_mut(at..name_end)?.make_ascii_lowercase();
            places.push((at..name_end, value_at..value_end));
            at = value_end.checked_add(1)?;
            size_at = size_at.checked_add(8)?;
        }
        Some(Headers { buffer, places })
    }

    /// A map of these pairs.
    pub fn from_pairs<N: AsRef<[u8]>, V: AsRef<[u8]>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Headers {
        let mut headers = Headers::default();
        for (name, value) in pairs {
            let name_at = headers.buffer.len();
            let name = name.as_ref().to_ascii_lowercase();
            headers.buffer.extend_from_slice(&name);
            let value_at = headers.buffer.len();
            headers.buffer.extend_from_slice(value.as_ref());
            headers
                .places
                .push((name_at..value_at, value_at..headers.buffer.len()));
        }
        headers
    }

    /// All pairs, in the order of arrival, names in lower case.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.places.iter().map(|(name, value)| {
            (
                self.buffer.get(name.clone()).unwrap_or_default(),
                self.buffer.get(value.clone()).unwrap_or_default(),
            )
        })
    }

    /// All values of the headers named `name` (lower case).
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.iter()
            .filter(move |(candidate, _)| *candidate == name.as_bytes())
            .map(|(_, value)| value)
    }

    /// The value of the only header named `name`; `None` when there is none or more than one.
    ///
    /// Two copies of a credential are two opinions on who is calling: neither is believed.
    pub fn only<'a>(&'a self, name: &'a str) -> Option<&'a [u8]> {
        let mut all = self.all(name);
        match (all.next(), all.next()) {
            (Some(value), None) => Some(value),
            _ => None,
        }
    }

    /// The first value of `name`, for headers where a repetition does no harm.
    pub fn first<'a>(&'a self, name: &'a str) -> Option<&'a [u8]> {
        self.all(name).next()
    }

    /// Gives the first header named `name` another value.
    pub fn replace_first(&mut self, name: &str, value: &[u8]) {
        let at = self.buffer.len();
        let found = self.iter().position(|(own, _)| own == name.as_bytes());
        if let Some((_, place)) = found.and_then(|index| self.places.get_mut(index)) {
            self.buffer.extend_from_slice(value);
            *place = at..self.buffer.len();
        }
    }

    /// How many pairs there are.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there is no pair at all: on both hosts the sign of a callout that failed.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }
}

/// Whether two header names are one name to some upstream. CGI, WSGI, Rack and PHP fold case and make
/// one byte of `-` and `_`; lighttpd's CGI does so with every byte that is no letter or digit.
pub fn same_name(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(x, y)| folded(*x) == folded(*y))
}

fn folded(byte: u8) -> u8 {
    if byte.is_ascii_alphanumeric() {
        byte.to_ascii_lowercase()
    } else {
        b'-'
    }
}

/// The value without control bytes. Neither host checks all that we send: a CR LF in a claim would
/// become a header of its own in an own reply on Envoy.
pub fn strip_controls(value: &[u8]) -> Vec<u8> {
    value
        .iter()
        .copied()
        .filter(|byte| *byte >= 0x20 && *byte != 0x7f)
        .collect()
}

fn read_u32(buffer: &[u8], at: usize) -> Option<usize> {
    let bytes = buffer.get(at..at.checked_add(4)?)?;
    let value = u32::from_le_bytes(bytes.try_into().ok()?);
    usize::try_from(value).ok()
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may fail loudly"
)]
mod tests {
    use super::*;

    fn serialized(pairs: &[(&[u8], &[u8])]) -> Vec<u8> {
        let mut out = (pairs.len() as u32).to_le_bytes().to_vec();
        for (name, value) in pairs {
            out.extend((name.len() as u32).to_le_bytes());
            out.extend((value.len() as u32).to_le_bytes());
        }
        for (name, value) in pairs {
            out.extend(*name);
            out.push(0);
            out.extend(*value);
            out.push(0);
        }
        out
    }

    #[test]
    fn reads_what_the_host_serializes() {
        let bytes = serialized(&[(b"a", b"1"), (b"Cookie", b""), (b"A", b"\xff\xfe")]);
        let headers = Headers::from_serialized(bytes).unwrap();
        assert_eq!(headers.len(), 3);
        assert_eq!(
            headers.all("a").collect::<Vec<_>>(),
            [&b"1"[..], b"\xff\xfe"]
        );
        assert_eq!(headers.only("cookie"), Some(&b""[..]));
        assert_eq!(headers.only("a"), None, "two copies are no single opinion");
    }

    #[test]
    fn a_value_can_be_replaced() {
        let mut headers = Headers::from_pairs([(":path", "/a"), ("x", "1")]);
        headers.replace_first(":path", b"/longer");
        headers.replace_first("y", b"nothing");
        assert_eq!(headers.only(":path"), Some(&b"/longer"[..]));
        assert_eq!(headers.only("x"), Some(&b"1"[..]));
        assert_eq!(headers.len(), 2);
    }

    #[test]
    fn refuses_a_buffer_that_contradicts_itself() {
        let good = serialized(&[(b"name", b"value")]);
        for cut in 1..good.len() {
            assert!(
                Headers::from_serialized(good[..cut].to_vec()).is_none(),
                "cut at {cut}"
            );
        }
        assert!(Headers::from_serialized(vec![0xff; 64]).is_none());
    }

    #[test]
    fn names_fold_case_and_separators() {
        assert!(same_name(b"X_User", b"x-user"));
        assert!(same_name(b"x.user", b"x-user"));
        assert!(!same_name(b"x-user", b"x-users"));
    }

    #[test]
    fn control_bytes_go() {
        assert_eq!(
            strip_controls(b"a\r\nset-cookie: x\0\x7f\xc3\xa9"),
            b"aset-cookie: x\xc3\xa9"
        );
    }
}
