//! What the token endpoint gave: verified (OpenID Connect Core section 3.1.3.7), and made a session.

use std::rc::Rc;

use serde_json::Value;

use super::authorization_code::client_id;
use super::session::{claims_of, end_of};
use super::token::{verified_claims, verify_given_access_token};
use crate::config::{AuthMethod, Client, Secret};
use crate::failure::Refusal;
use crate::host::{Host, Time};
use crate::jose::Jws;
use crate::oauth::claims::Issuers;
use crate::oauth::id_token::{self, IdTokenRules};
use crate::oauth::token::TokenAnswer;
use crate::policy::Policy;
use crate::provider::KeySet;
use crate::session::Session;

/// Tokens, and what they are held against.
pub struct Given<'a> {
    /// What came.
    pub tokens: &'a TokenAnswer,
    /// When it came.
    pub received: Time,
    /// For which method.
    pub method: AuthMethod,
    /// Which of our clients the session will be of.
    pub client: &'a Client,
    /// The client that an ID token must be for: ours, or the caller's own.
    pub audience: &'a str,
    /// What an ID token must repeat, after a login.
    pub nonce: Option<&'a str>,
    /// The code that was redeemed.
    pub code: Option<&'a str>,
}

impl Given<'_> {
    /// A session that has not begun ([`Session::begin`]), of tokens that are good.
    pub async fn session(
        &self,
        policy: &Rc<Policy>,
        host: &Rc<dyn Host>,
        keys: &KeySet,
    ) -> Result<Session, Refusal> {
        let (tokens, config) = (self.tokens, &policy.config);
        let by = [self.method];
        let issuer = keys.metadata.issuer.as_deref();
        let access = tokens.access_token.expose();
        let id_token = tokens.id_token.as_ref().map(Secret::expose);
        let id_claims = match id_token {
            Some(text) => {
                let rules = IdTokenRules {
                    issuers: Issuers::of(config, issuer),
                    client_id: self.audience,
                    nonce: self.nonce,
                    access_token: Some(access),
                    code: self.code,
                    state: None,
                    max_age: config.verification.max_age,
                    leeway: config.verification.leeway,
                    domains: &config.verification.domains,
                };
                Some(verified_id_token(policy, host, self.client, &by, text, &rules).await?)
            }
            None => None,
        };
        verify_given_access_token(policy, host, self.client, &by, access, issuer).await?;
        let claims = id_claims.or_else(|| claims_of(access));
        let claim = |name: &str| {
            let value = claims
                .as_ref()
                .and_then(|claims| claims.get(name)?.as_str());
            value.map(str::to_owned)
        };
        let auth_time = claims.as_ref().and_then(|claims| claims.get("auth_time"));
        Ok(Session {
            method: self.method.name().to_owned(),
            client_id: client_id(self.client).to_owned(),
            // An opaque token names nobody: the endpoint that gave it is the provider's.
            issuer: claim("iss")
                .or(issuer.map(str::to_owned))
                .unwrap_or_else(|| config.provider.issuer.identifier.clone()),
            by_secret: id_token.is_some_and(|token| is_by_secret(policy, &by, token)),
            subject: claim("sub").unwrap_or_default(),
            sid: claim("sid"),
            acr: claim("acr"),
            auth_time: auth_time.and_then(Value::as_u64),
            scope: tokens.scope.clone(),
            access_token: Some(access.to_owned()),
            access_expires: end_of(access, tokens.expires_in, self.received),
            id_token: id_token.map(str::to_owned),
            refresh_token: tokens
                .refresh_token
                .as_ref()
                .map(|token| token.expose().to_owned()),
            ..Session::default()
        })
    }
}

/// The claims of an ID token whose signature and claims are good.
pub async fn verified_id_token(
    policy: &Rc<Policy>,
    host: &Rc<dyn Host>,
    client: &Client,
    by: &[AuthMethod],
    text: &str,
    rules: &IdTokenRules<'_>,
) -> Result<Value, Refusal> {
    let jws = Jws::parse(text)
        .map_err(|error| Refusal::bad_credential(error.code(), error.to_string()))?;
    let claims = verified_claims(policy, host, client, by, &jws).await?;
    id_token::check_claims(&jws, &claims, rules, host.now())?;
    Ok(claims)
}

/// Whether it is the client's secret that vouches for this token, and no key of the provider's.
pub fn is_by_secret(policy: &Policy, by: &[AuthMethod], token: &str) -> bool {
    !policy.config.verification.ignores_signature(by)
        && Jws::parse(token).is_ok_and(|jws| jws.header.alg.is_symmetric())
}
