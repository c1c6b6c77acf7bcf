//! What the rules for ID tokens and for access tokens have in common (specification section 7.2, RFC
//! 7519 section 4.1).

use serde_json::Value;

pub use crate::config::same_issuer;
use crate::config::{Config, issuer_means};
use crate::failure::Refusal;
use crate::host::Time;

/// Which issuers count (specification section 7.2).
#[derive(Clone, Copy, Debug)]
pub struct Issuers<'a> {
    /// `issuers_allowed`; empty: only `expected`.
    pub allowed: &'a [String],
    /// The discovered issuer, or the configured one without discovery.
    pub expected: &'a str,
    /// `verify_claims`: off skips the comparison with `expected` and no other (C11).
    pub compare: bool,
}

impl<'a> Issuers<'a> {
    /// Those of a configuration, with what its provider's metadata named.
    pub fn of(config: &'a Config, discovered: Option<&'a str>) -> Issuers<'a> {
        Issuers {
            allowed: &config.provider.issuers_allowed,
            expected: discovered.unwrap_or(&config.provider.issuer.identifier),
            compare: config.verification.verify_claims,
        }
    }

    /// The same, compared in any case: RFC 9207 section 2.4 knows no exception.
    pub fn compared(self) -> Issuers<'a> {
        Issuers {
            compare: true,
            ..self
        }
    }

    /// Whether this issuer of a token counts. `claims` are the token's: where the expected issuer has a
    /// [`crate::config::TENANT`], its `tid` says which.
    pub fn accept(&self, issuer: &str, claims: &Value) -> bool {
        let own = claims.get("tid").and_then(Value::as_str);
        self.any(|expected| issuer_means(expected, issuer, |tenant| own == Some(tenant)))
    }

    /// Whether an issuer counts that no token stands behind: that of a callback, or of a session of ours.
    pub fn accept_of_any_tenant(&self, issuer: &str) -> bool {
        self.any(|expected| issuer_means(expected, issuer, |_| true))
    }

    fn any(&self, fits: impl Fn(&str) -> bool) -> bool {
        if self.allowed.is_empty() {
            return !self.compare || fits(self.expected);
        }
        self.allowed.iter().any(|allowed| fits(allowed))
    }
}

/// A NumericDate, as a number or (Kong 3.13) as a string of one.
pub fn date(claims: &Value, name: &str) -> Result<Option<Time>, Refusal> {
    let seconds = match claims.get(name) {
        // A null is no date: a token must not live for ever because of one.
        None => return Ok(None),
        Some(Value::Number(number)) => number.as_f64(),
        Some(Value::String(text)) => text.parse::<f64>().ok(),
        Some(_) => None,
    };
    match seconds.filter(|seconds| (0.0..MAX_SECONDS).contains(seconds)) {
        Some(seconds) => Ok(Some(Time(milliseconds(seconds)))),
        None => Err(Refusal::bad_credential(
            "claim_malformed",
            format!("`{name}` is no date in seconds"),
        )),
    }
}

/// The year 33658: whatever lies behind it is no date.
const MAX_SECONDS: f64 = 1e12;

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the value lies between 0 and 1e15"
)]
fn milliseconds(seconds: f64) -> u64 {
    (seconds * 1000.0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn issuers_compare_but_for_one_slash() {
        assert!(same_issuer("https://a/b/", "https://a/b"));
        assert!(!same_issuer("https://a/b//", "https://a/b"));
        assert!(!same_issuer("https://A/b", "https://a/b"));
    }

    #[test]
    fn the_list_of_issuers_replaces_the_discovered_one() {
        let allowed = ["https://b".to_owned()];
        let with = |allowed, compare| Issuers {
            allowed,
            expected: "https://a",
            compare,
        };
        let none = json!({});
        assert!(with(&[], true).accept("https://a/", &none));
        assert!(!with(&[], true).accept("https://b", &none));
        assert!(with(&[], false).accept("https://b", &none), "C11");
        assert!(with(&allowed, true).accept("https://b", &none));
        assert!(!with(&allowed, false).accept("https://a", &none), "C11");
    }

    #[test]
    fn an_issuer_for_many_tenants_means_the_one_that_the_token_names() {
        let issuers = Issuers {
            allowed: &[],
            expected: "https://a/{tenantid}/v2.0",
            compare: true,
        };
        let of = |tid| json!({ "tid": tid });
        assert!(issuers.accept("https://a/t-1/v2.0", &of("t-1")));
        assert!(issuers.accept("https://a/t-1/v2.0/", &of("t-1")));
        for (issuer, tid) in [
            ("https://a/t-1/v2.0", "t-2"),
            ("https://a/t-1/v1.0", "t-1"),
            ("https://b/t-1/v2.0", "t-1"),
            ("https://a/t-1/x/v2.0", "t-1/x"),
            ("https://a//v2.0", ""),
            ("https://a/{tenantid}/v2.0", "{tenantid}"),
        ] {
            assert!(!issuers.accept(issuer, &of(tid)), "{issuer}");
        }
        assert!(!issuers.accept("https://a/t-1/v2.0", &json!({})));
        assert!(issuers.accept_of_any_tenant("https://a/t-1/v2.0"));
        assert!(!issuers.accept_of_any_tenant("https://b/t-1/v2.0"));
        // One tenant of many.
        let allowed = ["https://a/t-1/v2.0".to_owned()];
        let one = Issuers {
            allowed: &allowed,
            ..issuers
        };
        assert!(one.accept("https://a/t-1/v2.0", &of("t-1")));
        assert!(!one.accept("https://a/t-2/v2.0", &of("t-2")));
    }

    #[test]
    fn dates_are_numbers_or_texts_of_one() {
        let read = |value| date(&json!({ "exp": value }), "exp").map_err(|refusal| refusal.code);
        assert_eq!(read(json!(12.5)), Ok(Some(Time(12_500))));
        assert_eq!(read(json!("12")), Ok(Some(Time(12_000))));
        for bad in [
            json!(null),
            json!(-1),
            json!(1e300),
            json!("x"),
            json!("NaN"),
            json!([1]),
            json!(true),
        ] {
            assert_eq!(read(bad), Err("claim_malformed"));
        }
        assert_eq!(date(&json!({}), "exp"), Ok(None));
    }
}
