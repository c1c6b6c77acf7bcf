//! How a refusal looks.

use url::Url;

use super::reader::Reader;

/// The answers to those who do not get in (rows K and B).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failures {
    /// Row K `unauthorized_error_message`, default `Unauthorized`: the message of a 401.
    pub unauthorized_message: String,
    /// Row K `unauthorized_redirect_uri`: where to send the client instead of a 401 (index 0).
    pub unauthorized_redirect: Option<Url>,
    /// Row K `forbidden_error_message`, default `Forbidden`: the message of a 403.
    pub forbidden_message: String,
    /// Row K `forbidden_redirect_uri`: where to send the client instead of a 403 (index 0).
    pub forbidden_redirect: Option<Url>,
    /// Row K `unexpected_redirect_uri`: where to send the client instead of a 500 (index 0).
    pub unexpected_redirect: Option<Url>,
    /// Row B `display_errors`, default false: say the reason in the body; for debugging only.
    pub display_errors: bool,
    /// Row B `expose_error_code`, default true: say the error code of RFC 6750 section 3.1 in
    /// `WWW-Authenticate`.
    pub expose_error_code: bool,
}

impl Failures {
    pub(super) fn read(reader: &mut Reader) -> Failures {
        Failures {
            unauthorized_message: reader
                .text("unauthorized_error_message")
                .unwrap_or_default(),
            unauthorized_redirect: redirect(reader, "unauthorized_redirect_uri"),
            forbidden_message: reader.text("forbidden_error_message").unwrap_or_default(),
            forbidden_redirect: redirect(reader, "forbidden_redirect_uri"),
            unexpected_redirect: redirect(reader, "unexpected_redirect_uri"),
            display_errors: reader.flag("display_errors"),
            expose_error_code: reader.flag("expose_error_code"),
        }
    }
}

/// Kong takes one address per client. Only the first client is in force yet.
fn redirect(reader: &mut Reader, name: &'static str) -> Option<Url> {
    let urls = reader.urls(name);
    if urls.len() > 1 {
        reader.warn(
            name,
            "only the first address is used: there is one client in this version",
        );
    }
    urls.into_iter().next()
}
