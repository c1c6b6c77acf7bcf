//! The filter's decisions in a simulated world, deterministic from a seed.
//!
//! No thread, no socket, no real clock: a test sets the time, writes down what the identity provider
//! answers, and says when each answer arrives. The engine, the flows and the executor are the real
//! ones; what a host and the glue do (`src/proxy/stream.rs`, `src/proxy/host.rs`) is modelled here,
//! for Envoy and for Kong.
//!
//! - [`World`]: the entry point for tests
//! - [`network`]: the provider as data, and what was called
//! - [`Request`], [`Outcome`]: what a client sends, and what becomes of it
//! - [`forward`]: what the upstream gets to see
//! - [`stage`]: keys, claims and configurations that most tests use
//! - [`control`]: the same entry point with no filter behind it

pub mod control;
mod crypto;
mod delivery;
mod door;
pub mod forward;
pub mod network;
mod observe;
mod outcome;
mod random;
mod record;
mod request;
pub mod stage;
mod stream;
mod worker;
mod world;

pub use crypto::HostCrypto;
pub use delivery::Delivered;
pub use forward::Forwarded;
pub use network::Behaviour;
pub use outcome::{Outcome, Ticket};
pub use random::Random;
pub use request::Request;
pub use world::{Dialect, Route, World};
