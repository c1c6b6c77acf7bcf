//! The tokens of a session, verified once more (row L `reverify`): with the keys that the provider has now, by
//! the rules that are in force now. A key that was withdrawn ends its sessions at once.

use std::rc::Rc;

use super::refresh::ways_of;
use super::token::{check_issuer, verified_claims, verify_given_access_token};
use crate::failure::Refusal;
use crate::host::Host;
use crate::jose::Jws;
use crate::policy::Policy;
use crate::session::Session;

/// Whether the tokens of this session are good still: signatures, `iss`, and the access token's times. An ID
/// token's `exp` says until when a login may be begun with it, not how long the session lasts.
pub async fn tokens(
    policy: &Rc<Policy>,
    host: &Rc<dyn Host>,
    session: &Session,
) -> Result<(), Refusal> {
    let keys = policy.provider.keys(host).await?;
    let issuer = keys.metadata.issuer.as_deref();
    let client = policy.client_of(session);
    let by = ways_of(session);
    if let Some(text) = &session.access_token {
        verify_given_access_token(policy, host, client, &by, text, issuer).await?;
    }
    if let Some(text) = &session.id_token {
        let jws = Jws::parse(text)
            .map_err(|error| Refusal::bad_credential(error.code(), error.to_string()))?;
        let claims = verified_claims(policy, host, client, &by, &jws).await?;
        check_issuer(&claims, &policy.config, issuer)?;
    }
    Ok(())
}
