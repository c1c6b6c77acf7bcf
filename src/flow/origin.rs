//! Where a request came to, as its client sees it: for the address that a provider sends back to, and for
//! the `Secure` of cookies (`trusted_ips`; specification section 4.9, "redirect_uri").

use url::Url;

use crate::config::Client;
use crate::failure::{Kind, Refusal};
use crate::host::{Connection, Host};
use crate::http::Request;
use crate::policy::Policy;

/// Scheme and authority of a request, by the word of those who are trusted.
pub struct Origin {
    connection: Connection,
}

impl Origin {
    /// The origin of a request. A forwarded host or port counts only from a peer in `trusted_ips`.
    pub fn of(policy: &Policy, host: &dyn Host, request: &Request) -> Origin {
        let mut connection = host.connection(request);
        let trusted = connection
            .peer
            .is_some_and(|peer| policy.config.host.trusted_ips.contains(peer));
        if trusted {
            let header = |name| {
                let value = request.headers.only(name)?;
                std::str::from_utf8(value)
                    .ok()
                    .filter(|text| !text.is_empty())
            };
            let host = header("x-forwarded-host").map(str::to_owned);
            let name = host.or(connection.authority.take());
            connection.authority = match (name, header("x-forwarded-port")) {
                (Some(name), Some(port)) => {
                    let bare = name
                        .rsplit_once(':')
                        .map_or(name.as_str(), |(bare, _)| bare);
                    Some(format!("{bare}:{port}"))
                }
                (name, _) => name,
            };
        }
        Origin { connection }
    }

    /// The URL of a path here.
    pub fn url(&self, path: &[u8]) -> Result<String, Refusal> {
        let authority = self.connection.authority.as_deref().filter(|authority| {
            authority
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b".-:[]_".contains(&byte))
        });
        let url = authority.and_then(|authority| {
            // What begins otherwise would become a part of the authority: `@other.test/`.
            let path = std::str::from_utf8(path)
                .ok()
                .filter(|path| path.starts_with('/'))?;
            Url::parse(&format!("{}://{authority}{path}", self.connection.scheme)).ok()
        });
        url.map(String::from).ok_or_else(|| {
            Refusal::new(
                Kind::BadRequest,
                "no_address",
                "the request names no host to come back to; set `redirect_uri`",
            )
        })
    }

    /// Whether cookies are for secure connections only: a configured `redirect_uri` says so, or else the
    /// scheme.
    pub fn is_secure(&self, client: &Client) -> bool {
        match &client.redirect_uri {
            Some(uri) => uri.scheme() == "https",
            None => self.connection.scheme == "https",
        }
    }
}
