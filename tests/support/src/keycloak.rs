//! A real Keycloak, with its data in memory.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::{Value, json};

use crate::process::{Service, StartError};
use crate::{http, ports};

/// Slow machines with cold disks need a while.
const START: Duration = Duration::from_secs(180);
const ADMIN: &str = "admin";

/// The realm of the demo: user `alex` with password `doe`, confidential client [`CLIENT`].
pub const REALM: &str = "demo";
/// The client of [`REALM`].
pub const CLIENT: &str = "kong";
/// The secret of [`CLIENT`].
pub const CLIENT_SECRET: &str = "a-secret-for-the-demo-only";

/// Another client of [`REALM`], a program, and its secret.
pub const ROBOT: (&str, &str) = ("robot", "a-secret-of-the-robot");

const REALM_FILE: &str = include_str!("../../../envoy/realm.json");

/// `envoy/realm.json`.
///
/// # Panics
/// When the file is no JSON.
#[must_use]
pub fn demo_realm() -> Value {
    serde_json::from_str(REALM_FILE).expect("envoy/realm.json is JSON")
}

/// A running Keycloak.
pub struct Keycloak {
    // Ends before its folder goes.
    service: Service,
    folder: PathBuf,
    port: u16,
}

impl Keycloak {
    /// The one of this test process, with the realm of the demo; started on first use. Any `redirect_uri` is good there,
    /// since gateways of tests are on any port.
    ///
    /// # Panics
    /// With its log, when it does not start.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Keycloak> = OnceLock::new();
        SHARED.get_or_init(|| {
            let mut realm = demo_realm();
            for client in realm["clients"].as_array_mut().into_iter().flatten() {
                client["redirectUris"] = json!(["*"]);
            }
            Self::start(&[realm], ports::free()).unwrap_or_else(|error| panic!("{error}"))
        })
    }

    /// Starts Keycloak with these realms and waits until they answer (about 20 s).
    ///
    /// # Errors
    /// When it ends or does not answer in time.
    pub fn start(realms: &[Value], port: u16) -> Result<Self, StartError> {
        Self::start_with(realms, port, &[])
    }

    /// The same with further options of `kc.sh start`.
    ///
    /// # Errors
    /// As for [`Keycloak::start`].
    pub fn start_with(realms: &[Value], port: u16, args: &[&str]) -> Result<Self, StartError> {
        let folder = instance(realms).map_err(|error| StartError::broken("keycloak", &error))?;
        let service = Service::command("keycloak", folder.join("bin/kc.sh"))
            .args(["start", "--optimized", "--import-realm"])
            .args([
                "--http-enabled=true",
                "--http-host=127.0.0.1",
                "--hostname-strict=false",
            ])
            .arg(format!("--http-port={port}"))
            .arg(format!("--http-management-port={}", ports::free()))
            .args(args)
            .env("KC_BOOTSTRAP_ADMIN_USERNAME", ADMIN)
            .env("KC_BOOTSTRAP_ADMIN_PASSWORD", ADMIN)
            // Starts are what counts here, not the speed in the long run.
            .env("JAVA_OPTS_APPEND", "-XX:TieredStopAtLevel=1")
            .stop_with_term()
            .spawn()
            .map_err(|error| StartError::broken("keycloak", &error))?;
        let mut keycloak = Self {
            service,
            folder,
            port,
        };
        let mut urls: Vec<String> = realms
            .iter()
            .filter_map(|realm| realm["realm"].as_str())
            .map(|realm| keycloak.discovery(realm))
            .collect();
        urls.push(keycloak.discovery("master"));
        for url in urls {
            keycloak.service.wait_for_url(&url, START)?;
        }
        Ok(keycloak)
    }

    /// `http://127.0.0.1:<port>`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Where it listens, for Envoy's cluster.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    /// The issuer of a realm.
    #[must_use]
    pub fn issuer(&self, realm: &str) -> String {
        format!("{}/realms/{realm}", self.url())
    }

    fn discovery(&self, realm: &str) -> String {
        format!("{}/.well-known/openid-configuration", self.issuer(realm))
    }

    /// An endpoint of a realm: `token`, `introspect`, `logout`, `certs`, `userinfo` ...
    #[must_use]
    pub fn endpoint(&self, realm: &str, name: &str) -> String {
        let name = if name == "introspect" {
            "token/introspect"
        } else {
            name
        };
        format!("{}/protocol/openid-connect/{name}", self.issuer(realm))
    }

    /// POST to the token endpoint; gives the whole answer (`access_token`, `refresh_token`, `id_token`, or `error`).
    ///
    /// # Panics
    /// When Keycloak does not answer.
    #[must_use]
    pub fn token(&self, realm: &str, fields: &[(&str, &str)]) -> Value {
        http::post_form(&self.endpoint(realm, "token"), fields)
            .unwrap_or_else(|error| panic!("{error}\n{}", self.logs()))
            .json()
    }

    /// An access token of the demo's client for a user of the demo's realm.
    ///
    /// # Panics
    /// When Keycloak refuses.
    #[must_use]
    pub fn password_token(&self, user: &str, password: &str) -> String {
        access_token(&self.token(
            REALM,
            &[
                ("grant_type", "password"),
                ("client_id", CLIENT),
                ("client_secret", CLIENT_SECRET),
                ("username", user),
                ("password", password),
                ("scope", "openid profile email"),
            ],
        ))
    }

    /// An access token of the demo's client for itself.
    ///
    /// # Panics
    /// When Keycloak refuses.
    #[must_use]
    pub fn client_token(&self) -> String {
        access_token(&self.token(
            REALM,
            &[
                ("grant_type", "client_credentials"),
                ("client_id", CLIENT),
                ("client_secret", CLIENT_SECRET),
            ],
        ))
    }

    /// A request to the Admin REST API; `path` begins after `/admin`, `body` null means none.
    ///
    /// # Panics
    /// When Keycloak does not answer.
    #[must_use]
    pub fn admin(&self, method: &str, path: &str, body: &Value) -> http::Answer {
        let token = access_token(&self.token(
            "master",
            &[
                ("grant_type", "password"),
                ("client_id", "admin-cli"),
                ("username", ADMIN),
                ("password", ADMIN),
            ],
        ));
        let authorization = format!("Bearer {token}");
        let headers = [
            ("authorization", authorization.as_str()),
            ("content-type", "application/json"),
        ];
        let text = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        http::send(
            method,
            &format!("{}/admin{path}", self.url()),
            &headers,
            &text,
        )
        .unwrap_or_else(|error| panic!("{error}\n{}", self.logs()))
    }

    /// All that Keycloak has logged so far.
    #[must_use]
    pub fn logs(&self) -> String {
        self.service.logs()
    }

    /// The process, for its log file, id and end.
    pub fn service(&mut self) -> &mut Service {
        &mut self.service
    }
}

impl Drop for Keycloak {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn access_token(answer: &Value) -> String {
    answer["access_token"]
        .as_str()
        .unwrap_or_else(|| panic!("Keycloak gave no access token: {answer}"))
        .to_owned()
}

/// A folder of its own for each instance: the program by links, its data and realms beside it.
fn instance(realms: &[Value]) -> io::Result<PathBuf> {
    let home = crate::cache().join(format!("keycloak-{}", crate::version("KEYCLOAK_VERSION")));
    let folder = crate::scratch("keycloak")?;
    let import = folder.join("data/import");
    fs::create_dir_all(&import)?;
    for (number, realm) in realms.iter().enumerate() {
        fs::write(import.join(format!("{number}.json")), realm.to_string())?;
    }
    // The script finds its home from where it really is: it must be a copy.
    fs::create_dir_all(folder.join("bin"))?;
    fs::copy(home.join("bin/kc.sh"), folder.join("bin/kc.sh"))?;
    for name in ["lib", "providers", "themes", "conf", "version.txt"] {
        link(&home.join(name), &folder.join(name))?;
    }
    Ok(folder)
}

fn link(from: &Path, to: &Path) -> io::Result<()> {
    if from.exists() {
        symlink(from, to)
    } else {
        Ok(())
    }
}
