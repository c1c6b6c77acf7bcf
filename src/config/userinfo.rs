//! The userinfo endpoint: what is asked there.

use url::Url;

use super::extras::{ExtraArguments, ExtraHeaders};
use super::login::without_fragment;
use super::reader::Reader;

/// How the userinfo endpoint is called (row H, without distributed claims).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserinfoSettings {
    /// `userinfo_endpoint`: replaces the discovered one.
    pub endpoint: Option<Url>,
    /// `userinfo_accept`, default JSON: which answer is asked for.
    pub accept: UserinfoAccept,
    /// `userinfo_headers_names`, `_values` and `_client`.
    pub headers: ExtraHeaders,
    /// `userinfo_query_args_names`, `_values` and `_client`.
    pub arguments: ExtraArguments,
}

/// Which answer is asked for (OpenID Connect Core 1.0 section 5.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserinfoAccept {
    /// A JSON object.
    Json,
    /// A signed JWT.
    Jwt,
}

const ACCEPTS: [(&str, UserinfoAccept); 2] = [
    ("application/json", UserinfoAccept::Json),
    ("application/jwt", UserinfoAccept::Jwt),
];

impl UserinfoAccept {
    /// The media type.
    pub fn name(self) -> &'static str {
        let found = ACCEPTS.iter().find(|(_, accept)| *accept == self);
        found.map_or("application/json", |(name, _)| name)
    }
}

const OWN_HEADERS: [(&str, &str); 2] = [
    ("accept", "write `userinfo_accept`"),
    ("authorization", "the client's token stands there"),
];

impl UserinfoSettings {
    pub(super) fn read(reader: &mut Reader) -> UserinfoSettings {
        UserinfoSettings {
            endpoint: reader.checked("userinfo_endpoint", without_fragment),
            accept: reader
                .choice("userinfo_accept", &ACCEPTS)
                .unwrap_or(UserinfoAccept::Json),
            headers: ExtraHeaders::read(reader, "userinfo", &OWN_HEADERS),
            arguments: ExtraArguments::read(reader, "userinfo_query_args", &["access_token"]),
        }
    }
}
