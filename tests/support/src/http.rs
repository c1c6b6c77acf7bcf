//! The few plain HTTP calls that the harness itself makes: readiness, Envoy's admin interface, Keycloak.

use std::sync::OnceLock;
use std::time::Duration;

use ureq::Agent;
use ureq::http::{Request, header::CONTENT_TYPE};

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Body, bytes that are no UTF-8 replaced.
    pub body: String,
}

impl Answer {
    /// The body as JSON; null where it is none.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

fn agent() -> &'static Agent {
    static AGENT: OnceLock<Agent> = OnceLock::new();
    AGENT.get_or_init(|| {
        Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .timeout_global(Some(Duration::from_secs(30)))
            // A server that was restarted on the same port must not meet a connection of its predecessor.
            .max_idle_connections(0)
            .build()
            .into()
    })
}

/// Sends a request with a body of any type; `body` empty means none.
///
/// # Errors
/// When no answer comes.
pub fn send(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Result<Answer, ureq::Error> {
    let mut request = Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut answer = if body.is_empty() {
        agent().run(request.body(())?)?
    } else {
        agent().run(request.body(body)?)?
    };
    let status = answer.status().as_u16();
    let bytes = answer
        .body_mut()
        .with_config()
        .limit(256 * 1024 * 1024)
        .read_to_vec()?;
    Ok(Answer {
        status,
        body: String::from_utf8_lossy(&bytes).into_owned(),
    })
}

/// GET.
///
/// # Errors
/// When no answer comes.
pub fn get(url: &str) -> Result<Answer, ureq::Error> {
    send("GET", url, &[], "")
}

/// POST of a form.
///
/// # Errors
/// When no answer comes.
pub fn post_form(url: &str, fields: &[(&str, &str)]) -> Result<Answer, ureq::Error> {
    let body = fields
        .iter()
        .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
        .collect::<Vec<_>>()
        .join("&");
    send(
        "POST",
        url,
        &[(CONTENT_TYPE.as_str(), "application/x-www-form-urlencoded")],
        &body,
    )
}

fn encode(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}
