//! What the operator learns of one request: in the access log, and in counters (docs/operating.md).

use std::rc::Rc;

use serde_json::Value;

use crate::config::AuthMethod;
use crate::http::strip_controls;

/// The longest name that is told, in bytes: access logs are lines.
const LONGEST: usize = 256;

/// Who showed a credential, as far as it was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    /// The way in.
    pub method: AuthMethod,
    /// The subject (`sub`).
    pub subject: Option<String>,
    /// The client that the credential was given to (`azp`, or `client_id`).
    pub client: Option<String>,
}

impl Who {
    /// Whom these claims are about.
    pub fn of(method: AuthMethod, claims: &Value) -> Rc<Who> {
        let claim = |name: &str| claims.get(name).and_then(Value::as_str).and_then(shown);
        Rc::new(Who {
            method,
            subject: claim("sub"),
            client: claim("azp").or_else(|| claim("client_id")),
        })
    }

    /// How many bytes it takes.
    pub fn bytes(&self) -> usize {
        let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        length(&self.subject).saturating_add(length(&self.client))
    }
}

/// A text that is fit for a line: no control characters, and not too long.
pub fn shown(text: &str) -> Option<String> {
    let bare = String::from_utf8(strip_controls(text.as_bytes())).ok()?;
    let mut short = String::new();
    for letter in bare.chars() {
        if short.len().saturating_add(letter.len_utf8()) > LONGEST {
            break;
        }
        short.push(letter);
    }
    (!short.is_empty()).then_some(short)
}

/// What became of one request, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// The stable code of what became of it: `forwarded`, or the code of a refusal; empty while it is open.
    pub code: &'static str,
    /// The way in that decided, where one was tried.
    pub method: Option<AuthMethod>,
    /// Who it was, where that is known.
    pub who: Option<Rc<Who>>,
}

impl Account {
    /// The names and values that the host keeps for its access log; what is not known is left out.
    pub fn told(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let who = self.who.as_deref();
        let code = Some(self.code).filter(|code| !code.is_empty());
        let told = [
            ("oidc_code", code),
            ("oidc_method", self.method.map(AuthMethod::name)),
            ("oidc_subject", who.and_then(|who| who.subject.as_deref())),
            ("oidc_client", who.and_then(|who| who.client.as_deref())),
        ];
        told.into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
    }
}
