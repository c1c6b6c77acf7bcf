//! What the upstream gets to see.

use super::names::mapped_header_name;
use super::reader::Reader;

/// The request headers the upstream receives (row O). Names are lower case, with hyphens for
/// underscores, and no name occurs twice. All of them are removed from the client's request first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// Row O `upstream_access_token_header`, default `authorization:bearer`. `None`: switched off.
    pub access_token_header: Option<TokenHeader>,
    /// Row O `upstream_id_token_header`, `upstream_refresh_token_header`, `upstream_introspection_header`,
    /// `upstream_user_info_header` and `upstream_session_id_header`: what stands in the header of this name.
    pub fact_headers: Vec<(Fact, String)>,
    /// Row O `upstream_headers`, then `upstream_headers_claims` with `upstream_headers_names`.
    pub claim_headers: Vec<ClaimHeader>,
}

/// Something that is known of whoever passes, beside single claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact {
    /// The ID token.
    IdToken,
    /// The refresh token.
    RefreshToken,
    /// What the introspection endpoint said, as JSON.
    Introspection,
    /// What the userinfo endpoint said, as JSON.
    Userinfo,
    /// The session's id.
    SessionId,
}

const FACTS: [(&str, Fact); 5] = [
    ("upstream_id_token_header", Fact::IdToken),
    ("upstream_refresh_token_header", Fact::RefreshToken),
    ("upstream_introspection_header", Fact::Introspection),
    ("upstream_user_info_header", Fact::Userinfo),
    ("upstream_session_id_header", Fact::SessionId),
];

/// A header that carries a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenHeader {
    /// The header's name.
    pub name: String,
    /// Written as `name:bearer`: the word `Bearer` precedes the token.
    pub bearer: bool,
}

/// A header that carries a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimHeader {
    /// The header's name.
    pub name: String,
    /// The way down to the claim. Never empty.
    pub path: Vec<String>,
}

impl Upstream {
    pub(super) fn read(reader: &mut Reader) -> Upstream {
        let mut taken = Vec::new();
        let mut take = |reader: &mut Reader, at: &str, name: &str| {
            if taken.iter().any(|other| other == name) {
                reader.error(
                    at,
                    format!("two values for one header, `{name}`; choose another name"),
                );
            }
            taken.push(name.to_owned());
        };

        let access_token_header = access_token_header(reader);
        if let Some(header) = &access_token_header {
            take(reader, "upstream_access_token_header", &header.name);
        }
        let mut fact_headers = Vec::new();
        for (field, fact) in FACTS {
            if let Some(name) = reader.checked(field, mapped_header_name) {
                take(reader, field, &name);
                fact_headers.push((fact, name));
            }
        }
        let mut claim_headers = Vec::new();
        for (at, name, path) in reader.claim_headers("upstream_headers") {
            match mapped_header_name(&name) {
                Ok(name) => {
                    take(reader, &at, &name);
                    claim_headers.push(ClaimHeader { name, path });
                }
                Err(why) => reader.error(&at, why),
            }
        }
        for (index, (claim, name)) in reader
            .pairs("upstream_headers_claims", "upstream_headers_names")
            .into_iter()
            .enumerate()
        {
            let at = format!("upstream_headers_names[{index}]");
            if claim.is_empty() {
                let at = format!("upstream_headers_claims[{index}]");
                reader.error(&at, "is empty; write the claim's name");
            }
            match mapped_header_name(&name) {
                Ok(name) => {
                    take(reader, &at, &name);
                    claim_headers.push(ClaimHeader {
                        name,
                        path: vec![claim],
                    });
                }
                Err(why) => reader.error(&at, why),
            }
        }
        Upstream {
            access_token_header,
            fact_headers,
            claim_headers,
        }
    }

    /// Every header this section may set: what the client must not be able to send.
    pub fn header_names(&self) -> impl Iterator<Item = &str> {
        let token = self
            .access_token_header
            .iter()
            .map(|header| header.name.as_str());
        let facts = self.fact_headers.iter().map(|(_, name)| name.as_str());
        token
            .chain(facts)
            .chain(self.claim_headers.iter().map(|header| header.name.as_str()))
    }
}

fn access_token_header(reader: &mut Reader) -> Option<TokenHeader> {
    const FIELD: &str = "upstream_access_token_header";
    if reader.is_null(FIELD) {
        return None;
    }
    let text = reader.text(FIELD)?;
    if text == "nil" {
        reader.warn(
            FIELD,
            "the text `nil` is taken as null: the token is not sent; write null",
        );
        return None;
    }
    if text.is_empty() {
        return None;
    }
    let (name, bearer) = match text.split_once(':') {
        None => (text.as_str(), false),
        Some((name, kind)) if kind.eq_ignore_ascii_case("bearer") && !name.is_empty() => {
            (name, true)
        }
        Some(_) => {
            reader.error(
                FIELD,
                "write `name` or `name:bearer`, or null to send no token",
            );
            return None;
        }
    };
    match mapped_header_name(name) {
        Ok(name) => Some(TokenHeader { name, bearer }),
        Err(why) => {
            reader.error(FIELD, why);
            None
        }
    }
}
