//! The glue: everything that knows Proxy-Wasm, and nothing that knows OAuth.
//!
//! - `abi`: the host's functions as total Rust functions, and the module's exports (`unsafe` lives there)
//! - `entry`: each export as one short function on the world
//! - `world`: what one virtual machine holds: roots, requests, executor
//! - `stream`: one request from its headers to the decision, and the one place that forwards
//! - `host`: the door [`crate::host::Host`] over the ABI
//! - `dialect`: where Envoy and Kong differ
//! - `executor`: who is polled when

pub mod executor;

#[cfg(target_arch = "wasm32")]
mod abi;
#[cfg(target_arch = "wasm32")]
mod dialect;
#[cfg(target_arch = "wasm32")]
mod entry;
#[cfg(target_arch = "wasm32")]
mod host;
#[cfg(target_arch = "wasm32")]
mod stream;
#[cfg(target_arch = "wasm32")]
mod world;
