//! Where a bearer token is looked for.

use super::names::{cookie_name, mapped_header_name};
use super::reader::Reader;

/// The places of a bearer token (row D).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bearer {
    /// Row D `bearer_token_param_type`: in search order (header, query, body, cookie), without
    /// repetition. Never empty. Default: body, header and query.
    pub places: Vec<Place>,
    /// Row D `bearer_token_header_name`: when set, the only header that is read. Lower case.
    pub header_name: Option<String>,
    /// Row D `bearer_token_cookie_name`: set if `places` holds the cookie.
    pub cookie_name: Option<String>,
    /// Row D `jwt_session_cookie` and `jwt_session_claim`: a cookie that must repeat a claim of the
    /// token. `None`: no such check.
    pub jwt_session: Option<JwtSession>,
}

/// A place where a credential may stand, in search order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// A request header.
    Header,
    /// An argument of the query.
    Query,
    /// An argument of the body (form or JSON).
    Body,
    /// A cookie.
    Cookie,
}

/// A cookie whose value must equal a claim of the token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwtSession {
    /// Row D `jwt_session_cookie`: the cookie's name.
    pub cookie: String,
    /// Row D `jwt_session_claim`, default `sid`: the claim's name.
    pub claim: String,
}

pub(super) const PLACES: [(&str, Place); 4] = [
    ("header", Place::Header),
    ("query", Place::Query),
    ("body", Place::Body),
    ("cookie", Place::Cookie),
];

impl Bearer {
    /// Whether a token is looked for in `place`.
    pub fn looks_in(&self, place: Place) -> bool {
        self.places.contains(&place)
    }

    pub(super) fn read(reader: &mut Reader) -> Bearer {
        let named = reader.choices("bearer_token_param_type", &PLACES);
        let places = named.resolve(reader, "names no place, so that no token could be found");
        let cookie = reader.checked("bearer_token_cookie_name", cookie_name);
        if places.contains(&Place::Cookie)
            && cookie.is_none()
            && !reader.failed("bearer_token_cookie_name")
        {
            let text = "is required, since `bearer_token_param_type` names `cookie`; write the cookie's name";
            reader.error("bearer_token_cookie_name", text);
        }
        Bearer {
            places,
            header_name: reader.checked("bearer_token_header_name", mapped_header_name),
            cookie_name: cookie,
            jwt_session: jwt_session(reader),
        }
    }
}

fn jwt_session(reader: &mut Reader) -> Option<JwtSession> {
    let cookie = reader.checked("jwt_session_cookie", cookie_name);
    let claim = reader.text("jwt_session_claim");
    if claim.as_deref() == Some("") {
        reader.error(
            "jwt_session_claim",
            "is empty; write the claim's name, like `sid`",
        );
    }
    Some(JwtSession {
        cookie: cookie?,
        claim: claim?,
    })
}
