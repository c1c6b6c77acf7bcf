//! The harness: real servers for the tests, and the same ones for `make run`.

pub mod browser;
pub mod demo;
pub mod envoy;
pub mod http;
pub mod issuer;
pub mod keycloak;
pub mod ports;
pub mod process;
pub mod provider;
pub mod quirks;
pub mod raw;
pub mod scenarios;
mod server;
pub mod testrun;
pub mod upstream;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, fs, io};

/// `versions.env`: the one place where versions are pinned.
const VERSIONS: &str = include_str!("../../../versions.env");

/// The root of the repository.
#[must_use]
pub fn workspace() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}

/// The module under test: `OIDC_FILTER_WASM`, or what `make wasm` built.
#[must_use]
pub fn module() -> PathBuf {
    env::var_os("OIDC_FILTER_WASM")
        .map_or_else(|| workspace().join("dist/oidc-filter.wasm"), PathBuf::from)
}

/// Where `make setup` puts Envoy and Keycloak; the same rule as in `scripts/common.sh`.
#[must_use]
pub fn cache() -> PathBuf {
    let variable = |name| {
        env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    variable("OIDC_CACHE").unwrap_or_else(|| {
        variable("XDG_CACHE_HOME")
            .or_else(|| variable("HOME").map(|home| home.join(".cache")))
            .unwrap_or_else(env::temp_dir)
            .join("oidc-filter")
    })
}

/// A value of `versions.env`.
///
/// # Panics
/// When there is none of this name.
#[must_use]
pub fn version(name: &str) -> &'static str {
    VERSIONS
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
        .unwrap_or_else(|| panic!("versions.env has no {name}"))
}

/// A new folder for the files of one server. Folders of processes that are gone are removed on the way: statics are
/// never dropped.
///
/// # Errors
/// When it cannot be made.
pub fn scratch(name: &str) -> io::Result<PathBuf> {
    static SERIAL: AtomicU32 = AtomicU32::new(0);
    sweep_scratch(|pid| !Path::new("/proc").join(pid).exists());
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
    let folder = env::temp_dir().join(format!("{SCRATCH}{}-{name}-{serial}", std::process::id()));
    fs::create_dir(&folder)?;
    Ok(folder)
}

const SCRATCH: &str = "oidc-filter-";

/// Removes the folders of those processes that `gone` picks by their id.
pub(crate) fn sweep_scratch(gone: impl Fn(&str) -> bool) {
    for entry in fs::read_dir(env::temp_dir())
        .into_iter()
        .flatten()
        .flatten()
    {
        let name = entry.file_name();
        let owner = name
            .to_str()
            .and_then(|name| name.strip_prefix(SCRATCH)?.split('-').next());
        if owner.is_some_and(|pid| pid.parse::<u32>().is_ok() && gone(pid)) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
