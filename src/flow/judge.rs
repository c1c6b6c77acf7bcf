//! Who judges a token that stands in the places of a bearer token.

use std::rc::Rc;

use super::more::is_jwt;
use super::said::Whom;
use super::{Credential, asked, bearer, kong_oauth2};
use crate::authz::Admission;
use crate::config::AuthMethod;
use crate::failure::Refusal;
use crate::host::Host;
use crate::http::Request;
use crate::kong_admin::ShownToken;
use crate::policy::Policy;
use crate::upstream::Edits;

/// Who judges a token.
#[derive(Clone, Copy)]
pub enum Judge {
    /// We do.
    Us,
    /// Kong does: it issued it.
    Kong,
    /// The provider does.
    Provider(Whom),
}

impl Judge {
    /// By the fixed precedence of the methods (specification section 3), each of which takes what may be its own:
    /// `bearer` a JWT, `kong_oauth2` what Kong may have issued, the others any token. Whatever is nobody's goes to
    /// the first of them, which says why it is no good.
    pub fn of(policy: &Policy, token: &str) -> Judge {
        let methods = &policy.config.methods;
        if methods.has(AuthMethod::Bearer) && is_jwt(token) {
            return Judge::Us;
        }
        if methods.has(AuthMethod::KongOauth2) && ShownToken::new(token).is_some() {
            return Judge::Kong;
        }
        match asked::whom(policy) {
            Some(whom) => Judge::Provider(whom),
            None if methods.has(AuthMethod::Bearer) => Judge::Us,
            None => Judge::Kong,
        }
    }

    /// The way in.
    pub fn method(self) -> AuthMethod {
        match self {
            Judge::Us => AuthMethod::Bearer,
            Judge::Kong => AuthMethod::KongOauth2,
            Judge::Provider(whom) => whom.method(),
        }
    }

    /// What is known of the token.
    pub fn known(
        self,
        policy: &Policy,
        host: &dyn Host,
        request: &Request,
        credential: &Credential<'_>,
    ) -> Option<Result<(Admission, Edits), Refusal>> {
        match self {
            Judge::Us => bearer::from_cache(policy, host, request, credential),
            Judge::Kong => kong_oauth2::from_cache(policy, host, request, credential),
            Judge::Provider(whom) => asked::from_cache(policy, host, request, credential, whom),
        }
    }

    /// What is to be found out about it.
    pub async fn find_out(
        self,
        policy: &Rc<Policy>,
        host: &Rc<dyn Host>,
        request: &Request,
        credential: &Credential<'_>,
    ) -> Result<(Admission, Edits), Refusal> {
        match self {
            Judge::Us => bearer::authenticate(policy, host, request, credential).await,
            Judge::Kong => kong_oauth2::authenticate(policy, host, request, credential).await,
            Judge::Provider(whom) => {
                asked::authenticate(policy, host, request, credential, whom).await
            }
        }
    }
}
