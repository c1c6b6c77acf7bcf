//! Whom to trust, and where to find it.

use url::Url;

use super::extras::fixed_headers;
use super::issuer::Issuer;
use super::reader::Reader;
use super::secret::Secret;

/// The identity provider (rows A and V).
///
/// Equal values mean the same provider with the same keys: many policies can share one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    /// Row A `issuer`: required.
    pub issuer: Issuer,
    /// Row A `using_pseudo_issuer`, default false: no discovery; keys come from the explicit fields
    /// and `issuer` stays the expected `iss`.
    pub using_pseudo_issuer: bool,
    /// Row A `discovery_headers_names` and `discovery_headers_values`: extra headers of the discovery
    /// call, names in lower case.
    pub discovery_headers: Vec<(String, Secret)>,
    /// Row A `rediscovery_lifetime`, seconds, default 30: the least time between two discoveries; 0
    /// means whenever needed.
    pub rediscovery_lifetime: u64,
    /// Row A `issuers_allowed`: the accepted `iss` values. Empty: only the discovered issuer.
    pub issuers_allowed: Vec<String>,
    /// Row A `jwks_endpoint`: replaces the discovered `jwks_uri`.
    pub jwks_endpoint: Option<Url>,
    /// Row A `extra_jwks_uris`: further key sets, trusted after the primary one.
    pub extra_jwks_uris: Vec<Url>,
    /// Our `verify_issuer`, default `warn`: what happens when the discovered issuer is another one
    /// than `issuer` (OpenID Connect Discovery 1.0 section 4.3).
    pub verify_issuer: IssuerCheck,
    /// Row V `timeout`, milliseconds, default 10000: how long a call to the provider may take.
    pub timeout_ms: u32,
}

/// What to do when a discovery document names another issuer than the configured one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IssuerCheck {
    /// Go on with a warning: providers differ (as Kong).
    Warn,
    /// Refuse the document.
    Strict,
}

impl Provider {
    /// `None` when there is no usable issuer; the reader holds the error.
    pub(super) fn read(reader: &mut Reader, needs_keys: bool) -> Option<Provider> {
        let issuer = issuer(reader);
        let using_pseudo_issuer = reader.flag("using_pseudo_issuer");
        let discovery_headers = fixed_headers(
            reader,
            "discovery_headers_names",
            "discovery_headers_values",
            &[],
        );
        let rediscovery_lifetime = reader.seconds("rediscovery_lifetime").unwrap_or(30);
        let issuers_allowed = reader.restriction("issuers_allowed");
        let jwks_endpoint = reader.url("jwks_endpoint");
        let extra_jwks_uris = reader.urls("extra_jwks_uris");
        let verify_issuer = reader
            .choice(
                "verify_issuer",
                &[("warn", IssuerCheck::Warn), ("strict", IssuerCheck::Strict)],
            )
            .unwrap_or(IssuerCheck::Warn);
        let timeout_ms = timeout(reader, "timeout");
        if using_pseudo_issuer
            && needs_keys
            && jwks_endpoint.is_none()
            && extra_jwks_uris.is_empty()
            && !reader.flag("enable_hs_signatures")
        {
            reader.error(
                "using_pseudo_issuer",
                "there is no discovery and no key: name the keys' address in `jwks_endpoint`",
            );
        }
        Some(Provider {
            issuer: issuer?,
            using_pseudo_issuer,
            discovery_headers,
            rediscovery_lifetime,
            issuers_allowed,
            jwks_endpoint,
            extra_jwks_uris,
            verify_issuer,
            timeout_ms,
        })
    }
}

fn issuer(reader: &mut Reader) -> Option<Issuer> {
    let parsed = match reader.text("issuer") {
        Some(text) => Issuer::parse(&text),
        None => Err(
            "is required; write the provider's issuer URL, like `https://idp.example/realm`"
                .to_owned(),
        ),
    };
    parsed.map_err(|why| reader.error("issuer", why)).ok()
}

/// How long a call may take, in milliseconds.
pub(super) fn timeout(reader: &mut Reader, name: &str) -> u32 {
    match reader.milliseconds(name) {
        Some(0) => {
            reader.error(
                name,
                "is 0, so that no call could succeed; write milliseconds, like 10000",
            );
            1
        }
        Some(milliseconds) => milliseconds,
        None => 10_000,
    }
}
