//! The token endpoint: what is sent there beyond the grant, and what of its answer the client sees.

use url::Url;

use super::client_auth::{ClientAuth, METHODS};
use super::extras::{ExtraArguments, ExtraHeaders};
use super::login::without_fragment;
use super::names::mapped_header_name;
use super::reader::Reader;
use super::session::several;

/// How the token endpoint is called (row F).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenSettings {
    /// `token_endpoint`: replaces the discovered one.
    pub endpoint: Option<Url>,
    /// `token_endpoint_auth_method`: how we authenticate there. `None`: as `client_auth` says. With the
    /// client credentials grant `none` is passed over.
    pub auth: Option<ClientAuth>,
    /// `token_headers_names`, `_values` and `_client`.
    pub headers: ExtraHeaders,
    /// `token_post_args_names`, `_values` and `_client`.
    pub arguments: ExtraArguments,
    /// `token_headers_replay`, `_prefix` and `_grants`.
    pub replay: Replay,
}

/// Which headers of the endpoint's answer the client gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    /// Names in the endpoint's answer, in lower case, and how the client gets them.
    pub headers: Vec<(String, String)>,
    /// The grants with which they are replayed, default all.
    pub grants: Vec<Grant>,
}

/// A grant at the token endpoint (RFC 6749 section 4 and 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are those of RFC 6749")]
pub enum Grant {
    AuthorizationCode,
    ClientCredentials,
    Password,
    RefreshToken,
}

const GRANTS: [(&str, Grant); 4] = [
    ("authorization_code", Grant::AuthorizationCode),
    ("client_credentials", Grant::ClientCredentials),
    ("password", Grant::Password),
    ("refresh_token", Grant::RefreshToken),
];

/// What the grants and the client's authentication write themselves.
const OWN_ARGUMENTS: [&str; 12] = [
    "assertion",
    "client_assertion",
    "client_assertion_type",
    "client_id",
    "client_secret",
    "code",
    "code_verifier",
    "grant_type",
    "password",
    "redirect_uri",
    "refresh_token",
    "username",
];

const OWN_HEADERS: [(&str, &str); 2] = [
    ("accept", "the answer is JSON always"),
    (
        "authorization",
        "choose with `client_auth` how the client authenticates",
    ),
];

impl TokenSettings {
    pub(super) fn read(reader: &mut Reader) -> TokenSettings {
        TokenSettings {
            endpoint: reader.checked("token_endpoint", without_fragment),
            auth: reader.choice("token_endpoint_auth_method", &METHODS),
            headers: ExtraHeaders::read(reader, "token", &OWN_HEADERS),
            arguments: ExtraArguments::read(reader, "token_post_args", &OWN_ARGUMENTS),
            replay: Replay::read(reader),
        }
    }
}

impl Replay {
    fn read(reader: &mut Reader) -> Replay {
        const NAME: &str = "token_headers_replay";
        let prefix = reader.text("token_headers_prefix").unwrap_or_default();
        let headers = reader.list(NAME, |name| {
            let from = mapped_header_name(name)?;
            let to = mapped_header_name(&format!("{prefix}{name}"))?;
            // Answers that carry a credential keep the caching rules that we write.
            match to.as_str() {
                "cache-control" | "vary" | "location" | "www-authenticate" => Err(format!(
                    "`{to}` is written by the filter itself; set a `token_headers_prefix`"
                )),
                _ => Ok((from, to)),
            }
        });
        let named = several(reader, "token_headers_grants", &GRANTS);
        if headers.is_empty() && !reader.failed(NAME) {
            let without = [
                ("token_headers_prefix", !prefix.is_empty()),
                ("token_headers_grants", !named.is_empty()),
            ];
            for (name, _) in without.into_iter().filter(|(_, set)| *set) {
                let text = "has no effect without `token_headers_replay`; write it, or remove this";
                reader.error(name, text);
            }
        }
        let grants = match named.is_empty() {
            true => GRANTS.map(|(_, grant)| grant).to_vec(),
            false => named,
        };
        Replay { headers, grants }
    }
}
