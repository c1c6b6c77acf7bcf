//! The compiled module in a Wasm host of ours: like Envoy, or like Kong.
//!
//! [`Host::start`] loads a module into wasmtime, listens on a port of its own and forwards to a real
//! upstream, over real connections. What either host does, and what a filter must survive there, is
//! switched in [`EnvoySwitches`] and [`KongSwitches`]. How a request walks through it:
//!
//! - `front` takes it from the client and tells the `worker`, one thread that owns the instance;
//! - `envoy` or `kong` runs the callbacks in the order and with the return values of that host;
//! - `abi`, `abi_http`, `properties`, `shared`, `wasi` are what the module may call meanwhile;
//! - `instance` makes, configures and calls it;
//! - `callout` sends its calls, `response` its answers.

mod abi;
mod abi_http;
mod callout;
mod crypto;
mod envoy;
mod front;
mod headers;
mod instance;
mod kong;
mod options;
mod properties;
mod random;
mod response;
mod shared;
mod state;
mod status;
mod wasi;
mod worker;

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use wasmtime::{Engine, Linker, Store, Val};

pub use options::{
    EnvoySwitches, FailurePolicy, FakeClock, HostOptions, KongSwitches, Mode, Module,
};
pub use shared::{SharedData, crc32};
pub use state::Record;

use random::{LibcRandom, Random};
use state::{Callback, ROOT, State};
use worker::{Command, NoFilter, Worker};

/// Why a host did not start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartError {
    /// The file cannot be read, or is no module that links.
    Module(String),
    /// The module lacks what the host asks for.
    Unfit(String),
    /// `on_configure` or `on_vm_start` answered no; the log lines so far say why.
    Refused(Vec<String>),
    /// A callback of the start trapped; the traps.
    Trapped(Vec<String>),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Module(what) => write!(f, "the module cannot be loaded: {what}"),
            StartError::Unfit(what) => write!(f, "unable to create the Wasm plugin: {what}"),
            StartError::Refused(log) => {
                write!(
                    f,
                    "the module refused its configuration:\n{}",
                    log.join("\n")
                )
            }
            StartError::Trapped(traps) => write!(f, "the module trapped:\n{}", traps.join("\n")),
        }
    }
}

impl std::error::Error for StartError {}

/// A host with one module and one worker. It ends when it is dropped.
pub struct Host {
    address: SocketAddr,
    record: Arc<Record>,
    options: Arc<HostOptions>,
    commands: mpsc::Sender<Command>,
    worker: Option<JoinHandle<()>>,
    runtime: Option<Runtime>,
}

impl Host {
    /// Starts a host; when this returns, it listens.
    ///
    /// # Errors
    /// When the real host would not start either. (Kong starts without the filter instead:
    /// [`Record::filter_active`].)
    ///
    /// # Panics
    /// When this machine gives no thread or no port.
    pub fn start(options: HostOptions) -> Result<Host, StartError> {
        let module = load(&options.wasm).map_err(StartError::Module)?;
        let linker =
            link(&module, &options).map_err(|error| StartError::Module(format!("{error:#}")))?;
        // A module that cannot be linked stops either host.
        linker
            .instantiate_pre(&module)
            .map_err(|error| StartError::Module(format!("{error:#}")))?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let options = Arc::new(options);
        let record = Arc::new(Record::default());
        let (commands, obeyed) = mpsc::channel();
        let state = state(&options, &record, &commands, &runtime);
        let mut worker = Worker::new(Store::new(engine(), state), linker, module);
        let began = worker.ensure_instance();
        worker.set_filter(began.is_ok());
        if let Err(error) = began {
            stay_or_fail(&options, &record, error)?;
        }
        let worker = std::thread::Builder::new()
            .name("worker".to_owned())
            .spawn(move || worker.run(&obeyed))
            .expect("a thread");
        let listener = runtime
            .block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
            .expect("a port");
        let address = listener.local_addr().expect("its address");
        let front = Arc::new(front::Front::new(options.clone(), commands.clone()));
        runtime.spawn(front.run(listener));
        let (worker, runtime) = (Some(worker), Some(runtime));
        Ok(Host {
            address,
            record,
            options,
            commands,
            worker,
            runtime,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://` and the address.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Logs, metrics, traps and crashes so far.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// The shared data of the node.
    pub fn shared(&self) -> &SharedData {
        &self.options.shared
    }

    /// Lets the module's timer go off now, and waits for the callback's end.
    pub fn tick(&self) {
        self.tell(Command::Tick);
    }

    /// How many pages of 64 KiB the module's memory has. WebAssembly gives none back.
    pub fn pages(&self) -> u64 {
        let (told, answer) = oneshot::channel();
        let sent = self.commands.send(Command::Pages(told)).is_ok();
        sent.then(|| answer.blocking_recv().ok())
            .flatten()
            .unwrap_or(0)
    }

    /// Puts another configuration in force; whether the module took it. A refused one leaves the old
    /// one in force. Requests under way end under the one they began with.
    pub fn reconfigure(&self, configuration: impl Into<String>) -> bool {
        let (taken, answer) = oneshot::channel();
        let command = Command::Configure(configuration.into(), taken);
        self.commands.send(command).is_ok() && answer.blocking_recv().unwrap_or(false)
    }

    /// Does to the instance what a trap in the callback of some other request does.
    pub fn trap(&self) {
        self.tell(Command::Trap);
    }

    fn tell(&self, command: impl FnOnce(oneshot::Sender<()>) -> Command) {
        let (done, ended) = oneshot::channel();
        if self.commands.send(command(done)).is_ok() {
            // The worker drops the sender: an error is the sign that it is done.
            let _ = ended.blocking_recv();
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // It may have stopped already.
        let _ = self.commands.send(Command::Stop);
        if let Some(worker) = self.worker.take() {
            // A panic of the worker has been printed by its thread.
            let _ = worker.join();
        }
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// The module under test: `OIDC_FILTER_WASM`, or what `make wasm` built.
#[must_use]
pub fn filter() -> PathBuf {
    std::env::var_os("OIDC_FILTER_WASM")
        .map_or_else(|| workspace().join("dist/oidc-filter.wasm"), PathBuf::from)
}

/// A small module that `make modules` built, by its name: in `OIDC_FILTER_MODULES`, or in `dist/modules`.
#[must_use]
pub fn small_module(name: &str) -> PathBuf {
    std::env::var_os("OIDC_FILTER_MODULES")
        .map_or_else(|| workspace().join("dist/modules"), PathBuf::from)
        .join(format!("{name}.wasm"))
}

fn workspace() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}

/// Kong may start without the filter where Envoy does not start.
fn stay_or_fail(options: &HostOptions, record: &Record, error: NoFilter) -> Result<(), StartError> {
    let refused = error == NoFilter::Refused;
    let stays = options.kong().is_some_and(|kong| {
        kong.refusing_configure_leaves_no_filter || matches!(error, NoFilter::Unfit(_))
    });
    if stays {
        record.log("emerg", &format!("the filter chain is dropped: {error:?}"));
        return Ok(());
    }
    Err(match error {
        NoFilter::Unfit(what) => StartError::Unfit(what),
        _ if refused => StartError::Refused(record.logs()),
        _ => StartError::Trapped(record.traps()),
    })
}

fn state(
    options: &Arc<HostOptions>,
    record: &Arc<Record>,
    commands: &mpsc::Sender<Command>,
    runtime: &Runtime,
) -> State {
    State {
        memory: None,
        allocate: None,
        options: options.clone(),
        record: record.clone(),
        streams: BTreeMap::new(),
        root: ROOT,
        roots: vec![ROOT],
        configuration: options.configuration.clone(),
        effective: ROOT,
        callback: Callback::Start,
        answer: None,
        calls: BTreeMap::new(),
        next_token: 1,
        tick: None,
        generation: 0,
        metrics: Vec::new(),
        environment: options
            .env
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect(),
        random: random(options),
        commands: commands.clone(),
        runtime: runtime.handle().clone(),
    }
}

fn random(options: &HostOptions) -> Random {
    if options.kong().is_some_and(|kong| kong.weak_random) {
        // nginx seeds from the time and the process's number.
        let time = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |now| now.subsec_nanos());
        let seed = options.random_seed.unwrap_or(time ^ std::process::id());
        return Random::Libc(Box::new(LibcRandom::new(seed)));
    }
    match options.random_seed {
        Some(seed) => Random::Seeded(u64::from(seed)),
        None => Random::System,
    }
}

fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(Engine::default)
}

/// Compiles a module once for all hosts of this process.
fn load(module: &Module) -> Result<wasmtime::Module, String> {
    static COMPILED: Mutex<BTreeMap<Vec<u8>, wasmtime::Module>> = Mutex::new(BTreeMap::new());
    let bytes = match module {
        Module::Path(path) => std::fs::read(path)
            .map_err(|error| format!("{}: {error} (run `make wasm modules`)", path.display()))?,
        Module::Bytes(bytes) => bytes.to_vec(),
    };
    let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(module) = compiled.get(&bytes) {
        return Ok(module.clone());
    }
    let module = wasmtime::Module::new(engine(), &bytes).map_err(|error| format!("{error:#}"))?;
    compiled.insert(bytes, module.clone());
    Ok(module)
}

/// All host functions; those that a capability list leaves out answer an error.
fn link(module: &wasmtime::Module, options: &HostOptions) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine());
    abi::link(&mut linker)?;
    wasi::link(&mut linker)?;
    let list = options
        .envoy()
        .and_then(|envoy| envoy.capabilities.as_ref());
    let Some(list) = list else {
        return Ok(linker);
    };
    linker.allow_shadowing(true);
    for import in module.imports() {
        let Some(kind) = import.ty().func().cloned() else {
            continue;
        };
        if list.iter().any(|listed| listed == import.name()) {
            continue;
        }
        let error = if import.module() == "env" {
            status::INTERNAL_FAILURE
        } else {
            wasi::NOTCAPABLE
        };
        linker.func_new(
            import.module(),
            import.name(),
            kind,
            move |_, _, results| {
                if let Some(result) = results.first_mut() {
                    *result = Val::I32(error);
                }
                Ok(())
            },
        )?;
    }
    Ok(linker)
}
