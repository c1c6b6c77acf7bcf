//! Kong's Admin API, where its own OAuth 2.0 tokens and their owners are looked up.

use url::Url;

use super::issuer::http_url;
use super::methods::{AuthMethod, Methods};
use super::names::header_value;
use super::provider::timeout;
use super::reader::Reader;
use super::secret::Secret;

/// How Kong's Admin API is reached, and which of its tokens count here (our `kong_admin`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KongAdmin {
    /// `url`: required. With Kong Enterprise the workspace is a part of its path.
    pub url: Url,
    /// `token`: sent as `Kong-Admin-Token` (the RBAC of Kong Enterprise). `None`: the API asks for none.
    pub token: Option<Secret>,
    /// `timeout`, milliseconds, default 10000: how long one call may take.
    pub timeout_ms: u32,
    /// `service`: the id of the service whose tokens count, in lower case. `None`: on Kong the one that the
    /// request is for; on Envoy there is none, so a token of a service counts nowhere.
    pub service: Option<String>,
    /// `global_credentials`, default false: whether tokens of no service count (as in Kong's OAuth2 plugin).
    pub global_credentials: bool,
}

impl KongAdmin {
    /// The settings, where there are any; and what they mean for `auth_methods`: without them the method that
    /// needs them is left out of the default, and is an error where it is named.
    pub(super) fn read(reader: &mut Reader, methods: &mut Methods) -> Option<KongAdmin> {
        if !reader.has_block("kong_admin") {
            let needs_it = |method: &AuthMethod| *method == AuthMethod::KongOauth2;
            methods.leave_out(reader, needs_it, "kong_admin", "write its `url`");
            return None;
        }
        if !methods.has(AuthMethod::KongOauth2) {
            let text = "has no effect, since `auth_methods` does not name `kong_oauth2`";
            reader.warn("kong_admin", text);
        }
        let also = [AuthMethod::Introspection, AuthMethod::Userinfo];
        if methods.has(AuthMethod::KongOauth2) && also.iter().any(|method| methods.has(*method)) {
            let text = "`kong_oauth2` precedes `introspection` and `userinfo`: a token of letters and digits is \
                        looked up in Kong alone, and one that Kong does not know is refused";
            reader.warn("auth_methods", text);
        }
        let timeout_ms = timeout(reader, "kong_admin.timeout");
        let token = reader.checked("kong_admin.token", admin_token);
        let service = reader.checked("kong_admin.service", service_id);
        let global_credentials = reader.flag("kong_admin.global_credentials");
        let Some(url) = reader.checked("kong_admin.url", base) else {
            let text =
                "is required; write the address of Kong's Admin API, like `http://kong:8001`";
            reader.error("kong_admin.url", text);
            return None;
        };
        Some(KongAdmin {
            url,
            token,
            timeout_ms,
            service,
            global_credentials,
        })
    }
}

fn base(text: &str) -> Result<Url, String> {
    let url = http_url(text)?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err("has a query or a fragment; write the Admin API's URL without them".to_owned());
    }
    Ok(url)
}

fn admin_token(text: &str) -> Result<Secret, String> {
    if text.trim_ascii().is_empty() {
        return Err("is empty; write the token, or remove it".to_owned());
    }
    header_value(text)?;
    Ok(Secret::new(text))
}

/// A UUID (RFC 9562 section 4): Kong's tokens name their service by its id, never by its name.
fn service_id(text: &str) -> Result<String, String> {
    let groups: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    let is_hex = |group: &&str| group.bytes().all(|byte| byte.is_ascii_hexdigit());
    if lengths == [8, 4, 4, 4, 12] && groups.iter().all(is_hex) {
        Ok(text.to_ascii_lowercase())
    } else {
        Err("is not the id of a Kong service; write its `id`, a UUID, not its name".to_owned())
    }
}
