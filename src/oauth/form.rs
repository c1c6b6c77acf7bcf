//! `application/x-www-form-urlencoded`, as RFC 6749 appendix B wants it: queries, bodies, and the
//! parts of `client_secret_basic`.

use std::fmt;

use url::Url;

use crate::http::percent_decode;

/// Names and values that go into a query or a body. Its `Debug` prints no values: tokens and secrets
/// are among them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Form {
    pairs: Vec<(String, String)>,
}

impl Form {
    /// An empty form.
    pub fn new() -> Form {
        Form::default()
    }

    /// One more pair.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Form {
        self.pairs.push((name.to_owned(), value.to_owned()));
        self
    }

    /// One more pair, if there is a value.
    #[must_use]
    pub fn with_some(self, name: &str, value: Option<&str>) -> Form {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// One more pair of all values with spaces between, if there is a value (RFC 6749 section 3.3).
    #[must_use]
    pub fn with_list(self, name: &str, values: &[String]) -> Form {
        if values.is_empty() {
            return self;
        }
        let joined = values.join(" ");
        self.with(name, &joined)
    }

    /// The pairs whose names are not `unwanted`.
    #[must_use]
    pub fn without(mut self, unwanted: impl Fn(&str) -> bool) -> Form {
        self.pairs.retain(|(name, _)| !unwanted(name));
        self
    }

    /// Whether a pair of this name is there.
    pub fn has(&self, name: &str) -> bool {
        self.pairs.iter().any(|(own, _)| own == name)
    }

    /// The form, encoded.
    pub fn encoded(&self) -> String {
        let mut out = String::new();
        for (name, value) in &self.pairs {
            if !out.is_empty() {
                out.push('&');
            }
            out.push_str(&encode(name));
            out.push('=');
            out.push_str(&encode(value));
        }
        out
    }

    /// `endpoint` with this form as its query. The endpoint's own query stays (RFC 6749 section 3.1),
    /// but for names of this form: no parameter may occur twice. A fragment goes.
    pub fn as_query_of(&self, endpoint: &Url) -> String {
        let kept = endpoint
            .query()
            .unwrap_or_default()
            .split('&')
            .filter(|part| {
                let name = part.split('=').next().unwrap_or_default();
                let name = percent_decode(name.as_bytes());
                !part.is_empty() && !self.pairs.iter().any(|(own, _)| own.as_bytes() == name)
            });
        let mut query: Vec<&str> = kept.collect();
        let own = self.encoded();
        if !own.is_empty() {
            query.push(&own);
        }
        let mut url = endpoint.clone();
        url.set_fragment(None);
        url.set_query(None);
        match query.is_empty() {
            true => url.into(),
            false => format!("{url}?{}", query.join("&")),
        }
    }
}

impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.pairs.iter().map(|(name, _)| name))
            .finish()
    }
}

/// A text in this encoding. `~` stays as it is: a decoder leaves it alone, and providers that decode
/// nothing (which is wrong, but common for secrets) then see what they expect.
pub fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            b' ' => out.push('+'),
            _ => {
                out.push('%');
                for half in [byte >> 4, byte & 15] {
                    let digit = char::from_digit(u32::from(half), 16).unwrap_or('0');
                    out.push(digit.to_ascii_uppercase());
                }
            }
        }
    }
    out
}

/// All pairs of a query or a body, decoded, in their order.
pub fn pairs(form: &[u8]) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
    form.split(|byte| *byte == b'&')
        .filter(|part| !part.is_empty())
        .map(|part| {
            let mark = part.iter().position(|byte| *byte == b'=');
            let (name, value) = part.split_at(mark.unwrap_or(part.len()));
            (
                percent_decode(name),
                percent_decode(value.get(1..).unwrap_or_default()),
            )
        })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail loudly")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn encodes_the_example_of_rfc_6749_appendix_b() {
        assert_eq!(encode(" %&+\u{a3}\u{20ac}"), "+%25%26%2B%C2%A3%E2%82%AC");
        assert_eq!(encode("a-b.c_d~e"), "a-b.c_d~e");
        assert_eq!(encode("*:/?#\"'\r\n\0"), "%2A%3A%2F%3F%23%22%27%0D%0A%00");
    }

    #[test]
    fn an_endpoint_keeps_its_own_query() {
        let url = |text| Url::parse(text).unwrap();
        let form = Form::new().with("state", "a b").with("x", "=&");
        assert_eq!(
            form.as_query_of(&url("https://a.example/p?tenant=1%20&flag#part")),
            "https://a.example/p?tenant=1%20&flag&state=a+b&x=%3D%26"
        );
        assert_eq!(
            form.as_query_of(&url("https://a.example/p?st%61te=evil&&x&y=1")),
            "https://a.example/p?y=1&state=a+b&x=%3D%26",
            "none of our names twice, in no spelling"
        );
        assert_eq!(
            Form::new().as_query_of(&url("https://a.example/p?")),
            "https://a.example/p"
        );
    }

    #[test]
    fn a_form_prints_names_only() {
        let form = Form::new().with("client_secret", "hunter2");
        assert_eq!(format!("{form:?}"), "[\"client_secret\"]");
        assert!(form.has("client_secret") && !form.has("hunter2"));
    }

    #[test]
    fn lists_are_joined_and_empty_ones_left_out() {
        let scopes = ["openid".to_owned(), "a b".to_owned()];
        assert_eq!(
            Form::new()
                .with_list("scope", &scopes)
                .with_list("audience", &[])
                .with_some("nonce", None)
                .encoded(),
            "scope=openid+a+b"
        );
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes_to_itself(names in prop::collection::vec((".{1,8}", ".{0,8}"), 0..5)) {
            let form = names.iter().fold(Form::new(), |form, (name, value)| form.with(name, value));
            let encoded = form.encoded();
            prop_assert!(encoded.bytes().all(|byte| byte.is_ascii_graphic()));
            let read: Vec<(String, String)> = pairs(encoded.as_bytes())
                .map(|(name, value)| (String::from_utf8(name).unwrap(), String::from_utf8(value).unwrap()))
                .collect();
            prop_assert_eq!(read, names);
        }

        #[test]
        fn any_bytes_can_be_read(bytes in prop::collection::vec(any::<u8>(), 0..128)) {
            prop_assert!(pairs(&bytes).count() <= 128);
        }
    }
}
