//! The module's exports, each as one step on the world of this virtual machine.
//!
//! What the numbers mean: a request callback answers 0 (go on), 1 (pause) or, on Envoy only,
//! 4 (pause and leave the body in the connection).

use super::stream::{self, Stream};
use super::world::{World, world};
use super::{abi, dialect};
use crate::config::{AuthMethod, Config, ConfigError, SharedData, Warning};
use crate::host::{CallError, Counter, Level};
use crate::http::Answer;
use crate::policy::Policy;
use crate::proxy::dialect::Dialect;
use std::rc::Rc;

/// The largest configuration that is read, in bytes.
const MAX_CONFIGURATION: usize = 4 << 20;

/// A context begins: a root (no parent) or a request of one.
pub fn context_create(context: u32, parent: u32) {
    world(|world| {
        if parent == 0 {
            world.add_root(context);
        } else if let Some(root) = world.root(parent) {
            world.add_stream(Rc::new(Stream::new(context, root)));
        }
    });
}

/// Reads the configuration. Only Envoy may be told "no": on Kong a refusal would leave the whole
/// node without filters, so there every request is answered with an error instead.
pub fn configure(root: u32, size: usize) -> bool {
    world(|world| {
        let dialect = world.detect_dialect();
        world.define_metrics();
        abi::set_tick_period(TICK_MILLISECONDS);
        let json = if size == 0 {
            Vec::new()
        } else {
            abi::buffer(
                abi::Buffer::PluginConfiguration,
                size.min(MAX_CONFIGURATION),
            )
            .unwrap_or_default()
        };
        let root = world.root(root).unwrap_or_else(|| world.add_root(root));
        let parsed =
            Config::parse(&json, &environment).and_then(|(config, warnings)| match missing_secret(
                dialect, &config,
            ) {
                Some(error) => Err(vec![error]),
                None => Ok((config, warnings)),
            });
        match parsed {
            Ok((config, warnings)) => {
                log_start(world, dialect, &config, &warnings);
                root.set_policy(Policy::new(config, world.shared()));
                true
            }
            Err(errors) => {
                log_errors(world, &errors);
                root.set_refused();
                dialect == Dialect::Kong
            }
        }
    })
}

/// Why this host cannot do without `session_secret`, where cookies are sealed and none is set. On Envoy
/// one can be made for all workers, if they share data that nobody else writes.
fn missing_secret(dialect: Dialect, config: &Config) -> Option<ConfigError> {
    let seals = config.all().any(|config| {
        let methods = &config.methods;
        methods.has(AuthMethod::Session) || methods.has(AuthMethod::AuthorizationCode)
    });
    if !seals || config.session.secret.is_some() {
        return None;
    }
    let shared_off = config.host.shared_data == SharedData::Off;
    let own_vm = abi::property(b"plugin_vm_id").is_ok_and(|id| !id.is_empty());
    let reason = match dialect {
        Dialect::Kong => "is required on Kong, whose random numbers can be predicted",
        Dialect::Envoy if shared_off => {
            "is required where `shared_data` is off: the workers need one secret"
        }
        Dialect::Envoy if !own_vm => {
            "is required where the filter's `vm_id` is empty: its shared data are everybody's"
        }
        Dialect::Envoy => return None,
    };
    Some(ConfigError {
        path: "config.session_secret".to_owned(),
        message: format!(
            "{reason}; set it, or name no `session` and no `authorization_code` in `auth_methods`"
        ),
    })
}

#[allow(clippy::disallowed_methods, reason = "the other side of the door")]
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

const TICK_MILLISECONDS: u32 = 1000;

fn log_start(world: &World, dialect: Dialect, config: &Config, warnings: &[Warning]) {
    world.log(
        Level::Info,
        &format!(
            "oidc-filter {} ({}; built: {}) on {}: {}",
            env!("CARGO_PKG_VERSION"),
            env!("OIDC_FILTER_GIT_HASH"),
            AuthMethod::built(),
            dialect.name(),
            config.summary(),
        ),
    );
    for warning in warnings {
        world.log(Level::Warn, &format!("oidc-filter: {warning}"));
    }
}

fn log_errors(world: &World, errors: &[ConfigError]) {
    for error in errors {
        world.log(
            Level::Error,
            &format!("oidc-filter: configuration refused: {error}"),
        );
    }
}

/// The second's beat: jobs that no request waits for, and bodies that never came.
pub fn tick(root: u32) {
    world(|world| {
        if let Some(root) = world.root(root) {
            root.start_jobs(world);
            world.run();
        }
        stream::end_hopeless_holds(world);
        world.write_counters();
    });
}

/// A request's headers have come.
pub fn request_headers(context: u32, end: bool) -> u32 {
    world(|world| match world.stream(context) {
        Some(stream) => stream.on_headers(world, end),
        None => deny_unknown(world),
    })
}

/// A piece of a request's body has come; `size` counts what is buffered so far.
pub fn request_body(context: u32, size: usize, end: bool) -> u32 {
    world(|world| match world.stream(context) {
        Some(stream) => stream.on_body(world, size, end),
        None => deny_unknown(world),
    })
}

/// The trailers end a body that had no end mark of its own.
pub fn request_trailers(context: u32) -> u32 {
    world(|world| match world.stream(context) {
        Some(stream) => stream.on_trailers(world),
        None => deny_unknown(world),
    })
}

/// The headers of a response are about to go to the client. One of a context that is unknown here
/// was answered by somebody else.
pub fn response_headers(context: u32) -> u32 {
    world(|world| {
        world
            .stream(context)
            .map_or(stream::GO_ON, |stream| stream.on_response_headers(world))
    })
}

/// A context that this instance never saw created (its instance died in a neighbour's trap) is
/// nobody's: it is answered, never let through.
fn deny_unknown(world: &World) -> u32 {
    world.log(
        Level::Error,
        "oidc-filter: unknown_context: a callback for a context never created",
    );
    let _ = abi::send_response(500, &[], b"", None);
    stream::PAUSE
}

/// A provider answered, or will not.
pub fn call_answer(root: u32, token: u32, header_count: u32, body_size: usize) {
    world(|world| {
        // An answer that nobody waits for is not even read: its request is gone.
        if !world.executor.awaits(token) {
            world.count(Counter::StrayAnswer);
            return;
        }
        let result: Result<Answer, CallError> =
            dialect::read_answer(world.dialect(), header_count, body_size);
        world.executor.answer(token, result);
        world.run();
        world.enter(root);
    });
}

/// A context has ended.
pub fn delete(context: u32) {
    world(|world| {
        if let Some(stream) = world.remove_stream(context) {
            stream.abandon(world);
        } else {
            world.remove_root(context);
        }
    });
}
