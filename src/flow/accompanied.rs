//! An ID token that the client shows beside its access token (specification section 3): it tells more of the
//! person, and never lets anybody in by itself.

use std::rc::Rc;

use serde_json::Value;

use super::Credential;
use super::authorization_code::client_id;
use super::given::verified_id_token;
use super::search::IdToken;
use super::session::claims_of;
use super::worth::jwk_of;
use crate::authz::Admission;
use crate::config::Fact;
use crate::failure::Refusal;
use crate::host::Host;
use crate::http::Request;
use crate::oauth::claims::Issuers;
use crate::oauth::id_token::IdTokenRules;
use crate::oauth::same_secret;
use crate::policy::Policy;
use crate::upstream::{Edits, Identity, Told};

/// Adds to what an access token came to what the ID token beside it says. One that is no good, or belongs to
/// another access token, ends the request: whoever shows it wants it to count.
pub async fn accompany(
    policy: &Rc<Policy>,
    host: &Rc<dyn Host>,
    request: &Request,
    credential: &Credential<'_>,
    id_token: &IdToken,
    outcome: Result<(Admission, Edits), Refusal>,
) -> Result<(Admission, Edits), Refusal> {
    let (admission, mut edits) = outcome?;
    let config = &policy.config;
    let client = policy.client(request);
    let keys = policy.provider.keys(host).await?;
    let issuer = keys.metadata.issuer.as_deref();
    let rules = IdTokenRules {
        issuers: Issuers::of(config, issuer),
        client_id: client_id(client),
        // Whose login it was nobody here knows.
        nonce: None,
        access_token: Some(&credential.token),
        code: None,
        state: None,
        max_age: config.verification.max_age,
        leeway: config.verification.leeway,
        domains: &config.verification.domains,
    };
    let text = id_token.token.expose();
    // A client's word is never taken without a signature (`ignore_signature` is about what providers give).
    let claims = verified_id_token(policy, host, client, &[], text, &rules).await?;
    if !belongs_to(&claims, &credential.token) {
        return Err(Refusal::bad_credential(
            "id_token_unrelated",
            "the ID token has no `at_hash`, and its `sub` is not that of the access token: it may be somebody else's",
        ));
    }
    let told = told(policy, &**host, &claims, text);
    edits.add(told.upstream);
    edits.downstream.add(told.downstream);
    if config.methods.hide_credentials {
        edits.hide_as_well(request, &credential.place, &id_token.place);
    }
    Ok((admission, edits))
}

/// Whether an ID token is about whoever the access token is about. Its `at_hash` was compared before, where it
/// has one (OpenID Connect Core 1.0 section 3.1.3.6). Else both must name the same person: with an access token of
/// one's own and an ID token of somebody else one would be two people.
fn belongs_to(claims: &Value, access_token: &str) -> bool {
    if claims.get("at_hash").is_some() {
        return true;
    }
    let sub = |claims: &Value| claims.get("sub")?.as_str().map(str::to_owned);
    match (sub(claims), claims_of(access_token).as_ref().and_then(sub)) {
        (Some(own), Some(other)) => same_secret(&own, &other),
        _ => false,
    }
}

fn told(policy: &Policy, host: &dyn Host, claims: &Value, text: &str) -> Told {
    let identity = Identity {
        id: Some(claims),
        ..Identity::default()
    };
    Told::of(identity, &policy.config, &|fact| match fact {
        Fact::IdToken => Some(text.to_owned()),
        Fact::IdTokenJwk => jwk_of(policy, host, text),
        _ => None,
    })
}
