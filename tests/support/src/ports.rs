//! Ports for the servers of a test.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Mutex, PoisonError};

/// Below the range from which Linux takes the source ports of outgoing connections (32768 and up), so that no
/// connection of a neighbour can sit on a port between its choice here and the start of its server.
const FIRST: u16 = 18_000;
const COUNT: u16 = 14_000;

static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// A TCP port on which nobody listens and that this process has not given out before.
///
/// # Panics
/// When all ports of the range are taken.
#[must_use]
pub fn free() -> u16 {
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    // Test processes that run side by side begin at different places.
    let offset = u16::try_from(std::process::id().wrapping_mul(97) % u32::from(COUNT)).unwrap_or(0);
    let port = (0..COUNT)
        .map(|step| FIRST + (offset + step) % COUNT)
        .find(|port| !given.contains(port) && is_free(*port))
        .expect("no free port");
    given.insert(port);
    port
}

/// Whether a server could listen on this port now.
#[must_use]
pub fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()
}
