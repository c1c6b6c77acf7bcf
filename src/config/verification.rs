//! What a token must be before anybody looks at what it says.

use super::client::Clients;
use super::methods::AuthMethod;
use super::reader::Reader;
use super::secret::Secret;

/// How tokens are verified (row L).
///
/// Row L `verify_signature` is no member: the signature of a bearer token is always verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verification {
    /// Row L `enable_hs_signatures`, default off: the key of HS256, HS384 and HS512 signatures, which
    /// is the first `client_secret`. `None`: such signatures are refused.
    pub hs_secret: Option<Secret>,
    /// Row L `verify_claims`, default true. False skips one comparison only, that of `iss` with the
    /// discovered issuer; `exp`, `nbf` and `issuers_allowed` are always in force.
    pub verify_claims: bool,
    /// Row L `leeway`, seconds, default 0: the clocks' tolerated difference for `exp`, `nbf`, `iat`
    /// and `auth_time`.
    pub leeway: u64,
    /// Row L `max_age`, seconds: the greatest age by `auth_time`. `None`: any.
    pub max_age: Option<u64>,
    /// Row L `domains`: accepted values of `hd`; a missing one is refused. Empty: no check.
    pub domains: Vec<String>,
    /// Row L `claims_forbidden`: a token with one of these claims is refused.
    pub claims_forbidden: Vec<String>,
    /// Row L `ignore_signature`: the ways in whose tokens come straight from the provider, over TLS, and whose
    /// signatures are not verified. What a client shows is always verified. Empty: all are.
    pub ignore_signature: Vec<AuthMethod>,
    /// Row A `verify_parameters`, default false: what we ask of the provider must be among what it announces.
    pub parameters: bool,
    /// Row L `reverify`, default false: the tokens of a session are verified again on each request.
    pub reverify: bool,
}

/// RFC 7518 section 3.2: a key as long as the hash, here that of HS256.
const ADVISED_SECRET_BYTES: usize = 32;

impl Verification {
    /// Whether what one of these ways in brought from the provider counts without its signature.
    pub fn ignores_signature(&self, methods: &[AuthMethod]) -> bool {
        methods
            .iter()
            .any(|method| self.ignore_signature.contains(method))
    }

    pub(super) fn read(reader: &mut Reader, clients: &Clients) -> Verification {
        if !reader.flag("verify_signature") {
            let text = "false would let anybody in; not supported for bearer. Remove it";
            reader.error("verify_signature", text);
        }
        Verification {
            hs_secret: hs_secret(reader, clients),
            verify_claims: reader.flag("verify_claims"),
            leeway: reader.seconds("leeway").unwrap_or(0),
            max_age: reader.seconds("max_age"),
            domains: reader.restriction("domains"),
            claims_forbidden: reader.names("claims_forbidden"),
            ignore_signature: ignore_signature(reader),
            parameters: reader.flag("verify_parameters"),
            reverify: reader.flag("reverify"),
        }
    }
}

fn ignore_signature(reader: &mut Reader) -> Vec<AuthMethod> {
    let options = AuthMethod::ALL
        .map(|method| (method.name(), method))
        .into_iter()
        .filter(|(_, method)| !matches!(method, AuthMethod::Bearer | AuthMethod::KongOauth2));
    let ignored = reader
        .choices("ignore_signature", &options.collect::<Vec<_>>())
        .all();
    if !ignored.is_empty() {
        let text = "signatures are not verified for these; whoever stands between us and the provider can let anybody in";
        reader.warn("ignore_signature", text);
    }
    ignored
}

fn hs_secret(reader: &mut Reader, clients: &Clients) -> Option<Secret> {
    if !reader.flag("enable_hs_signatures") {
        return None;
    }
    let secret = &clients.first().secret;
    match secret.as_ref().map_or(0, |secret| secret.expose().len()) {
        0 | 1 => {
            let text = "needs a `client_secret` longer than one character: it is the key of these signatures";
            reader.error("enable_hs_signatures", text);
        }
        length if length < ADVISED_SECRET_BYTES => {
            let text = "the first `client_secret` has fewer than 32 bytes: a key that short can be guessed from one token";
            reader.warn("enable_hs_signatures", text);
        }
        _ => {}
    }
    secret.clone()
}
