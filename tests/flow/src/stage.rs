//! Keys, claims and configurations that most tests use.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Mutex, OnceLock, PoisonError};

use oidc_filter::http::Call;
use serde_json::{Value, json};
use support::issuer::{self, SigningKey};

use crate::browser::Browser;
use crate::idp::{AUTHORIZE, CLIENT, END_SESSION, INTROSPECT, Idp, SECRET, TOKEN, USERINFO};
use crate::world::{Dialect, World};

/// The provider's identifier.
pub const ISSUER: &str = "https://idp.test/realm";
/// Where its metadata stand.
pub const DISCOVERY: &str = "https://idp.test/realm/.well-known/openid-configuration";
/// Kong's Admin API.
pub const KONG_ADMIN: &str = "http://kong.test/team";
/// Where its keys stand.
pub const KEYS: &str = "https://idp.test/realm/keys";

/// The ES256 key of this name: one for the whole test process.
#[must_use]
pub fn key(kid: &str) -> &'static SigningKey {
    key_for("ES256", kid)
}

/// The key of this algorithm and name: one for the whole test process, since RSA keys are dear.
#[must_use]
pub fn key_for(alg: &str, kid: &str) -> &'static SigningKey {
    static KNOWN: OnceLock<Mutex<HashMap<String, &'static SigningKey>>> = OnceLock::new();
    let known = KNOWN.get_or_init(Mutex::default);
    let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
    known
        .entry(format!("{alg} {kid}"))
        .or_insert_with(|| Box::leak(Box::new(SigningKey::generate(alg, kid))))
}

/// A configuration for the provider above that tells the upstream the user in `x-user`, and `members`.
#[must_use]
pub fn config(members: Value) -> Value {
    let whole = json!({
        "issuer": ISSUER,
        "auth_methods": ["bearer"],
        "upstream_headers_claims": ["preferred_username"],
        "upstream_headers_names": ["x-user"],
    });
    merged(whole, members)
}

/// A configuration under which people log in with a browser, and `members`.
#[must_use]
pub fn login_config(members: Value) -> Value {
    let login = json!({
        "auth_methods": ["authorization_code", "session", "bearer"],
        "client_id": [CLIENT],
        "client_secret": [SECRET],
        "session_secret": "a secret that nobody guesses",
    });
    config(merged(login, members))
}

/// `base` with the members of `changes`; a null removes one.
///
/// # Panics
/// When one of them is no object.
#[must_use]
pub fn merged(mut base: Value, changes: Value) -> Value {
    let members = base.as_object_mut().expect("an object");
    for (name, value) in changes.as_object().expect("an object") {
        if value.is_null() {
            members.remove(name);
        } else {
            members.insert(name.clone(), value.clone());
        }
    }
    base
}

/// In both hosts, a world with these ways in and members.
#[track_caller]
pub fn with_methods(methods: &[&str], members: Value, then: impl Fn(&World)) {
    for dialect in Dialect::BOTH {
        let all = merged(json!({"auth_methods": methods}), members.clone());
        then(&World::with_login(dialect, all));
    }
}

/// In both hosts, alex after a login.
#[track_caller]
pub fn logged_in(members: Value, then: impl Fn(&World, &Browser<'_>)) {
    for dialect in Dialect::BOTH {
        after_login(&World::with_login(dialect, members.clone()), &then);
    }
}

/// The same with tokens that outlive everything here.
#[track_caller]
pub fn logged_in_for_long(members: Value, then: impl Fn(&World, &Browser<'_>)) {
    for dialect in Dialect::BOTH {
        let world = World::with_login(dialect, members.clone());
        world.idp().set(|idp| idp.lifetime = 1_000_000);
        after_login(&world, &then);
    }
}

#[track_caller]
fn after_login(world: &World, then: &impl Fn(&World, &Browser<'_>)) {
    let browser = world.browser();
    browser.enter("/app").outcome.assert_user("alex");
    then(world, &browser);
}

impl World {
    /// A world with the provider above, which has the key `k1`, and a route with `members`.
    #[must_use]
    #[track_caller]
    pub fn ready(dialect: Dialect, members: Value) -> World {
        let world = World::new(dialect, 1);
        world.put_provider();
        world.route(&config(members));
        world
    }

    /// Puts the provider above into this world, with the key `k1`.
    pub fn put_provider(&self) {
        self.put(DISCOVERY, &json!({"issuer": ISSUER, "jwks_uri": KEYS}));
        self.publish(&["k1"]);
    }

    /// A world where people log in with a browser, with a route with `members`.
    #[must_use]
    #[track_caller]
    pub fn with_login(dialect: Dialect, members: Value) -> World {
        let world = World::new(dialect, 1);
        world.put_login(json!({}));
        world.route(&login_config(members));
        world
    }

    /// Puts the provider with all its endpoints into this world, with `changes` to its metadata.
    pub fn put_login(&self, changes: Value) {
        let metadata = json!({
            "issuer": ISSUER, "jwks_uri": KEYS, "authorization_endpoint": AUTHORIZE,
            "token_endpoint": TOKEN, "end_session_endpoint": END_SESSION,
            "introspection_endpoint": INTROSPECT, "userinfo_endpoint": USERINFO,
            "code_challenge_methods_supported": ["S256"],
        });
        self.put(DISCOVERY, &merged(metadata, changes));
        self.publish(&["k1"]);
        let idp = Rc::downgrade(&self.inner.idp);
        let serve = Rc::new(move |call: &Call, now| match idp.upgrade() {
            Some(idp) => idp.token(call, now),
            None => (503, Value::Null),
        });
        self.inner.network.borrow_mut().serve(TOKEN, serve);
        let idp = Rc::downgrade(&self.inner.idp);
        let introspect = Rc::new(move |call: &Call, now| match idp.upgrade() {
            Some(idp) => idp.introspect(call, now),
            None => (503, Value::Null),
        });
        let idp = Rc::downgrade(&self.inner.idp);
        let userinfo = Rc::new(move |call: &Call, now| match idp.upgrade() {
            Some(idp) => idp.userinfo(call, now),
            None => (503, Value::Null),
        });
        let mut network = self.inner.network.borrow_mut();
        network.serve(INTROSPECT, introspect);
        network.serve(USERINFO, userinfo);
        drop(network);
        self.keep_secret(SECRET);
    }

    /// The provider where people log in.
    #[must_use]
    pub fn idp(&self) -> &Idp {
        &self.inner.idp
    }

    /// From now on the provider has the ES256 keys of these names.
    pub fn publish(&self, kids: &[&str]) {
        self.put(KEYS, &issuer::jwks(kids.iter().map(|kid| key(kid))));
    }

    /// The claims of alex, good for five minutes, with `changes`; a null removes a claim.
    #[must_use]
    pub fn claims(&self, changes: Value) -> Value {
        let now = self.now();
        let claims = json!({"iat": now, "exp": now + 300});
        merged(merged(issuer::claims(ISSUER), claims), changes)
    }

    /// A token of key `k1` with these claims.
    #[must_use]
    pub fn token(&self, changes: Value) -> String {
        self.token_of("k1", changes)
    }

    /// A token of this key with these claims.
    #[must_use]
    pub fn token_of(&self, kid: &str, changes: Value) -> String {
        key(kid).token(&self.claims(changes))
    }
}
