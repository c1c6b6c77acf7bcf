//! What the upstream and the client get to see of whoever passes.

use super::names::mapped_header_name;
use super::reader::Reader;

/// The headers that one side receives (row O: the upstream; row P: the client). Names are lower case, with
/// hyphens for underscores, and no name occurs twice. All of them are removed first from what the other side
/// sent: the client's request, or the upstream's response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityHeaders {
    /// `upstream_access_token_header`, default `authorization:bearer`, and `downstream_access_token_header`.
    /// `None`: switched off.
    pub access_token_header: Option<TokenHeader>,
    /// `*_id_token_header` and its like: what stands in the header of this name.
    pub fact_headers: Vec<(Fact, String)>,
    /// `*_headers`, then `*_headers_claims` with `*_headers_names`.
    pub claim_headers: Vec<ClaimHeader>,
}

/// Who receives headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// The upstream, in the request.
    Upstream,
    /// The client, in the response.
    Downstream,
}

impl Side {
    fn field(self, rest: &str) -> String {
        let side = match self {
            Side::Upstream => "upstream",
            Side::Downstream => "downstream",
        };
        format!("{side}_{rest}")
    }

    fn check(self) -> fn(&str) -> Result<String, String> {
        match self {
            Side::Upstream => mapped_header_name,
            Side::Downstream => response_header_name,
        }
    }
}

/// Something that is known of whoever passes, beside single claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact {
    /// The key that verified the access token, as a JWK.
    AccessTokenJwk,
    /// The ID token.
    IdToken,
    /// The key that verified the ID token, as a JWK.
    IdTokenJwk,
    /// The refresh token.
    RefreshToken,
    /// What the introspection endpoint said, as JSON.
    Introspection,
    /// The same as the signed JWT that it came in.
    IntrospectionJwt,
    /// What the userinfo endpoint said, as JSON.
    Userinfo,
    /// The same as the signed JWT that it came in.
    UserinfoJwt,
    /// The session's id.
    SessionId,
}

/// The fields, each without its side.
const FACTS: [(&str, Fact); 9] = [
    ("access_token_jwk_header", Fact::AccessTokenJwk),
    ("id_token_header", Fact::IdToken),
    ("id_token_jwk_header", Fact::IdTokenJwk),
    ("refresh_token_header", Fact::RefreshToken),
    ("introspection_header", Fact::Introspection),
    ("introspection_jwt_header", Fact::IntrospectionJwt),
    ("user_info_header", Fact::Userinfo),
    ("user_info_jwt_header", Fact::UserinfoJwt),
    ("session_id_header", Fact::SessionId),
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

impl IdentityHeaders {
    pub(super) fn read(reader: &mut Reader, side: Side) -> IdentityHeaders {
        let check = side.check();
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

        let access_token_header = access_token_header(reader, side);
        if let Some(header) = &access_token_header {
            take(reader, &side.field("access_token_header"), &header.name);
        }
        let mut fact_headers = Vec::new();
        for (field, fact) in FACTS {
            let field = side.field(field);
            if let Some(name) = reader.checked(&field, check) {
                take(reader, &field, &name);
                fact_headers.push((fact, name));
            }
        }
        let mut claim_headers = Vec::new();
        for (at, name, path) in reader.claim_headers(&side.field("headers")) {
            match check(&name) {
                Ok(name) => {
                    take(reader, &at, &name);
                    claim_headers.push(ClaimHeader { name, path });
                }
                Err(why) => reader.error(&at, why),
            }
        }
        let (claims, names) = (side.field("headers_claims"), side.field("headers_names"));
        for (index, (claim, name)) in reader.pairs(&claims, &names).into_iter().enumerate() {
            let at = format!("{names}[{index}]");
            if claim.is_empty() {
                let at = format!("{claims}[{index}]");
                reader.error(&at, "is empty; write the claim's name");
            }
            match check(&name) {
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
        IdentityHeaders {
            access_token_header,
            fact_headers,
            claim_headers,
        }
    }

    /// Every header this section may set: what the other side must not be able to send.
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

    /// Whether one of these is told.
    pub fn tells(&self, facts: &[Fact]) -> bool {
        self.fact_headers
            .iter()
            .any(|(fact, _)| facts.contains(fact))
    }
}

/// Response headers that say what the message is and who may keep it: a token in one of them would be read as
/// something else, and those of ours would be gone.
const OF_THE_RESPONSE: [&str; 7] = [
    "cache-control",
    "content-encoding",
    "content-type",
    "location",
    "status",
    "vary",
    "www-authenticate",
];

/// The name of a header for the client.
fn response_header_name(text: &str) -> Result<String, String> {
    let name = mapped_header_name(text)?;
    if OF_THE_RESPONSE.contains(&name.as_str()) {
        return Err(format!(
            "`{name}` steers the response itself and must not be set; choose another name"
        ));
    }
    Ok(name)
}

fn access_token_header(reader: &mut Reader, side: Side) -> Option<TokenHeader> {
    let field = side.field("access_token_header");
    if reader.is_null(&field) {
        return None;
    }
    let text = reader.text(&field)?;
    if text == "nil" {
        reader.warn(
            &field,
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
                &field,
                "write `name` or `name:bearer`, or null to send no token",
            );
            return None;
        }
    };
    match side.check()(name) {
        Ok(name) => Some(TokenHeader { name, bearer }),
        Err(why) => {
            reader.error(&field, why);
            None
        }
    }
}
