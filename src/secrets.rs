//! The secrets of one policy: the keyring that seals its cookies, and the random numbers of its logins.

use std::cell::OnceCell;
use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::config::{Config, Secret};
use crate::failure::Refusal;
use crate::host::{Host, Level, SharedError};
use crate::http::Request;
use crate::session::Keyring;

/// Where all workers find the secret that one of them made.
const SHARED_KEY: &str = "oidc-filter session secret";

/// Made on first need: never while the configuration is read, whose outcome must not depend on it.
#[derive(Default)]
pub struct Secrets {
    keyring: OnceCell<Rc<Keyring>>,
}

impl Secrets {
    /// The keyring: over `session_secret`, or over one that is made once for all workers of this host
    /// and kept in its shared data until it ends.
    pub fn keyring(&self, config: &Config, host: &dyn Host) -> Result<Rc<Keyring>, Refusal> {
        if let Some(keyring) = self.keyring.get() {
            return Ok(keyring.clone());
        }
        let secret = match &config.session.secret {
            Some(secret) => secret.clone(),
            None => generated(host)?,
        };
        let keyring = Rc::new(Keyring::new(&secret, &config.session.previous_secrets));
        Ok(self.keyring.get_or_init(|| keyring).clone())
    }

    /// Fills `out` with bytes that nobody else can predict: the host's own where they are good, and a
    /// stream of the secret's over time, request and a counter in any case.
    pub fn random(
        &self,
        config: &Config,
        host: &dyn Host,
        request: &Request,
        out: &mut [u8],
    ) -> Result<(), Refusal> {
        let keyring = self.keyring(config, host)?;
        let mut fresh = [0; 32];
        // Where the host has none, the secret and what differs between requests must do.
        let _ = host.random(&mut fresh);
        let now = host.now().0.to_be_bytes();
        keyring.random(
            &[
                &fresh,
                &now,
                request.id().as_bytes(),
                host.request_mark().as_bytes(),
            ],
            out,
        );
        Ok(())
    }

    /// A nonce for one seal.
    pub fn nonce(
        &self,
        config: &Config,
        host: &dyn Host,
        request: &Request,
    ) -> Result<[u8; 12], Refusal> {
        let mut nonce = [0; 12];
        self.random(config, host, request, &mut nonce)?;
        Ok(nonce)
    }

    /// A random text of 128 bits.
    pub fn text(
        &self,
        config: &Config,
        host: &dyn Host,
        request: &Request,
    ) -> Result<String, Refusal> {
        let mut bytes = [0; 16];
        self.random(config, host, request, &mut bytes)?;
        Ok(URL_SAFE_NO_PAD.encode(bytes))
    }
}

/// The secret that the first worker who needs one makes for all.
fn generated(host: &dyn Host) -> Result<Secret, Refusal> {
    let failed = |reason: &str| Refusal::unexpected("no_session_secret", reason);
    if let Some((secret, _)) = host.shared_get(SHARED_KEY) {
        return read(&secret).ok_or_else(|| failed("the shared secret is unreadable"));
    }
    let mut fresh = [0; 32];
    host.random(&mut fresh)
        .map_err(|_| failed("this host has no random numbers; set `session_secret`"))?;
    let fresh = URL_SAFE_NO_PAD.encode(fresh);
    match host.shared_set(SHARED_KEY, fresh.as_bytes(), None) {
        Ok(()) => {
            host.log(
                Level::Warn,
                "oidc-filter: session_secret_made: `session_secret` is not set; the one made now ends with \
                 this process: a restart logs everybody out, and replicas do not know each other's sessions",
            );
            Ok(Secret::new(fresh))
        }
        // Another worker was faster: its secret is everybody's.
        Err(SharedError::Changed) => host
            .shared_get(SHARED_KEY)
            .and_then(|(secret, _)| read(&secret))
            .ok_or_else(|| failed("the shared secret is unreadable")),
        Err(SharedError::Unavailable) => {
            Err(failed("this host shares no data; set `session_secret`"))
        }
    }
}

fn read(bytes: &[u8]) -> Option<Secret> {
    let text = std::str::from_utf8(bytes)
        .ok()
        .filter(|text| text.len() == 43)?;
    Some(Secret::new(text.to_owned()))
}
