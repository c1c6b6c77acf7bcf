//! The ways in, one file each.

pub mod accompanied;
mod after_login;
pub mod asked;
pub mod authorization_code;
pub mod bearer;
mod given;
pub mod judge;
pub mod kong_oauth2;
pub mod login;
pub mod logout;
pub mod more;
mod origin;
pub mod own_paths;
pub mod recent;
pub mod refresh;
mod reverify;
pub mod said;
pub mod search;
pub mod session;
mod token;
pub mod token_request;
mod worth;

use std::borrow::Cow;

use crate::authz::{self, Admission, Basis, Facts, Verdict};
use crate::failure::Refusal;
use crate::host::{Host, Time};
use crate::http::{Request, Response, strip_controls};
use crate::policy::Policy;
use crate::upstream::Edits;

/// What a way in came to.
pub enum Outcome {
    /// The request is answered here.
    Reply(Response),
    /// It goes on.
    Forward(Admission, Box<Edits>),
}

/// Lets a request go on by this verdict, or says why it may not. `credential` is the token that the
/// upstream gets, and where the client showed it.
fn pass(
    policy: &Policy,
    host: &dyn Host,
    facts: &Facts<'_>,
    credential: Option<&Credential<'_>>,
    verdict: &Verdict,
    now: Time,
) -> Result<(Admission, Edits), Refusal> {
    let admission = authz::admit(&Basis::Verdict(verdict), facts, &policy.config, now)
        .map_err(|refusal| refusal.about(&verdict.who))?;
    let mut edits = Edits::authenticated(
        facts.request,
        credential,
        &verdict.headers,
        &policy.config,
        &policy.names,
        host.abilities(),
    )?;
    edits.downstream.owned.clone_from(&policy.of_responses);
    edits.downstream.told.clone_from(&verdict.told);
    let for_client = policy.config.downstream.access_token_header.as_ref();
    if let Some((header, credential)) = for_client.zip(credential) {
        let value = strip_controls(&header.value(&credential.token));
        edits.downstream.headers.push((header.name.clone(), value));
    }
    edits.account.who = Some(verdict.who.clone());
    Ok((admission, edits))
}

/// The same by the word of somebody who was asked: no key of the provider's has to be there still.
fn pass_by_word(
    policy: &Policy,
    host: &dyn Host,
    request: &Request,
    credential: &Credential<'_>,
    verdict: &Verdict,
) -> Result<(Admission, Edits), Refusal> {
    let facts = Facts {
        request,
        keys: None,
    };
    pass(policy, host, &facts, Some(credential), verdict, host.now())
}

/// A credential that a request showed.
pub struct Credential<'a> {
    /// The token, without the word Bearer.
    pub token: Cow<'a, str>,
    /// Where it was found.
    pub place: Place,
}

impl Credential<'_> {
    /// The credential apart from the request it was found in.
    pub fn into_owned(self) -> Credential<'static> {
        Credential {
            token: Cow::Owned(self.token.into_owned()),
            place: self.place,
        }
    }
}

/// Where a credential was found, hence where it is hidden from the upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The header of this name, in lower case.
    Header(Cow<'static, str>),
    /// The query arguments of these names.
    Query(Vec<String>),
    /// The arguments of these names in the body.
    Body(Vec<String>),
    /// The cookie of this name.
    Cookie(String),
    /// In the session: its cookies never reach the upstream.
    Session,
}
