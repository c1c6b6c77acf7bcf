//! OpenID Connect for Envoy and Kong: one Proxy-Wasm filter.
//!
//! # The tour
//!
//! A request walks through the rooms in this order:
//!
//! 1. [`proxy`]: the host calls, the glue reads all headers at once and asks the engine. It alone
//!    knows Proxy-Wasm.
//! 2. [`engine`]: the order of steps for one request, top to bottom. What is known already is decided
//!    at once; the rest becomes a future that waits for providers.
//! 3. [`flow`]: the ways in, one file each. They find a credential and find out what it is worth,
//!    with [`jose`] (signatures), [`provider`] (metadata and keys), [`oauth`] (its endpoints),
//!    [`kong_admin`] (Kong's own tokens), [`session`] (what a browser shows after a login) and [`cache`] (what was found out before).
//! 4. [`authz`]: who may pass. The only maker of an `Admission`, the proof without which the glue
//!    forwards nothing.
//! 5. [`upstream`]: what the upstream gets to see.
//! 6. [`failure`]: what the client gets to see when it may not pass.
//!
//! What the operator learns of it all is an [`account`].
//!
//! [`config`] turns the filter's JSON into types once; [`policy`] is one configuration in force.
//! [`http`] holds the types that all rooms share, [`host`] the one door to the world outside.
//! docs/architecture.md has the picture.

pub mod account;
pub mod authz;
pub mod cache;
pub mod config;
pub mod engine;
pub mod failure;
pub mod flow;
pub mod host;
pub mod http;
pub mod jose;
pub mod kong_admin;
pub mod oauth;
pub mod policy;
pub mod provider;
pub mod proxy;
pub mod secrets;
pub mod session;
pub mod upstream;
