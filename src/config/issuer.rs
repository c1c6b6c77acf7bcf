//! The issuer: an identifier, and the address of its metadata.

use url::Url;

const OPENID: &str = "/.well-known/openid-configuration";
const OAUTH: &str = "/.well-known/oauth-authorization-server";

/// An issuer as configured (row A `issuer`), normalised (RFC 8414 section 3, OpenID Connect Discovery
/// 1.0 section 4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer {
    /// The identifier, without any well-known part. Otherwise as it was written: a trailing slash
    /// is part of a name, and comparing is the verifier's business.
    pub identifier: String,
    discovery: Url,
}

impl Issuer {
    /// Reads a bare identifier or the address of a metadata document.
    ///
    /// A document named in full is the one that is fetched; a bare identifier means OpenID Connect
    /// Discovery.
    pub(super) fn parse(text: &str) -> Result<Issuer, String> {
        let url = http_url(text)?;
        if url.query().is_some() || url.fragment().is_some() {
            return Err(
                "has a query or a fragment; write the issuer's URL without them".to_owned(),
            );
        }
        let (identifier, discovery) = match without_well_known(text) {
            Some(identifier) => (identifier, text.to_owned()),
            None => {
                let base = text.strip_suffix('/').unwrap_or(text);
                (text.to_owned(), format!("{base}{OPENID}"))
            }
        };
        http_url(&identifier)?;
        let discovery = http_url(&discovery)?;
        Ok(Issuer {
            identifier,
            discovery,
        })
    }

    /// The address of the metadata document.
    pub fn discovery_url(&self) -> &Url {
        &self.discovery
    }
}

/// The identifier in the address of a metadata document: the well-known part stands at the end
/// (OpenID Connect Discovery), or between host and path (RFC 8414 section 3.1).
fn without_well_known(text: &str) -> Option<String> {
    [OPENID, OAUTH].into_iter().find_map(|well_known| {
        let (before, after) = text.split_once(well_known)?;
        let between = before
            .split("://")
            .nth(1)
            .is_some_and(|host| !host.contains('/'));
        match after {
            "" | "/" => Some(before.to_owned()),
            _ if between && after.starts_with('/') => Some(format!("{before}{after}")),
            _ => None,
        }
    })
}

/// What stands for the tenant in the issuer that Microsoft's metadata name where one configuration serves many
/// tenants (`common`, `organizations`). Their tokens name one in `iss`, and in `tid`: both must agree.
pub const TENANT: &str = "{tenantid}";

/// Whether `expected`, which may have a [`TENANT`], means this issuer.
pub fn issuer_means(expected: &str, issuer: &str, is_tenant: impl Fn(&str) -> bool) -> bool {
    let Some((before, after)) = expected.split_once(TENANT) else {
        return same_issuer(issuer, expected);
    };
    let short = |text| str::strip_suffix(text, '/').unwrap_or(text);
    let tenant = short(issuer)
        .strip_prefix(before)
        .and_then(|rest| rest.strip_suffix(short(after)));
    // One segment of a path: an id, or a domain.
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    tenant
        .is_some_and(|tenant| !tenant.is_empty() && tenant.bytes().all(legal) && is_tenant(tenant))
}

/// Issuers compare byte for byte, but for one trailing slash (specification section 7.2).
pub fn same_issuer(a: &str, b: &str) -> bool {
    a.strip_suffix('/').unwrap_or(a) == b.strip_suffix('/').unwrap_or(b)
}

/// An absolute `http` or `https` URL with a host, without userinfo.
pub(super) fn http_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|why| {
        format!("is not a URL ({why}); write an absolute one, like `https://idp.example`")
    })?;
    if !matches!(url.scheme(), "https" | "http") || url.host_str().is_none_or(str::is_empty) {
        return Err("must be an absolute `https` (or `http`) URL".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(
            "carries a user name or a password; credentials do not belong into a URL".to_owned(),
        );
    }
    if text
        .bytes()
        .any(|byte| byte <= b' ' || byte == 0x7f || byte == b'\\')
    {
        return Err("contains white space, a control character or a backslash".to_owned());
    }
    Ok(url)
}
