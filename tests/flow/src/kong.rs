//! Kong's own OAuth 2.0 tokens, as its Admin API tells of them.

use serde_json::{Value, json};

use crate::stage::{KONG_ADMIN, merged};
use crate::world::{Dialect, World};

/// A token as Kong makes them: 32 letters and digits.
pub const SHOWN: &str = "Ab3dEf6hIj9kLm2nOp5qRs8tUv1wXy4z";
/// Its row's own id.
pub const ROW: &str = "0a1b2c3d-0000-4000-8000-000000000001";
/// The application that it was issued to.
pub const CREDENTIAL: &str = "0a1b2c3d-0000-4000-8000-000000000002";
/// Whose that is.
pub const CONSUMER: &str = "0a1b2c3d-0000-4000-8000-000000000003";
/// A service of Kong's.
pub const SERVICE: &str = "0a1b2c3d-0000-4000-8000-000000000004";
/// Another one.
pub const OTHER_SERVICE: &str = "0a1b2c3d-0000-4000-8000-000000000005";
/// What the Admin API tells of the application, and nobody else may learn.
pub const APPLICATION_SECRET: &str = "the-secret-of-the-application";

/// Where the row of a token stands.
#[must_use]
pub fn token_url(token: &str) -> String {
    format!("{KONG_ADMIN}/oauth2_tokens/{token}")
}

/// Where the application of [`SHOWN`] stands.
#[must_use]
pub fn credential_url() -> String {
    format!("{KONG_ADMIN}/oauth2_tokens/{SHOWN}/credential")
}

/// Where the Consumer of [`SHOWN`] stands.
#[must_use]
pub fn consumer_url() -> String {
    format!("{KONG_ADMIN}/consumers/{CONSUMER}")
}

/// The row of [`SHOWN`], issued just now, for no service.
#[must_use]
pub fn row(world: &World) -> Value {
    json!({
        "id": ROW, "access_token": SHOWN, "refresh_token": null, "token_type": "bearer",
        "credential": {"id": CREDENTIAL}, "service": null, "scope": "read write",
        "authenticated_userid": "user-7", "created_at": world.now(), "expires_in": 7200, "ttl": 1209600,
    })
}

/// The application.
#[must_use]
pub fn credential() -> Value {
    json!({
        "id": CREDENTIAL, "name": "app", "client_id": "the-app", "client_secret": APPLICATION_SECRET,
        "hash_secret": false, "redirect_uris": ["https://app.test/"], "client_type": "confidential",
        "consumer": {"id": CONSUMER}, "created_at": 1, "tags": null,
    })
}

/// The Consumer.
#[must_use]
pub fn consumer() -> Value {
    json!({
        "id": CONSUMER, "username": "alex", "custom_id": "alex-1", "tags": null, "created_at": 1,
        "updated_at": 1,
    })
}

/// Puts Kong's entities into a world.
pub fn put_all(world: &World) {
    world.put(&token_url(SHOWN), &row(world));
    world.put(&credential_url(), &credential());
    world.put(&consumer_url(), &consumer());
    world.keep_secret(APPLICATION_SECRET);
}

/// The members with these methods and the Admin API, whose members `admin` changes.
#[must_use]
pub fn config(methods: &[&str], admin: Value, members: Value) -> Value {
    let own = json!({"url": KONG_ADMIN, "global_credentials": true});
    let whole = json!({"auth_methods": methods, "kong_admin": merged(own, admin)});
    merged(whole, members)
}

/// How many calls the Admin API got.
#[must_use]
pub fn admin_calls(world: &World) -> usize {
    let calls = world.calls();
    let at_kong = calls.iter().filter(|call| call.url.starts_with(KONG_ADMIN));
    at_kong.count()
}

/// [`SHOWN`] is good, and whose it is reaches the upstream.
///
/// # Panics
/// When it is not so.
#[track_caller]
pub fn assert_alex(world: &World) {
    let outcome = world.show(SHOWN);
    assert_eq!(outcome.forwarded().all("x-consumer-id"), [CONSUMER]);
}

/// In both hosts, with Kong's entities in place.
#[track_caller]
pub fn each(admin: Value, members: Value, then: impl Fn(&World)) {
    for dialect in Dialect::BOTH {
        let members = config(&["kong_oauth2"], admin.clone(), members.clone());
        let world = World::with_login(dialect, members);
        put_all(&world);
        then(&world);
    }
}
