//! A real Chromium, and a gateway for it to log in at.
//!
//! The gateway is `localhost` and the provider `127.0.0.1`: two sites, as in the world.

mod gateway;
mod webdriver;

pub use gateway::{Entrance, SHORT_CLIENT, keycloak, log_in};
pub use webdriver::{Browser, Cookie, Exchange};
