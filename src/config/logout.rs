//! How a browser logs out.

use url::Url;

use super::login::without_fragment;
use super::reader::Reader;
use super::session::several;

/// What a logout is, and where it leads (row I, without revocation).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogoutSettings {
    /// Row I `logout_methods`, default POST and DELETE: the methods of a request that logs out. Empty:
    /// there is no logout.
    pub methods: Vec<LogoutMethod>,
    /// Row I `logout_query_arg`: an argument of the query whose presence means logout.
    pub query_arg: Option<String>,
    /// Row I `logout_post_arg`: an argument of the body whose presence means logout.
    pub post_arg: Option<String>,
    /// Row I `logout_uri_suffix`: an end of the path that means logout.
    pub uri_suffix: Option<String>,
    /// Row I `end_session_endpoint`: replaces the discovered one.
    pub end_session_endpoint: Option<Url>,
}

/// A method that can log out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names explain themselves")]
pub enum LogoutMethod {
    Delete,
    Get,
    Post,
}

const METHODS: [(&str, LogoutMethod); 3] = [
    ("DELETE", LogoutMethod::Delete),
    ("GET", LogoutMethod::Get),
    ("POST", LogoutMethod::Post),
];

impl LogoutSettings {
    /// Whether a request with this method can log out.
    pub fn takes(&self, method: &[u8]) -> bool {
        METHODS
            .iter()
            .any(|(name, own)| name.as_bytes() == method && self.methods.contains(own))
    }

    pub(super) fn read(reader: &mut Reader) -> LogoutSettings {
        let settings = LogoutSettings {
            methods: several(reader, "logout_methods", &METHODS),
            query_arg: reader.checked("logout_query_arg", name),
            post_arg: reader.checked("logout_post_arg", name),
            uri_suffix: reader.checked("logout_uri_suffix", suffix),
            end_session_endpoint: reader.checked("end_session_endpoint", without_fragment),
        };
        settings.check(reader);
        settings
    }

    fn check(&self, reader: &mut Reader) {
        if self.post_arg.is_some() {
            if reader.text("request_body").as_deref() == Some("off") {
                let text = "stands in a body, and `request_body` is off; use `logout_query_arg` or `logout_uri_suffix`";
                reader.error("logout_post_arg", text);
            }
            if !self.methods.contains(&LogoutMethod::Post) && !reader.failed("logout_methods") {
                let text = "no request with a body logs out: `logout_methods` lacks `POST`";
                reader.warn("logout_post_arg", text);
            }
        }
        let triggers = self.query_arg.is_some() || self.uri_suffix.is_some();
        if triggers && self.methods.contains(&LogoutMethod::Get) {
            let text = "`GET` logs out: a link or an image of any other site can do that, too";
            reader.warn("logout_methods", text);
        }
    }
}

fn name(text: &str) -> Result<String, String> {
    match text {
        "" => Err("is empty; write the argument's name, or remove it".to_owned()),
        text => Ok(text.to_owned()),
    }
}

/// Compared with the path alone, so nothing else can stand in it.
fn suffix(text: &str) -> Result<String, String> {
    let legal = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#');
    if text.is_empty() || text == "/" || !text.bytes().all(legal) {
        return Err("is not the end of a path; write one like `/logout`".to_owned());
    }
    Ok(text.to_owned())
}
