//! Fetching a provider's metadata (OpenID Connect Discovery 1.0 section 4, RFC 8414 section 3) and
//! keys (RFC 7517 section 5). The limits: 128 KiB of metadata, 256 KiB a key set, 64 keys a set, no redirects.

use url::Url;

use super::KeySet;
use super::metadata::{Document, Metadata};
use crate::config::{Clusters, IssuerCheck, Provider as Settings, issuer_means};
use crate::failure::Refusal;
use crate::host::{self, CallError, Counter, Endpoint, Host, Level};
use crate::http::Call;
use crate::jose::JwkSet;

/// Fetches metadata and all key sets. `before` is what an earlier fetch brought.
pub async fn key_set(
    settings: &Settings,
    clusters: &Clusters,
    host: &dyn Host,
    before: Option<&KeySet>,
) -> Result<KeySet, Refusal> {
    let (metadata, jwks_uri) = if settings.using_pseudo_issuer {
        (Metadata::default(), None)
    } else {
        let document = discover(settings, clusters, host).await?;
        let jwks_uri = match &settings.jwks_endpoint {
            Some(_) => None,
            None => Some(announced_jwks_uri(settings, &document)?),
        };
        (metadata_of(settings, document, host), jwks_uri)
    };
    let primary = settings.jwks_endpoint.clone().or(jwks_uri);
    let mut sets = Vec::new();
    if let Some(url) = &primary {
        sets.push(jwks(settings, clusters, host, url).await?);
    }
    let mut missing = None;
    for url in &settings.extra_jwks_uris {
        let set = match jwks(settings, clusters, host, url).await {
            Ok(set) => set,
            // One of several sources is down. What it said before still holds; if it never said anything,
            // the others' keys are good without it.
            Err(refusal) => {
                host.log(
                    Level::Error,
                    &format!("oidc-filter: {}: {}", refusal.code, refusal.reason),
                );
                missing = Some(refusal);
                let earlier = before.and_then(|keys| keys.sets.get(sets.len()));
                earlier.cloned().unwrap_or_default()
            }
        };
        sets.push(set);
    }
    if let Some(refusal) = missing.filter(|_| sets.iter().all(|set| set.keys.is_empty())) {
        return Err(refusal);
    }
    Ok(KeySet {
        metadata,
        sets,
        fetched: host.now(),
        generation: 0,
    })
}

async fn discover(
    settings: &Settings,
    clusters: &Clusters,
    host: &dyn Host,
) -> Result<Document, Refusal> {
    host.count(Counter::DiscoveryFetched);
    let url = settings.issuer.discovery_url();
    let headers = &settings.discovery_headers;
    let body = get(settings, clusters, host, Endpoint::Discovery, url, headers).await?;
    if body.len() > MAX_METADATA {
        return Err(Refusal::unexpected(
            "discovery_unreadable",
            format!("{url} is longer than 128 KiB"),
        ));
    }
    let document: Document = serde_json::from_slice(&body).map_err(|error| {
        // Not the error's own text: it repeats what the document holds.
        Refusal::unexpected(
            "discovery_unreadable",
            format!(
                "{url} is no metadata document: a mistake at line {}, column {}",
                error.line(),
                error.column()
            ),
        )
    })?;
    let expected = settings.issuer.identifier.trim_end_matches('/');
    match &document.issuer {
        Some(issuer) if issuer.trim_end_matches('/') == expected => {}
        // Microsoft's `common` and its like: the tokens say which tenant.
        Some(issuer) if issuer_means(issuer, expected, |_| true) => {
            if settings.issuers_allowed.is_empty() {
                let line = "oidc-filter: every_tenant: the metadata are those of many tenants, and all of them may come in; name some in `issuers_allowed`";
                host.log(Level::Warn, line);
            }
        }
        other => {
            let named = other
                .as_deref()
                .map_or_else(|| "no issuer".to_owned(), printable);
            let reason = format!("{url} names {named}, the configuration {expected}");
            match settings.verify_issuer {
                IssuerCheck::Strict => return Err(Refusal::unexpected("issuer_mismatch", reason)),
                // C23: providers differ here; the operator is told.
                IssuerCheck::Warn => {
                    host.log(
                        Level::Warn,
                        &format!("oidc-filter: issuer_mismatch: {reason}"),
                    );
                }
            }
        }
    }
    Ok(document)
}

/// What the document says beside its keys. An address that cannot be used is left out, so that what
/// does not need it goes on.
fn metadata_of(settings: &Settings, document: Document, host: &dyn Host) -> Metadata {
    let https = settings.issuer.discovery_url().scheme() == "https";
    let (metadata, unusable) = Metadata::read(document, https);
    for (name, why) in unusable {
        host.log(
            Level::Warn,
            &format!("oidc-filter: metadata_unusable: `{name}` {why}"),
        );
    }
    metadata
}

fn announced_jwks_uri(settings: &Settings, document: &Document) -> Result<Url, Refusal> {
    let announced = document
        .jwks_uri
        .as_deref()
        .and_then(|uri| Url::parse(uri).ok())
        .filter(|uri| matches!(uri.scheme(), "http" | "https") && uri.host_str().is_some());
    let Some(uri) = announced else {
        return Err(Refusal::unexpected(
            "discovery_without_keys",
            "the metadata names no usable `jwks_uri`; set `jwks_endpoint`",
        ));
    };
    // A document that came over TLS must not send us out of it.
    if settings.issuer.discovery_url().scheme() == "https" && uri.scheme() != "https" {
        return Err(Refusal::unexpected(
            "keys_without_tls",
            format!("the metadata came over https but names {uri}"),
        ));
    }
    Ok(uri)
}

async fn jwks(
    settings: &Settings,
    clusters: &Clusters,
    host: &dyn Host,
    url: &Url,
) -> Result<JwkSet, Refusal> {
    host.count(Counter::JwksFetched);
    let body = get(settings, clusters, host, Endpoint::Jwks, url, &[]).await?;
    let set = JwkSet::parse(&body).map_err(|error| {
        Refusal::unexpected("jwks_unreadable", format!("{url} is no key set: {error}"))
    })?;
    for (kid, reason) in &set.skipped {
        let kid = kid
            .as_deref()
            .map_or_else(|| "without kid".to_owned(), printable);
        host.log(
            Level::Info,
            &format!("oidc-filter: key_skipped: {url}: key {kid}: {reason}"),
        );
    }
    Ok(set)
}

/// A GET, tried once more when the connection broke: a pooled connection that the provider had closed
/// looks like that, and a GET changes nothing (RFC 9110 section 9.2.2).
async fn get(
    settings: &Settings,
    clusters: &Clusters,
    host: &dyn Host,
    endpoint: Endpoint,
    url: &Url,
    headers: &[(String, crate::config::Secret)],
) -> Result<Vec<u8>, Refusal> {
    let mut call = Call {
        method: "GET",
        url: url.clone(),
        cluster: clusters.for_url(url),
        headers: vec![
            ("accept".to_owned(), "application/json".to_owned()),
            ("user-agent".to_owned(), USER_AGENT.to_owned()),
        ],
        body: Vec::new(),
        timeout: settings.timeout_ms,
    };
    for (name, value) in headers {
        call.headers.push((name.clone(), value.expose().to_owned()));
    }
    let (began, timeout) = (host.now(), u64::from(settings.timeout_ms));
    let mut answer = host::call(host, endpoint, call.clone()).await;
    let spent = host.now().since(began);
    // A connection that the provider had closed breaks at once. What breaks late was cut off by its time,
    // and both calls together take no longer than one may.
    if matches!(answer, Err(CallError::NoAnswer(_))) && spent.saturating_mul(2) < timeout {
        host.count(Counter::CallRetried);
        call.timeout = u32::try_from(timeout.saturating_sub(spent)).unwrap_or(u32::MAX);
        answer = host::call(host, endpoint, call).await;
    }
    match answer {
        Ok(answer) if answer.status == 200 => Ok(answer.body),
        Ok(answer) => Err(Refusal::unexpected(
            "provider_refused",
            format!("{url} answered {}", answer.status),
        )),
        Err(error) => Err(Refusal::unexpected(
            "provider_unreachable",
            format!("{url}: {error}"),
        )),
    }
}

/// The longest metadata document that is read, in bytes.
const MAX_METADATA: usize = 128 * 1024;

/// A provider's text for the log: not long, and on one line.
fn printable(text: &str) -> String {
    text.chars()
        .take(200)
        .flat_map(char::escape_default)
        .collect()
}

/// Some providers' firewalls refuse calls without one; Envoy sends none.
const USER_AGENT: &str = concat!("oidc-filter/", env!("CARGO_PKG_VERSION"));
