//! A real Envoy with the filter in it.
//!
//! [`EnvoyOptions`] says what is in it, [`Envoy::start`] runs it, [`Envoy::update`] changes the configuration of the
//! running one, the way a control plane would.

mod config;

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::process::{Service, StartError};
use crate::{http, ports};

pub use config::{
    Cluster, EnvoyOptions, HttpFilter, Listener, WasmFilter, bearer_config, capabilities,
    login_capabilities, login_config,
};

const START: Duration = Duration::from_secs(30);
/// Files of one Envoy, removed with it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> std::io::Result<Self> {
        Ok(Self(crate::scratch("envoy")?))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Replaces a file in one step: Envoy watches for that.
    fn write(&self, name: &str, value: &Value) -> std::io::Result<()> {
        let next = self.file(&format!("{name}.next"));
        fs::write(&next, value.to_string())?;
        fs::rename(next, self.file(name))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A running Envoy.
pub struct Envoy {
    service: Service,
    folder: Folder,
    options: EnvoyOptions,
    admin: u16,
    url: String,
}

impl Envoy {
    /// Starts Envoy and waits until it serves.
    ///
    /// # Panics
    /// With its log, when it does not.
    #[must_use]
    pub fn start(options: EnvoyOptions) -> Self {
        Self::try_start(options).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Starts Envoy and waits until it serves.
    ///
    /// # Errors
    /// When it ends (`exit` is set) or refuses a listener or cluster; the log says why.
    pub fn try_start(options: EnvoyOptions) -> Result<Self, StartError> {
        let admin = ports::free();
        let folder = Folder::new().map_err(|error| StartError::broken("envoy", &error))?;
        let access_log = folder.file("access.log");
        let address = json!({"socket_address": {"address": "127.0.0.1", "port_value": admin}});
        let mut bootstrap = json!({
            "node": {"id": "test", "cluster": "test"},
            "admin": {"address": address},
        });
        if options.fixed {
            bootstrap["static_resources"] = json!({
                "listeners": untyped(options.listeners_json(&access_log)),
                "clusters": untyped(options.clusters_json()),
            });
        } else {
            let source = |name| {
                json!({
                    "resource_api_version": "V3",
                    "path_config_source": {"path": folder.file(name), "watched_directory": {"path": folder.0}},
                })
            };
            bootstrap["dynamic_resources"] =
                json!({"lds_config": source("lds.json"), "cds_config": source("cds.json")});
            folder
                .write(
                    "lds.json",
                    &json!({"resources": options.listeners_json(&access_log)}),
                )
                .and_then(|()| {
                    folder.write("cds.json", &json!({"resources": options.clusters_json()}))
                })
                .map_err(|error| StartError::broken("envoy", &error))?;
        }
        let port = options
            .listeners
            .first()
            .map_or(0, |listener| listener.port);
        Self::launch(folder, &bootstrap, options, admin, port)
    }

    /// Starts Envoy with a whole bootstrap configuration, of which admin interface and first listener are on these ports.
    ///
    /// # Errors
    /// As for [`Envoy::try_start`].
    pub fn from_bootstrap(bootstrap: &Value, port: u16, admin: u16) -> Result<Self, StartError> {
        Self::from_bootstrap_with(bootstrap, port, admin, &[])
    }

    /// The same with variables in Envoy's environment.
    ///
    /// # Errors
    /// As for [`Envoy::try_start`].
    pub fn from_bootstrap_with(
        bootstrap: &Value,
        port: u16,
        admin: u16,
        env: &[(&str, &str)],
    ) -> Result<Self, StartError> {
        Self::from_bootstrap_of(bootstrap, port, admin, env, 2)
    }

    /// The same with so many worker threads.
    ///
    /// # Errors
    /// As for [`Envoy::try_start`].
    pub fn from_bootstrap_of(
        bootstrap: &Value,
        port: u16,
        admin: u16,
        env: &[(&str, &str)],
        concurrency: u32,
    ) -> Result<Self, StartError> {
        let options = EnvoyOptions {
            listeners: Vec::new(),
            clusters: Vec::new(),
            concurrency,
            log_level: "info".into(),
            env: env
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            fixed: true,
        };
        let folder = Folder::new().map_err(|error| StartError::broken("envoy", &error))?;
        Self::launch(folder, bootstrap, options, admin, port)
    }

    fn launch(
        folder: Folder,
        bootstrap: &Value,
        options: EnvoyOptions,
        admin: u16,
        port: u16,
    ) -> Result<Self, StartError> {
        folder
            .write("envoy.json", bootstrap)
            .map_err(|error| StartError::broken("envoy", &error))?;
        let program =
            crate::cache().join(format!("envoy-{}/envoy", crate::version("ENVOY_VERSION")));
        let mut command = Service::command("envoy", program)
            .arg("-c")
            .arg(folder.file("envoy.json"))
            .args(["--concurrency", &options.concurrency.to_string()])
            .args(["--log-level", &options.log_level])
            // Old connections keep the old configuration for so long after an update; the default is 10 minutes.
            .args(["--drain-time-s", "1", "--parent-shutdown-time-s", "2"])
            .args(["--file-flush-interval-msec", "20"])
            .arg("--disable-hot-restart");
        for (name, value) in &options.env {
            command = command.env(name, value);
        }
        let service = command
            .spawn()
            .map_err(|error| StartError::broken("envoy", &error))?;
        let url = format!("http://127.0.0.1:{port}");
        let mut envoy = Self {
            service,
            folder,
            options,
            admin,
            url,
        };
        envoy.wait_until_ready()?;
        Ok(envoy)
    }

    fn wait_until_ready(&mut self) -> Result<(), StartError> {
        let admin = self.admin;
        let is_refused = || {
            let stats = |name| stat_of(admin, name).unwrap_or(0);
            stats("listener_manager.lds.update_rejected") > 0
                || stats("cluster_manager.cds.update_rejected") > 0
        };
        self.service.wait_until(START, || {
            let stats = |name| stat_of(admin, name).unwrap_or(0);
            is_refused()
                || http::get(&format!("http://127.0.0.1:{admin}/ready"))
                    .is_ok_and(|answer| answer.status == 200)
                    // Ready comes before the workers listen.
                    && stats("listener_manager.workers_started") == 1
        })?;
        // Asked again: the refusal may have come between the two questions.
        if is_refused() {
            return Err(self
                .service
                .failure("the configuration was refused".to_owned()));
        }
        Ok(())
    }

    /// `http://127.0.0.1:<port>` of the first listener.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Address of the first listener.
    ///
    /// # Panics
    /// Never: the URL was made from an address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.url
            .trim_start_matches("http://")
            .parse()
            .expect("an address")
    }

    /// What it was started with, and every update since.
    #[must_use]
    pub fn options(&self) -> &EnvoyOptions {
        &self.options
    }

    /// GET of the admin interface: `/stats?filter=...`, `/config_dump`, `/certs` ...
    ///
    /// # Panics
    /// When Envoy does not answer.
    #[must_use]
    pub fn admin(&self, path: &str) -> String {
        let url = format!("http://127.0.0.1:{}{path}", self.admin);
        http::get(&url)
            .unwrap_or_else(|error| panic!("{url}: {error}\n{}", self.logs()))
            .body
    }

    /// Port of the admin interface.
    #[must_use]
    pub fn admin_port(&self) -> u16 {
        self.admin
    }

    /// A counter or gauge; `None` while it does not exist.
    #[must_use]
    pub fn stat(&self, name: &str) -> Option<u64> {
        stat_of(self.admin, name)
    }

    /// Waits (10 s at most) until a counter or gauge is at least `least`, and gives its value at the end.
    pub fn wait_for_stat(&self, name: &str, least: u64) -> u64 {
        let start = Instant::now();
        loop {
            let value = self.stat(name).unwrap_or(0);
            if value >= least || start.elapsed() > Duration::from_secs(10) {
                return value;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// All that Envoy has logged so far, the filter's lines among it.
    #[must_use]
    pub fn logs(&self) -> String {
        self.service.logs()
    }

    /// The access log, one JSON object a request, once it has so many lines (10 s at most).
    #[must_use]
    pub fn access_log_of(&self, lines: usize) -> Vec<Value> {
        let start = Instant::now();
        loop {
            let log = self.access_log();
            if log.len() >= lines || start.elapsed() > Duration::from_secs(10) {
                return log;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// The access log as it is now: a line is written about 20 ms after the end of its request.
    #[must_use]
    pub fn access_log(&self) -> Vec<Value> {
        fs::read_to_string(self.folder.file("access.log"))
            .unwrap_or_default()
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    /// The process, for its log file, id and end.
    pub fn service(&mut self) -> &mut Service {
        &mut self.service
    }

    /// How Envoy ended, or `None` while it runs.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.service.exited()
    }

    /// Changes the configuration of the first filter while Envoy runs; see [`Envoy::update`].
    ///
    /// # Errors
    /// With the log of the attempt, when Envoy refuses it; the old one stays in force.
    pub fn update_config(&mut self, config: Value) -> Result<(), String> {
        self.update(|options| options.filter().config = config)
    }

    /// Changes listeners and clusters while Envoy runs, and waits until the new ones are in force. Connections that
    /// exist keep the old ones for up to a second: use a new connection to see the change.
    ///
    /// # Errors
    /// With the log of the attempt, when Envoy refuses it; the old one stays in force.
    ///
    /// # Panics
    /// When this Envoy's configuration is fixed, or its files cannot be written.
    pub fn update(&mut self, change: impl FnOnce(&mut EnvoyOptions)) -> Result<(), String> {
        assert!(
            !self.options.fixed,
            "the configuration of this Envoy is fixed"
        );
        let access_log = self.folder.file("access.log");
        let mut next = self.options.clone();
        change(&mut next);
        let parts = [
            (
                "cds.json",
                "cluster_manager.cds",
                self.options.clusters_json(),
                next.clusters_json(),
            ),
            (
                "lds.json",
                "listener_manager.lds",
                self.options.listeners_json(&access_log),
                next.listeners_json(&access_log),
            ),
        ];
        for (file, stats, old, new) in parts {
            if old == new {
                continue;
            }
            let logged = self.logs().len();
            let counter = |name: &str| stat_of(self.admin, &format!("{stats}.{name}")).unwrap_or(0);
            let before = (counter("update_success"), counter("update_rejected"));
            self.folder
                .write(file, &json!({"resources": new}))
                .expect("the configuration file is written");
            let start = Instant::now();
            loop {
                let log = || self.logs().get(logged..).unwrap_or_default().to_owned();
                if counter("update_rejected") > before.1 {
                    // The file keeps what was refused otherwise, and the next update would look like no change.
                    let _ = self.folder.write(file, &json!({"resources": old}));
                    self.wait_for_stat(&format!("{stats}.update_success"), before.0 + 1);
                    return Err(log());
                }
                let warming =
                    stat_of(self.admin, "listener_manager.total_listeners_warming").unwrap_or(0);
                if counter("update_success") > before.0 && warming == 0 {
                    break;
                }
                if start.elapsed() > START {
                    return Err(format!("no update after {} s\n{}", START.as_secs(), log()));
                }
                thread::sleep(Duration::from_millis(10));
            }
        }
        // The main thread is done; each worker takes the change from its queue.
        thread::sleep(Duration::from_millis(50));
        self.options = next;
        Ok(())
    }
}

fn stat_of(admin: u16, name: &str) -> Option<u64> {
    let answer = http::get(&format!(
        "http://127.0.0.1:{admin}/stats?filter=^{}$",
        name.replace('.', "\\.")
    ))
    .ok()?;
    answer
        .body
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")?.parse().ok())
}

/// Resources of discovery files carry their type, those of the bootstrap must not.
fn untyped(mut resources: Vec<Value>) -> Vec<Value> {
    for resource in &mut resources {
        if let Some(members) = resource.as_object_mut() {
            members.remove("@type");
        }
    }
    resources
}
