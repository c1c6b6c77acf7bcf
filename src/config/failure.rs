//! How a refusal looks.

use super::reader::Reader;

/// The answers to those who do not get in (rows K and B).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failures {
    /// Row K `unauthorized_error_message`, default `Unauthorized`: the message of a 401.
    pub unauthorized_message: String,
    /// Row K `forbidden_error_message`, default `Forbidden`: the message of a 403.
    pub forbidden_message: String,
    /// Row B `display_errors`, default false: say the reason in the body; for debugging only.
    pub display_errors: bool,
    /// Row B `expose_error_code`, default true: say the error code of RFC 6750 section 3.1 in
    /// `WWW-Authenticate`.
    pub expose_error_code: bool,
    /// Row K `unauthorized_destroy_session`, default true: a 401 takes the session away.
    pub unauthorized_destroys_session: bool,
    /// Row K `forbidden_destroy_session`, default true: a 403 takes the session away.
    pub forbidden_destroys_session: bool,
}

impl Failures {
    pub(super) fn read(reader: &mut Reader) -> Failures {
        Failures {
            unauthorized_message: reader
                .text("unauthorized_error_message")
                .unwrap_or_default(),
            forbidden_message: reader.text("forbidden_error_message").unwrap_or_default(),
            display_errors: reader.flag("display_errors"),
            expose_error_code: reader.flag("expose_error_code"),
            unauthorized_destroys_session: reader.flag("unauthorized_destroy_session"),
            forbidden_destroys_session: reader.flag("forbidden_destroy_session"),
        }
    }
}
