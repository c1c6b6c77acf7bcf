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
//! - [`idp`]: the provider's endpoints for people, and its tokens
//! - [`assertion`]: how a client proves itself to it with a JWT
//! - [`Browser`]: cookies, redirects, forms and tabs as a person has them
//! - [`forward`]: what the upstream gets to see
//! - [`stage`]: keys, claims and configurations that most tests use
//! - `neutralise`: what `make parity` does to configurations
//! - [`control`]: the same entry point with no filter behind it

pub mod assertion;
mod browser;
pub mod control;
mod cookie;
mod crypto;
mod delivery;
mod door;
mod form;
pub mod forward;
pub mod idp;
pub mod kong;
pub mod network;
mod neutralise;
mod observe;
mod outcome;
mod page;
mod random;
mod record;
mod request;
pub mod stage;
mod stream;
mod worker;
mod world;

pub use browser::{Away, Browser, Page, Stop};
pub use cookie::Stored;
pub use crypto::HostCrypto;
pub use delivery::Delivered;
pub use form::{decode, encode, pairs};
pub use forward::{Forwarded, document};
pub use network::Behaviour;
pub use outcome::{Outcome, Ticket};
pub use random::Random;
pub use request::Request;
pub use world::{Dialect, Route, World};
