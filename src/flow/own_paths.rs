//! Our own paths: requests that are answered here, whoever sends them.

use serde_json::json;

use crate::config::Config;
use crate::http::{Request, Response};
use crate::jose::public_jwks;

/// How long a provider may keep our keys, in seconds: a new key is published before it signs.
const KEYS_KEPT: &[u8] = b"public, max-age=300";

/// The answer to a request for one of our own paths: the client's path, letter by letter.
pub fn answer(config: &Config, request: &Request) -> Option<Response> {
    let own = &config.own_paths;
    let path = request.path()?;
    let is = |own: &Option<String>| own.as_ref().is_some_and(|own| own.as_bytes() == path);
    if is(&own.status) {
        Some(reading(request, status))
    } else if is(&own.jwks) {
        Some(reading(request, || jwks(config)))
    } else {
        None
    }
}

/// What answers GET, and HEAD, whose body the host leaves out.
fn reading(request: &Request, answer: impl FnOnce() -> Response) -> Response {
    match request.is_navigation() {
        true => answer(),
        false => Response::new(405).with("allow", b"GET, HEAD"),
    }
}

fn status() -> Response {
    Response::new(200).with_json(&json!({ "filter": "oidc-filter", "status": "ready" }))
}

/// The public halves of the keys that our clients sign with (RFC 7517 section 5), on all routes. Trap T3: no
/// private member can be in it.
fn jwks(config: &Config) -> Response {
    let clients = config.all().flat_map(|config| config.clients.iter());
    let keys = clients.filter_map(|client| client.key.as_deref());
    let mut response =
        Response::cacheable(200, KEYS_KEPT).with("content-type", b"application/jwk-set+json");
    response.body = public_jwks(keys).to_string().into_bytes();
    response
}
