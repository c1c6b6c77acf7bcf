//! Providers that misbehave: a request that needs them is 500 and goes nowhere, and the next ordinary one is served.

use acceptance::{Gateway, merged, tampered};
use serde_json::{Value, json};
use support::envoy::{HttpFilter, Listener, WasmFilter};
use support::issuer::{SigningKey, b64, claims, jwks};
use support::provider::{Behaviour, DISCOVERY, JWKS, Provider};
use support::raw::{self, Answer};

/// The `timeout` of calls to a provider that answers, in milliseconds.
const PATIENT: u64 = 5000;
/// And to one that does not.
const IMPATIENT: u64 = 700;

/// A gateway whose listeners all have their own provider settings, so that each meets the provider for the first time.
struct Fresh {
    provider: Provider,
    gateway: Gateway,
    token: String,
    used: usize,
}

impl Fresh {
    fn new(listeners: usize, timeout: u64) -> Self {
        let provider = Provider::start();
        let members = |number: usize| {
            let timeout = timeout + u64::try_from(number).expect("few");
            json!({"timeout": timeout, "rediscovery_lifetime": 0})
        };
        let gateway = Gateway::with(&provider, members(0), |options| {
            for number in 1..listeners {
                let filter = WasmFilter::new(merged(provider.config(), members(number)));
                let filters = vec![HttpFilter::Wasm(Box::new(filter))];
                options
                    .listeners
                    .push(Listener::new(&format!("gateway-{number}"), filters));
            }
        });
        let token = provider.token();
        Self {
            provider,
            gateway,
            token,
            used: 0,
        }
    }

    /// The next listener, which nobody has used yet.
    fn next(&mut self) -> Meeting<'_> {
        let port = self.gateway.envoy.options().listeners[self.used].port;
        self.used += 1;
        Meeting { fresh: self, port }
    }
}

/// One listener and the provider it has not met.
struct Meeting<'a> {
    fresh: &'a Fresh,
    port: u16,
}

impl Meeting<'_> {
    fn get(&self, token: &str) -> Answer {
        raw::get_with_token(([127, 0, 0, 1], self.port).into(), "/hello", token)
    }

    fn on_every_worker(&self, action: impl FnMut()) {
        self.fresh.gateway.on_every_worker_of(self.port, action);
    }

    /// While the provider is like that nobody gets in; afterwards who has a token does.
    fn meets(&self, path: &str, behaviour: &Behaviour, what: &str) {
        let Fresh {
            provider,
            gateway,
            token,
            ..
        } = self.fresh;
        provider.always(path, behaviour.clone());
        self.on_every_worker(|| {
            let answer = self.get(token);
            assert_eq!(answer.status, 500, "{what}: {}", answer.text());
            assert!(gateway.upstream.take().is_empty(), "{what}");
        });
        provider.always(path, Behaviour::Normal);
        self.serves(what);
    }

    fn serves(&self, what: &str) {
        let Fresh { gateway, token, .. } = self.fresh;
        self.on_every_worker(|| {
            let answer = self.get(token);
            assert_eq!(
                answer.status,
                200,
                "{what}: {}\n{}",
                answer.text(),
                gateway.filter_log()
            );
            assert_eq!(
                gateway.upstream.take_one().all("x-user"),
                ["alex"],
                "{what}"
            );
            assert_eq!(self.get(&tampered(token)).status, 401, "{what}");
            assert!(gateway.upstream.take().is_empty(), "{what}");
        });
    }
}

/// Bytes that are no JSON, and JSON that is no document of a provider, on either path.
fn nonsense() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("nothing", Vec::new()),
        ("bytes", (0..=255).cycle().take(5000).collect()),
        ("a page", b"<!doctype html><title>Sign in</title>".to_vec()),
        ("half of JSON", br#"{"issuer": "http://"#.to_vec()),
        ("a list", b"[]".to_vec()),
        ("a number", b"12".to_vec()),
        ("null", b"null".to_vec()),
        ("no members", b"{}".to_vec()),
        (
            "members of other types",
            br#"{"issuer": 1, "jwks_uri": [], "keys": {}}"#.to_vec(),
        ),
        ("100,000 open lists", vec![b'['; 100_000]),
        ("100,000 open objects", br#"{"keys":"#.repeat(20_000)),
    ]
}

#[test]
fn nonsense_instead_of_metadata() {
    let mut fresh = Fresh::new(nonsense().len(), PATIENT);
    for (what, bytes) in nonsense() {
        fresh
            .next()
            .meets(DISCOVERY, &Behaviour::Answer(bytes), what);
    }
}

#[test]
fn nonsense_instead_of_keys() {
    let mut fresh = Fresh::new(nonsense().len(), PATIENT);
    for (what, bytes) in nonsense() {
        fresh.next().meets(JWKS, &Behaviour::Answer(bytes), what);
    }
}

#[test]
fn answers_that_are_none() {
    let behaviours = |provider: &Provider| {
        [
            (
                "a redirect to the real place",
                Behaviour::Redirect(format!("{}{JWKS}", provider.issuer())),
            ),
            (
                "a redirect to itself",
                Behaviour::Redirect(provider.issuer()),
            ),
            ("no content", Behaviour::Status(204)),
            ("created", Behaviour::Status(201)),
            ("not found", Behaviour::Status(404)),
            ("unauthorized", Behaviour::Status(401)),
            ("too many", Behaviour::Status(429)),
            ("an error", Behaviour::Status(500)),
            ("a closed connection", Behaviour::Close),
            ("half an answer", Behaviour::Cut),
        ]
    };
    let mut fresh = Fresh::new(20, PATIENT);
    for path in [DISCOVERY, JWKS] {
        for (what, behaviour) in behaviours(&fresh.provider) {
            fresh.next().meets(path, &behaviour, what);
        }
    }
}

#[test]
fn a_provider_that_takes_its_time() {
    let mut fresh = Fresh::new(4, IMPATIENT);
    for path in [DISCOVERY, JWKS] {
        fresh.next().meets(path, &Behaviour::Hang, "no answer");
        fresh
            .next()
            .meets(path, &Behaviour::Drip, "a byte now and then");
    }
}

#[test]
fn an_answer_that_never_ends_is_not_asked_for_twice() {
    let provider = Provider::start();
    let members = json!({"timeout": IMPATIENT, "rediscovery_lifetime": 0});
    let gateway = Gateway::with(&provider, members, |options| options.concurrency = 1);
    for (number, slow) in [Behaviour::Hang, Behaviour::Drip].into_iter().enumerate() {
        provider.always(DISCOVERY, slow);
        gateway.answered(&gateway.get_with_token(&provider.token()), 500);
        // A second call would double the time that a client waits.
        assert_eq!(provider.calls(DISCOVERY), number + 1);
    }
    provider.always(DISCOVERY, Behaviour::Normal);
    gateway.admits(&provider.token());
    gateway.refuses(&tampered(&provider.token()));
}

#[test]
fn metadata_that_leads_astray() {
    let addresses = [
        json!(null),
        json!("/jwks"),
        json!("ftp://127.0.0.1/jwks"),
        json!("javascript:alert(1)"),
        json!("http://"),
        json!("http:///jwks"),
        json!({"a": 1}),
    ];
    let mut fresh = Fresh::new(addresses.len() + 1, PATIENT);
    for address in addresses {
        fresh.provider.set_metadata(json!({"jwks_uri": address}));
        let meeting = fresh.next();
        meeting.on_every_worker(|| {
            assert_eq!(meeting.get(&meeting.fresh.token).status, 500, "{address}");
            assert!(meeting.fresh.gateway.upstream.take().is_empty());
        });
        meeting.fresh.provider.set_metadata(json!({}));
        meeting.serves(&address.to_string());
    }
    // Line breaks in an address go nowhere as header lines.
    let address = format!("{}{JWKS}\r\nx-evil: 1", fresh.provider.issuer());
    fresh.provider.set_metadata(json!({"jwks_uri": address}));
    let meeting = fresh.next();
    let _ = meeting.get(&meeting.fresh.token);
    let _ = meeting.fresh.gateway.upstream.take();
    let provider = &meeting.fresh.provider;
    assert!(
        provider
            .last_headers(JWKS)
            .iter()
            .all(|(name, _)| name != "x-evil")
    );
    provider.set_metadata(json!({}));
    meeting.serves("line breaks in an address");
}

#[test]
fn documents_of_a_size_nobody_needs() {
    let mut fresh = Fresh::new(4, PATIENT);
    let filler = |size: usize| "x".repeat(size);
    let big = |mut document: Value, size: usize| {
        document["filler"] = filler(size).into();
        Behaviour::Answer(document.to_string().into_bytes())
    };
    let keys = jwks([SigningKey::shared()]);
    let issuer = fresh.provider.issuer();
    let metadata = json!({"issuer": issuer, "jwks_uri": format!("{issuer}{JWKS}")});
    fresh
        .next()
        .meets(JWKS, &big(keys.clone(), 2 << 20), "a key set of 2 MiB");
    fresh.next().meets(
        DISCOVERY,
        &big(metadata.clone(), 2 << 20),
        "metadata of 2 MiB",
    );
    fresh.next().meets(
        JWKS,
        &big(keys.clone(), 40 << 20),
        "a key set beyond Envoy's own limit",
    );
    // Large, yet within reason.
    fresh.provider.always(DISCOVERY, big(metadata, 100_000));
    fresh.provider.always(JWKS, big(keys, 200_000));
    fresh.next().serves("large documents");
}

#[test]
fn more_keys_than_anybody_has() {
    let provider = Provider::start();
    let gateway = Gateway::before(&provider, json!({}));
    let other = SigningKey::generate("RS256", "template");
    let mut keys: Vec<Value> = (0..200)
        .map(|number| merged(other.jwk(), json!({"kid": format!("key-{number}")})))
        .collect();
    let last = SigningKey::generate("ES256", "last");
    keys.insert(60, SigningKey::shared().jwk());
    keys.push(last.jwk());
    provider.set_keys(json!({"keys": keys}));
    let token = last.token(&claims(&provider.issuer()));
    gateway.on_every_worker(|| {
        gateway.admits(&provider.token());
        // Only the first 64 keys are looked at, and the log says so.
        gateway.refuses(&token);
        gateway.refuses(&tampered(&provider.token()));
    });
    let log = gateway.filter_log();
    assert!(log.contains("more than 64 keys"), "{log}");
    assert!(
        log.lines().count() < 200,
        "the log is no place for 200 keys: {log}"
    );
}

/// Entries of a key set that are no keys.
fn bad_keys() -> Vec<Value> {
    let rsa = SigningKey::shared().jwk();
    let ec = SigningKey::generate("ES256", "ec").jwk();
    let of = |key: &Value, members: Value| merged(key.clone(), members);
    vec![
        json!(null),
        json!("key"),
        json!([]),
        json!({}),
        json!({"kty": 1}),
        json!({"kty": "RSA"}),
        json!({"kty": "oct", "k": b64(b"secret"), "kid": "shared"}),
        of(&rsa, json!({"n": "", "kid": "shared"})),
        of(&rsa, json!({"n": "!!!"})),
        of(&rsa, json!({"n": b64(&[0; 256])})),
        of(&rsa, json!({"n": b64(&[255; 64])})),
        of(&rsa, json!({"n": b64(&[255; 4000])})),
        of(&rsa, json!({"n": b64(&[254; 256])})),
        of(&rsa, json!({"e": b64(&[1])})),
        of(&rsa, json!({"e": b64(&[0])})),
        of(&rsa, json!({"e": b64(&[255; 256])})),
        of(&rsa, json!({"alg": "HS256"})),
        of(&rsa, json!({"alg": 7})),
        of(&rsa, json!({"use": "enc"})),
        of(&rsa, json!({"key_ops": ["sign"]})),
        of(&rsa, json!({"key_ops": "verify"})),
        of(&ec, json!({"x": b64(&[1; 32]), "kid": "shared"})),
        of(&ec, json!({"x": b64(&[0; 32]), "y": b64(&[0; 32])})),
        of(&ec, json!({"x": b64(&[255; 32]), "y": b64(&[255; 32])})),
        of(&ec, json!({"y": b64(&[1; 31])})),
        of(&ec, json!({"crv": "P-384"})),
        of(&ec, json!({"crv": "secp256k1"})),
        json!({"kty": "OKP", "crv": "Ed25519", "x": b64(&[255; 32])}),
        json!({"kty": "OKP", "crv": "Ed25519", "x": b64(&[1; 31])}),
        json!({"kty": "OKP", "crv": "Ed448", "x": b64(&[1; 57])}),
        json!({"kty": "AKP", "alg": "ML-DSA-44", "pub": b64(&[1; 1312])}),
    ]
}

#[test]
fn keys_that_are_none_stand_in_nobody_s_way() {
    let provider = Provider::start();
    let gateway = Gateway::before(&provider, json!({"rediscovery_lifetime": 0}));
    // A set of bad keys only: it is one, and has no key for this token.
    provider.set_keys(json!({"keys": bad_keys()}));
    gateway.on_every_worker(|| drop(gateway.refuses(&provider.token())));
    // With a good one at its end.
    let mut keys = bad_keys();
    keys.push(SigningKey::shared().jwk());
    provider.set_keys(json!({"keys": keys}));
    gateway.on_every_worker(|| {
        gateway.admits(&provider.token());
        gateway.refuses(&tampered(&provider.token()));
    });
    // An empty set withdraws it.
    provider.set_keys(json!({"keys": []}));
    let stranger = SigningKey::generate("ES256", "stranger").token(&claims(&provider.issuer()));
    gateway.on_every_worker(|| drop(gateway.refuses(&stranger)));
    gateway.on_every_worker(|| drop(gateway.refuses(&provider.token())));
    provider.set_keys(jwks([SigningKey::shared()]));
    gateway.on_every_worker(|| drop(gateway.admits(&provider.token())));
}
