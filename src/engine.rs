//! The order of steps for one request (specification section 2), readable from top to bottom.
//!
//! Each step is a line of [`begin`] or of [`decide`]; the code of a step stands in its own room.

use std::rc::Rc;

use crate::authz::{self, Admission, Basis, Facts};
use crate::failure::{Kind, Refusal};
use crate::flow::bearer;
use crate::host::{Counter, Host, Level, Task};
use crate::http::{Request, Response};
use crate::policy::Policy;
use crate::upstream::Edits;

pub use crate::failure::unexpected;

/// What becomes of a request.
pub enum Decision {
    /// It goes on, with this proof and these changes.
    Forward(Admission, Edits),
    /// It is answered here.
    Reply(Response),
}

/// How far a decision came without waiting.
pub enum Step {
    /// Decided at once.
    Done(Decision),
    /// Something has to be waited for.
    Later(Task<Decision>),
}

/// Begins to decide on a request: the steps that need nobody's answer, the hot path among them.
///
/// `host` serves what is done here; `own` makes the door that the waiting part keeps.
pub fn begin(
    policy: &Rc<Policy>,
    request: Request,
    host: &dyn Host,
    own: &dyn Fn() -> Rc<dyn Host>,
) -> Step {
    // Step 0 is the table of our own fixed paths and the callback: this version has none of them.
    if request.target().is_none() {
        // CONNECT, or a request without a path: nobody's route, so nobody's credential.
        let refusal = Refusal::new(Kind::NoCredential, "no_target", "the request has no path");
        return Step::Done(refuse(policy, host, &request, &refusal));
    }
    if let Some(decision) = preflight(policy, host, &request) {
        return Step::Done(decision);
    }
    let Some(credential) = bearer::find(&policy.config, &request) else {
        let refusal = Refusal::new(
            Kind::NoCredential,
            "no_credential",
            "no credential was shown",
        );
        return Step::Done(refuse(policy, host, &request, &refusal));
    };
    if let Some(outcome) = bearer::from_cache(policy, host, &request, &credential) {
        return Step::Done(conclude(policy, host, &request, outcome));
    }
    let credential = credential.into_owned();
    Step::Later(Box::pin(decide(policy.clone(), own(), request, credential)))
}

/// The rest of the steps, for a credential that is not known yet.
async fn decide(
    policy: Rc<Policy>,
    host: Rc<dyn Host>,
    request: Request,
    credential: crate::flow::Credential<'static>,
) -> Decision {
    let outcome = bearer::authenticate(&policy, &host, &request, &credential).await;
    conclude(&policy, &*host, &request, outcome)
}

/// A cross-origin preflight, where `run_on_preflight` is off (decision C25).
fn preflight(policy: &Policy, host: &dyn Host, request: &Request) -> Option<Decision> {
    if policy.config.methods.run_on_preflight || !request.is_preflight() {
        return None;
    }
    let facts = Facts {
        request,
        keys: None,
    };
    let outcome =
        authz::admit(&Basis::Preflight, &facts, &policy.config, host.now()).and_then(|admission| {
            let edits = Edits::anonymous(request, &policy.names, host.abilities())?;
            Ok((admission, edits))
        });
    Some(conclude(policy, host, request, outcome))
}

fn conclude(
    policy: &Policy,
    host: &dyn Host,
    request: &Request,
    outcome: Result<(Admission, Edits), Refusal>,
) -> Decision {
    match outcome {
        Ok((admission, edits)) => {
            host.count(Counter::Forwarded);
            Decision::Forward(admission, edits)
        }
        Err(refusal) => refuse(policy, host, request, &refusal),
    }
}

/// Every refusal is explained to the operator, and not to the stranger.
fn refuse(policy: &Policy, host: &dyn Host, request: &Request, refusal: &Refusal) -> Decision {
    let (counter, level) = match refusal.kind {
        Kind::NoCredential | Kind::BadCredential | Kind::BadRequest => {
            (Counter::Unauthorized, Level::Info)
        }
        Kind::Forbidden => (Counter::Forbidden, Level::Info),
        Kind::Unexpected => (Counter::Unexpected, Level::Error),
    };
    host.count(counter);
    if host.logs(level) {
        let line = format!(
            "oidc-filter: {}: {} (request {})",
            refusal.code,
            refusal.reason,
            request.id()
        );
        host.log(level, &line);
    }
    Decision::Reply(refusal.answer(&policy.config, request))
}
