//! The demo: the files in `envoy/` as a user gets them, with a real Envoy and a real Keycloak. `make run` starts it on
//! [`Ports::USUAL`], which are those of the files; tests start it on others.

use std::fs;
use std::time::Duration;

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::envoy::{Envoy, login_config};
use crate::keycloak::{Keycloak, demo_realm};
use crate::ports;
use crate::process::{Service, StartError};

/// Who can log in.
pub const USER: &str = "alex";
/// The password of [`USER`].
pub const PASSWORD: &str = "doe";
/// The variable of Envoy's environment from which the filter takes what seals its cookies.
pub const SESSION_SECRET: &str = "SESSION_SECRET";
/// The website, from the root of the repository.
pub const WEBSITE: &str = "envoy/echo.py";
/// Where the files name the module, from the root of the repository.
const MODULE: &str = "dist/oidc-filter.wasm";

const START: Duration = Duration::from_secs(30);

/// Where everything listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// Envoy's listener.
    pub gateway: u16,
    /// Keycloak.
    pub keycloak: u16,
    /// The website.
    pub website: u16,
    /// Envoy's admin interface.
    pub admin: u16,
}

impl Ports {
    /// Those that the files in `envoy/` name.
    pub const USUAL: Self = Self {
        gateway: 8000,
        keycloak: 8180,
        website: 8080,
        admin: 9901,
    };

    /// Ports that nobody uses.
    ///
    /// # Panics
    /// As for [`ports::free`].
    #[must_use]
    pub fn free() -> Self {
        Self {
            gateway: ports::free(),
            keycloak: ports::free(),
            website: ports::free(),
            admin: ports::free(),
        }
    }

    fn all(self) -> [u16; 4] {
        [self.gateway, self.keycloak, self.website, self.admin]
    }

    /// What stands here instead of a usual port.
    fn instead_of(self, usual: u64) -> Option<u16> {
        let mut pairs = Self::USUAL.all().into_iter().zip(self.all());
        pairs
            .find(|(own, _)| u64::from(*own) == usual)
            .map(|(_, port)| port)
    }

    /// The website as browsers reach it: by a name that is another site than the provider's, as it is in real life.
    #[must_use]
    pub fn url(self) -> String {
        format!("http://localhost:{}/", self.gateway)
    }
}

/// The example of this flow, `envoy/<flow>.yaml`, as JSON.
///
/// # Panics
/// When there is none, or it is no YAML.
#[must_use]
pub fn example(flow: &str) -> Value {
    let file = crate::workspace().join(format!("envoy/{flow}.yaml"));
    let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{flow}: {error}"));
    serde_yaml_ng::from_str(&text).unwrap_or_else(|error| panic!("{flow}: {error}"))
}

/// A configuration of `envoy/` with these ports and the module under test; all else as it is.
///
/// # Errors
/// When the file has a port that is none of the demo's, or lacks one of them: then it is no longer what the demo takes it for.
pub fn adapted(file: &Value, ports: Ports) -> Result<Value, String> {
    let mut bootstrap = file.clone();
    let mut found = Vec::new();
    replace(&mut bootstrap, ports, &mut found)?;
    for usual in Ports::USUAL.all() {
        if !found.contains(&u64::from(usual)) {
            return Err(format!("the configuration has no port {usual}"));
        }
    }
    Ok(bootstrap)
}

fn replace(value: &mut Value, ports: Ports, found: &mut Vec<u64>) -> Result<(), String> {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                if name != "port_value" {
                    replace(member, ports, found)?;
                    continue;
                }
                let usual = member.as_u64().unwrap_or(0);
                let port = ports.instead_of(usual);
                *member = port
                    .ok_or_else(|| format!("the configuration has port {usual}"))?
                    .into();
                found.push(usual);
            }
        }
        Value::Array(items) => {
            for item in items {
                replace(item, ports, found)?;
            }
        }
        Value::String(text) if text == MODULE => {
            *text = crate::module().to_string_lossy().into_owned();
        }
        Value::String(text) => {
            *text = text
                .replace(&provider_url(Ports::USUAL), &provider_url(ports))
                .replace(&Ports::USUAL.url(), &ports.url());
        }
        _ => {}
    }
    Ok(())
}

fn provider_url(ports: Ports) -> String {
    format!("http://127.0.0.1:{}/", ports.keycloak)
}

/// `envoy/realm.json` for a gateway on this port.
#[must_use]
pub fn realm(ports: Ports) -> Value {
    let mut realm = demo_realm();
    for client in realm["clients"].as_array_mut().into_iter().flatten() {
        // A program that never sends browsers anywhere has none.
        if client["redirectUris"].is_array() {
            client["redirectUris"] = redirects(ports).into();
        }
    }
    realm
}

/// Where the provider may send browsers.
#[must_use]
pub fn redirects(ports: Ports) -> Vec<String> {
    let of = |host: &str| format!("http://{host}:{}/*", ports.gateway);
    vec![of("localhost"), of("127.0.0.1")]
}

/// Starts Keycloak with the demo's realm.
///
/// # Errors
/// As for [`Keycloak::start`].
pub fn keycloak(ports: Ports) -> Result<Keycloak, StartError> {
    Keycloak::start(&[realm(ports)], ports.keycloak)
}

/// Starts the website.
///
/// # Errors
/// When it ends or does not listen in time.
pub fn website(ports: Ports) -> Result<Service, StartError> {
    let mut website = Service::command("website", "python3")
        .arg(crate::workspace().join(WEBSITE))
        .arg(ports.website.to_string())
        .spawn()
        .map_err(|error| StartError::broken("website", &error))?;
    website.wait_for_port(ports.website, START)?;
    Ok(website)
}

/// Starts Envoy with `envoy/authorization-code.yaml` and a session secret that nobody knows.
///
/// # Errors
/// As for [`Envoy::try_start`].
///
/// # Panics
/// When the file is not what [`adapted`] expects, or the machine has no random numbers.
pub fn gateway(ports: Ports) -> Result<Envoy, StartError> {
    let bootstrap = adapted(&login_config(), ports).expect("envoy/authorization-code.yaml");
    let mut secret = [0; 32];
    SystemRandom::new()
        .fill(&mut secret)
        .expect("random numbers");
    let secret = BASE64_STANDARD.encode(secret);
    let env = [(SESSION_SECRET, secret.as_str())];
    Envoy::from_bootstrap_with(&bootstrap, ports.gateway, ports.admin, &env)
}

/// The demo's client as the realm has it.
///
/// # Panics
/// When the realm has no such client.
#[must_use]
pub fn client() -> Value {
    let realm = demo_realm();
    let clients = realm["clients"].as_array();
    let mut clients = clients.into_iter().flatten();
    let found = clients.find(|client| client["clientId"] == json!(crate::keycloak::CLIENT));
    found.expect("the demo's client").clone()
}
