//! What is said to a provider's endpoints and what comes back, one file per endpoint.
//!
//! # The tour
//!
//! 1. [`pkce`] and [`authorize`]: the URL that the browser is sent to, and the callback that it comes
//!    back with.
//! 2. [`client_choice`], [`client_auth`] and [`token`]: which of our clients a request means, how it proves
//!    itself, the grants at the token endpoint, and the endpoint's answer.
//! 3. [`id_token`]: what the ID token must say. Its signature is verified by `provider::verify`.
//! 4. [`introspection`] and [`userinfo`]: what the provider says of a token, and of the person behind it.
//! 5. [`end_session`]: the URL that ends the login at the provider.
//!
//! Nothing here calls, waits or remembers: each function makes a request or judges an answer. [`form`]
//! is the encoding that all of them share, [`form_endpoint`] a call with one, [`extra`] what the configuration adds to a call, [`answer`] what
//! answers have in common, [`claims`] what ID tokens and access tokens have in common.

pub mod answer;
pub mod authorize;
pub mod claims;
pub mod client_auth;
pub mod client_choice;
pub mod end_session;
pub mod extra;
pub mod form;
pub mod form_endpoint;
pub mod id_token;
pub mod introspection;
pub mod pkce;
pub mod token;
pub mod userinfo;

use url::Url;

use crate::failure::Refusal;

/// The address of an endpoint: the configured one, else the discovered one. `name` is the member's
/// name in the configuration and in the metadata (RFC 8414 section 2).
pub fn endpoint<'a>(
    configured: Option<&'a Url>,
    discovered: Option<&'a Url>,
    name: &str,
) -> Result<&'a Url, Refusal> {
    configured.or(discovered).ok_or_else(|| {
        Refusal::unexpected(
            "endpoint_unknown",
            format!("the metadata names no usable `{name}`; set it in the configuration"),
        )
    })
}

/// Whether two secret texts are equal, in a time that depends on their lengths alone: how much of
/// them is equal must not be measurable.
#[must_use]
pub fn same_secret(a: &str, b: &str) -> bool {
    let differences = a
        .bytes()
        .zip(b.bytes())
        .fold(0_u8, |sum, (x, y)| std::hint::black_box(sum | (x ^ y)));
    a.len() == b.len() && std::hint::black_box(differences) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configured_endpoint_wins() {
        let (own, theirs) = (
            Url::parse("https://a.example/").ok(),
            Url::parse("https://b.example/").ok(),
        );
        let chosen = |a: &Option<Url>, b: &Option<Url>| {
            endpoint(a.as_ref(), b.as_ref(), "token_endpoint")
                .map(|url| url.to_string())
                .map_err(|refusal| refusal.code)
        };
        assert_eq!(chosen(&own, &theirs), Ok("https://a.example/".to_owned()));
        assert_eq!(chosen(&None, &theirs), Ok("https://b.example/".to_owned()));
        assert_eq!(chosen(&None, &None), Err("endpoint_unknown"));
    }

    #[test]
    fn secrets_compare_whole() {
        assert!(same_secret("", "") && same_secret("abc", "abc"));
        for other in ["", "ab", "abd", "bbc", "abcd", "ABC"] {
            assert!(
                !same_secret("abc", other) && !same_secret(other, "abc"),
                "{other}"
            );
        }
    }
}
