//! Controls: a test that passes without the filter tests nothing.
//!
//! With the environment variable `OIDC_FILTER_CONTROL` the entry point forwards every request
//! unchanged (`open`) or answers 401 to everything (`closed`). A test with a scenario id in its name
//! must fail under both.

use std::env;

/// What stands behind the entry point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// The filter.
    Filter,
    /// Nothing: every request goes on as it came.
    Open,
    /// A wall: every request is answered 401.
    Closed,
}

/// What the environment asks for.
///
/// # Panics
/// When the variable holds another word: a misspelt control would pass every test.
#[must_use]
pub fn control() -> Control {
    match env::var("OIDC_FILTER_CONTROL").as_deref() {
        Err(_) | Ok("") => Control::Filter,
        Ok("open") => Control::Open,
        Ok("closed") => Control::Closed,
        Ok(other) => panic!("OIDC_FILTER_CONTROL is `{other}`, not `open` or `closed`"),
    }
}
