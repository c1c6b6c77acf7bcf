//! Who may pass: the only maker of an [`Admission`].
//!
//! A [`Verdict`] is what was found out about a token and may be cached. An [`Admission`] is the proof
//! that *this* request may go on, made anew for each one and never kept.

mod claims;

pub use claims::{claim, text_values};

use std::cell::Cell;
use std::rc::Rc;

use serde_json::Value;

use crate::account::Who;
use crate::config::Config;
use crate::failure::{Kind, Refusal};
use crate::host::Time;
use crate::http::{Pair, Request, cookie_values};
use crate::provider::KeySet;

/// The proof that one request may be forwarded. It cannot be made outside of this room, cannot be
/// copied, and the glue takes it by value.
#[derive(Debug)]
pub struct Admission {
    _made_here: (),
}

/// What a request is admitted on.
pub enum Basis<'a> {
    /// A verified credential.
    Verdict(&'a Verdict),
    /// A cross-origin preflight, where `run_on_preflight` is off.
    Preflight,
    /// A request of a route that is disabled.
    DisabledRoute,
}

/// What is known about a token, independent of the request that brought it.
pub struct Verdict {
    /// The earliest of the token's own end, its age rules and `cache_ttl_max`.
    pub valid_until: Time,
    /// The key that verified it; none for a shared secret (HS*).
    pub key: Option<KeyMark>,
    /// What the rules that depend on the token alone said.
    pub rules: Result<(), Refusal>,
    /// The value that the cookie `jwt_session_cookie` must have: judged on every request.
    pub session_cookie: Option<String>,
    /// The access token for the upstream, where the request itself does not show it: a session's.
    pub token: Option<Rc<str>>,
    /// Whom it is about, for the operator.
    pub who: Rc<Who>,
    /// The claim headers for the upstream, ready to be written.
    pub headers: Rc<[Pair]>,
    /// The same for the client; nothing where no field wants any.
    pub told: Option<Rc<[Pair]>>,
}

/// Which key verified a token, and in which key set it was last seen.
pub struct KeyMark {
    /// RFC 7638 thumbprint.
    pub thumbprint: [u8; 32],
    /// The generation of the key set that last held it.
    pub generation: Cell<u64>,
}

/// What is judged anew on every request.
pub struct Facts<'a> {
    /// The request.
    pub request: &'a Request,
    /// The provider's keys as they are now.
    pub keys: Option<&'a KeySet>,
}

/// Makes the proof that `facts.request` may go on, or says why it may not.
pub fn admit(
    basis: &Basis<'_>,
    facts: &Facts<'_>,
    config: &Config,
    now: Time,
) -> Result<Admission, Refusal> {
    match basis {
        Basis::Preflight => {
            if config.methods.run_on_preflight || !facts.request.is_preflight() {
                return Err(Refusal::new(
                    Kind::NoCredential,
                    "no_preflight",
                    "only a real preflight passes without a credential",
                ));
            }
        }
        Basis::DisabledRoute => {
            if !config.routes.disable(facts.request) {
                return Err(Refusal::new(
                    Kind::NoCredential,
                    "no_disabled_route",
                    "only the requests of a disabled route pass without a credential",
                ));
            }
        }
        Basis::Verdict(verdict) => {
            verdict.check_current(facts, now)?;
            verdict.rules.clone()?;
            verdict.check_session_cookie(facts.request, config)?;
        }
    }
    Ok(Admission { _made_here: () })
}

impl Verdict {
    /// Whether the token still counts: its time has not run out and its key was not withdrawn.
    pub fn check_current(&self, facts: &Facts<'_>, now: Time) -> Result<(), Refusal> {
        if now >= self.valid_until {
            return Err(Refusal::bad_credential(
                "token_expired",
                "the token has expired",
            ));
        }
        match (&self.key, facts.keys) {
            (None, _) => Ok(()),
            (Some(key), Some(keys)) if key.generation.get() == keys.generation => Ok(()),
            (Some(key), Some(keys)) if keys.holds(&key.thumbprint) => {
                key.generation.set(keys.generation);
                Ok(())
            }
            (Some(_), _) => Err(Refusal::bad_credential(
                "key_withdrawn",
                "the provider has withdrawn the key that signed this token",
            )),
        }
    }

    fn check_session_cookie(&self, request: &Request, config: &Config) -> Result<(), Refusal> {
        let (Some(binding), Some(expected)) = (&config.bearer.jwt_session, &self.session_cookie)
        else {
            return Ok(());
        };
        let name = &binding.cookie;
        let mut values = cookie_values(&request.headers, name);
        match (values.next(), values.next()) {
            (Some(value), None) if value == expected.as_bytes() => Ok(()),
            _ => Err(Refusal::bad_credential(
                "session_cookie_mismatch",
                format!("the cookie `{name}` does not belong to this token"),
            )),
        }
    }
}

/// The rules that depend on the token alone (specification section 8): answered once per token.
pub fn judge(claims: &Value, config: &Config) -> Result<(), Refusal> {
    let forbidden = |code, reason| Refusal::new(Kind::Forbidden, code, reason);
    if let Some(name) = config
        .verification
        .claims_forbidden
        .iter()
        .find(|name| claims.get(name.as_str()).is_some())
    {
        return Err(forbidden(
            "claim_forbidden",
            format!("the token has the claim `{name}`, which `claims_forbidden` names"),
        ));
    }
    if !config.verification.domains.is_empty() {
        // C21: a token without `hd` is of no domain.
        let domain = claims.get("hd").and_then(Value::as_str);
        if !domain.is_some_and(|domain| {
            config
                .verification
                .domains
                .iter()
                .any(|allowed| allowed == domain)
        }) {
            return Err(forbidden(
                "domain_not_allowed",
                "`hd` is in none of `domains`".to_owned(),
            ));
        }
    }
    let rules = [
        (
            "scopes_required",
            "insufficient_scope",
            &config.authorization.scopes,
        ),
        (
            "audience_required",
            "audience_not_allowed",
            &config.authorization.audience,
        ),
        (
            "groups_required",
            "group_missing",
            &config.authorization.groups,
        ),
        (
            "roles_required",
            "role_missing",
            &config.authorization.roles,
        ),
    ];
    for (field, code, rule) in rules {
        if !rule.is_met_by(claims) {
            return Err(forbidden(
                code,
                format!("`{}` meets no element of `{field}`", rule.path.join(".")),
            ));
        }
    }
    Ok(())
}
