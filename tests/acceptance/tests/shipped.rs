//! The files in `envoy/`, as users get them.

use std::collections::BTreeSet;
use std::fs;

use acceptance::{Gateway, basic, bearer, session_cookies, tampered};
use support::browser::Browser;
use support::demo::{Ports, adapted};
use support::envoy::{Envoy, bearer_config, capabilities, login_capabilities, login_config};
use support::keycloak::{CLIENT, CLIENT_SECRET, Keycloak, REALM, ROBOT};
use support::raw;
use support::upstream::Upstream;

/// Free ports for a gateway before this provider and this upstream.
fn ports_before(keycloak: &Keycloak, upstream: &Upstream) -> Ports {
    Ports {
        keycloak: keycloak.address().port(),
        website: upstream.address().port(),
        ..Ports::free()
    }
}

#[test]
fn the_shipped_configuration_lets_in_who_has_a_token_of_keycloak() {
    let keycloak = Keycloak::shared();
    let upstream = Upstream::start();
    let ports = ports_before(keycloak, &upstream);
    let (port, admin) = (ports.gateway, ports.admin);
    let bootstrap = adapted(&bearer_config(), ports).expect("the file");
    let envoy = Envoy::from_bootstrap(&bootstrap, port, admin).expect("it starts");
    let address = ([127, 0, 0, 1], port).into();
    let token = keycloak.password_token("alex", "doe");
    for worker in 0..2 {
        let name = format!("listener.0.0.0.0_{port}.worker_{worker}.downstream_cx_total");
        // Until both have served.
        let before = envoy.stat(&name).expect("a counter");
        for _ in 0..100 {
            for bad in [
                raw::get(address, "/hello", &[]),
                raw::get_with_token(address, "/hello", &tampered(&token)),
            ] {
                assert_eq!(bad.status, 401, "{}", bad.text());
            }
            assert!(upstream.seen().is_empty());
            let good = raw::get_with_token(address, "/hello", &token);
            assert_eq!(good.status, 200, "{}\n{}", good.text(), envoy.logs());
            let seen = upstream.take_one();
            assert_eq!(seen.header("x-user").as_deref(), Some("alex"));
            assert_eq!(seen.header("x-email").as_deref(), Some("alex@example.test"));
            assert_eq!(
                seen.header("authorization"),
                Some(format!("Bearer {token}"))
            );
            if envoy.stat(&name) > Some(before) {
                break;
            }
        }
        assert!(
            envoy.stat(&name) > Some(before),
            "worker {worker} got no connection"
        );
    }
    // As for everybody else, a token of the client itself has no user.
    let own = raw::get_with_token(address, "/hello", &keycloak.client_token());
    assert_eq!(own.status, 200, "{}", own.text());
    assert_eq!(upstream.take_one().header("x-email"), None);

    let log = envoy.logs();
    let restricted = log.lines().find(|line| line.contains("restricted"));
    assert_eq!(restricted, None);
    assert_eq!(envoy.stat("wasm.oidc.vm_reload"), Some(0));
    let outdated = log
        .lines()
        .find(|line| line.to_ascii_lowercase().contains("deprecated"));
    assert_eq!(outdated, None);
}

/// The examples that ask Keycloak about a credential: a header with a good one, with its nearest twin, and who has it.
fn credentials(
    keycloak: &Keycloak,
) -> [(&'static str, &'static str, [String; 2], &'static str); 6] {
    let basic = |name: &str, good: &str| [basic(name, good), basic(name, &format!("{good}x"))];
    let alex = || basic("alex", "doe");
    let token = keycloak.password_token("alex", "doe");
    let tokens = [bearer(&token), bearer(&tampered(&token))];
    let fields = [
        ("grant_type", "password"),
        ("client_id", CLIENT),
        ("client_secret", CLIENT_SECRET),
        ("username", "alex"),
        ("password", "doe"),
        ("scope", "openid profile email"),
    ];
    let refresh = keycloak.token(REALM, &fields)["refresh_token"].clone();
    let refresh = refresh.as_str().expect("a refresh token");
    let refresh = [refresh.to_owned(), tampered(refresh)];
    let robot = basic(ROBOT.0, ROBOT.1);
    [
        ("session", "authorization", alex(), "alex"),
        ("introspection", "authorization", tokens.clone(), "alex"),
        ("user-info", "authorization", tokens, "alex"),
        ("refresh-token", "refresh-token", refresh, "alex"),
        ("password", "authorization", alex(), "alex"),
        (
            "client-credentials",
            "authorization",
            robot,
            "service-account-robot",
        ),
    ]
}

#[test]
fn every_shipped_example_lets_in_who_may_and_not_the_twin() {
    let keycloak = Keycloak::shared();
    let rows = credentials(keycloak);
    // Those that have tests of their own.
    let known = ["authorization-code", "bearer", "kong-oauth-token", "routes"];
    let known = known.into_iter().chain(rows.iter().map(|row| row.0));
    let known: BTreeSet<String> = known.map(|flow| format!("{flow}.yaml")).collect();
    let folder = fs::read_dir(support::workspace().join("envoy")).expect("the folder");
    let names = folder.map(|file| file.expect("a file").file_name());
    let found = names
        .filter_map(|name| name.into_string().ok())
        .filter(|name| name.ends_with(".yaml") && name != "docker-compose.yaml");
    assert_eq!(found.collect::<BTreeSet<_>>(), known);

    for (flow, header, [good, twin], user) in rows {
        let gateway = Gateway::shipped(flow, 2);
        let ask = |value: &str| gateway.get("/orders", &[(header, value), ("x-user", "root")]);
        gateway.answered(&gateway.get("/orders", &[("x-user", "root")]), 401);
        gateway.answered(&ask(&twin), 401);
        let answer = ask(&good);
        let seen = gateway.forwarded_as(&answer, user);
        let email = (user == "alex").then(|| "alex@example.test".to_owned());
        assert_eq!(seen.header("x-email"), email, "{flow}");
        let token = seen.header("authorization").expect("a token");
        assert_eq!(token.matches('.').count(), 2, "{flow}: {token}");
        // After the good one, too.
        gateway.answered(&ask(&twin), 401);
        for cookie in session_cookies(&answer) {
            assert_eq!(flow, "session");
            let show = |cookie: &str| gateway.get("/orders", &[("cookie", cookie)]);
            gateway.forwarded(&show(&cookie));
            gateway.answered(&show(&tampered(&cookie)), 401);
        }
        assert_eq!(
            session_cookies(&answer).len(),
            usize::from(flow == "session")
        );
        let log = gateway.envoy.logs().to_ascii_lowercase();
        let outdated = log.lines().find(|line| line.contains("deprecated"));
        assert_eq!(outdated, None, "{flow}");
    }
}

/// Names of the functions that a module imports and exports (WebAssembly core specification, section 5.5).
fn imports_and_exports(module: &[u8]) -> [BTreeSet<String>; 2] {
    let mut names = [BTreeSet::new(), BTreeSet::new()];
    let mut reader = Reader(&module[8..]);
    while !reader.0.is_empty() {
        let id = reader.byte();
        let size = reader.number();
        let (section, rest) = reader.0.split_at(size);
        reader.0 = rest;
        let mut section = Reader(section);
        match id {
            2 => {
                for _ in 0..section.number() {
                    let _module = section.name();
                    let name = section.name();
                    assert_eq!(section.byte(), 0, "{name} is no function");
                    section.number();
                    names[0].insert(name);
                }
            }
            7 => {
                for _ in 0..section.number() {
                    let name = section.name();
                    section.byte();
                    section.number();
                    names[1].insert(name);
                }
            }
            _ => {}
        }
    }
    names
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn byte(&mut self) -> u8 {
        let byte = self.0[0];
        self.0 = &self.0[1..];
        byte
    }

    /// LEB128.
    fn number(&mut self) -> usize {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = self.byte();
            value |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                return value;
            }
        }
    }

    fn name(&mut self) -> String {
        let size = self.number();
        let (name, rest) = self.0.split_at(size);
        self.0 = rest;
        String::from_utf8_lossy(name).into_owned()
    }
}

#[test]
fn the_shipped_login_sends_visitors_to_keycloak_and_lets_tokens_in() {
    let keycloak = Keycloak::shared();
    let upstream = Upstream::start();
    let ports = ports_before(keycloak, &upstream);
    let (port, admin) = (ports.gateway, ports.admin);
    let bootstrap = adapted(&login_config(), ports).expect("the file");
    let without = Envoy::from_bootstrap(&bootstrap, port, admin)
        .err()
        .expect("a refusal");
    assert!(without.log.contains("config.session_secret"), "{without}");
    let secret = [("SESSION_SECRET", "a-secret-of-more-than-sixteen-bytes")];
    let envoy = Envoy::from_bootstrap_with(&bootstrap, port, admin, &secret).expect("it starts");
    let address = ([127, 0, 0, 1], port).into();
    let visitor = raw::get(address, "/hello?a=1", &[]);
    assert_eq!(visitor.status, 302, "{}\n{}", visitor.text(), envoy.logs());
    let place = visitor.header("location").expect("a place to log in");
    let endpoint = keycloak.endpoint(REALM, "auth");
    assert!(
        place.starts_with(&format!("{endpoint}?response_type=code&client_id=kong&")),
        "{place}"
    );
    for argument in [
        "state=",
        "nonce=",
        "code_challenge=",
        "code_challenge_method=S256",
    ] {
        assert!(place.contains(argument), "{argument}: {place}");
    }
    let cookie = visitor.header("set-cookie").expect("a cookie");
    assert!(
        cookie.starts_with("authorization_") && cookie.contains("; HttpOnly"),
        "{cookie}"
    );
    assert_eq!(visitor.header("cache-control"), Some("private, no-store"));
    let token = keycloak.password_token("alex", "doe");
    // A bad credential never becomes a login.
    let bad = raw::get_with_token(address, "/hello", &tampered(&token));
    assert_eq!((bad.status, bad.header("location")), (401, None));
    assert!(upstream.seen().is_empty());
    let good = raw::get_with_token(address, "/hello", &token);
    assert_eq!(good.status, 200, "{}\n{}", good.text(), envoy.logs());
    assert_eq!(
        upstream.take_one().header("x-user").as_deref(),
        Some("alex")
    );
    assert!(!envoy.logs().contains("restricted"), "{}", envoy.logs());
}

#[test]
fn the_shipped_login_leads_in_and_out_again() {
    let keycloak = Keycloak::shared();
    let upstream = Upstream::start();
    let ports = ports_before(keycloak, &upstream);
    let (port, admin) = (ports.gateway, ports.admin);
    let bootstrap = adapted(&login_config(), ports).expect("the file");
    let secret = [("SESSION_SECRET", "a-secret-of-more-than-sixteen-bytes")];
    let envoy = Envoy::from_bootstrap_with(&bootstrap, port, admin, &secret).expect("it starts");
    let url = |target: &str| format!("http://127.0.0.1:{port}{target}");

    let mut browser = Browser::new();
    let page = browser.log_in(&url("/hello?a=1"));
    let text = page.answer.text();
    assert_eq!(page.answer.status, 200, "{text}\n{}", envoy.logs());
    assert_eq!(page.url.as_str(), url("/hello?a=1"));
    let seen = upstream.take_one();
    assert_eq!(seen.target, "/hello?a=1");
    assert_eq!(seen.header("x-user").as_deref(), Some("alex"));
    assert_eq!(seen.header("x-email").as_deref(), Some("alex@example.test"));
    assert_eq!(seen.header("cookie"), None);
    let token = seen.header("authorization").expect("a token");
    // On whichever worker.
    for _ in 0..20 {
        assert_eq!(browser.get(&url("/hello")).answer.status, 200);
        assert_eq!(
            upstream.take_one().header("authorization"),
            Some(token.clone())
        );
    }

    let copied = browser.clone();
    let page = browser.get(&url("/logout"));
    assert!(browser.named("session").is_empty(), "{browser:?}");
    let place = page.location().expect("a redirect").to_string();
    assert!(
        place.starts_with(&keycloak.endpoint(REALM, "logout")),
        "{place}"
    );
    let back = browser.get(&place);
    assert_eq!(back.answer.header("location"), Some(ports.url().as_str()));
    assert!(upstream.take().is_empty());
    // Keycloak has forgotten alex, too: its form comes again.
    let page = browser.get(&url("/hello"));
    let page = browser.follow(page);
    assert!(page.asks_for_password(), "{page:?}");
    assert!(upstream.take().is_empty());
    // A cookie that was copied before is good until its access token ends: it lives in the browser alone.
    assert_eq!(copied.clone().get(&url("/hello")).answer.status, 200);

    let log = envoy.logs();
    assert!(!log.contains("restricted"), "{log}");
    assert_eq!(envoy.stat("wasm.oidc.vm_reload"), Some(0));
    assert!(!log.to_ascii_lowercase().contains("deprecated"), "{log}");
}

/// Exported because Kong looks for no callback before it calls.
const FOR_KONG: [&str; 4] = [
    "proxy_on_done",
    "proxy_on_log",
    "proxy_on_response_body",
    "proxy_on_response_trailers",
];

/// What the list leaves out where nothing but bearer tokens is let in: there the filter has no word in the response.
const FOR_RESPONSES: [&str; 1] = ["proxy_on_response_headers"];

#[test]
fn the_lists_of_capabilities_name_what_the_module_needs_and_no_more() {
    let module = fs::read(support::module()).expect("the module");
    let [imports, exports] = imports_and_exports(&module);
    let callbacks = exports.iter().filter(|name| name.starts_with("proxy_on_"));
    let callbacks = callbacks.filter(|name| !FOR_KONG.contains(&name.as_str()));
    let needed: BTreeSet<&String> = imports.iter().chain(callbacks).collect();
    for (list, spared) in [
        (capabilities(), &FOR_RESPONSES[..]),
        (login_capabilities(), &[]),
    ] {
        let listed: BTreeSet<&String> = list.as_object().expect("an object").keys().collect();
        let missing = needed.difference(&listed);
        let missing: Vec<_> = missing
            .filter(|name| !spared.contains(&name.as_str()))
            .collect();
        assert!(missing.is_empty(), "needed and not listed: {missing:?}");
        // What is no callback is exported for every host alike.
        let unneeded: Vec<_> = listed
            .difference(&needed)
            .filter(|name| name.starts_with("proxy_on_") || !exports.contains(**name))
            .collect();
        assert!(unneeded.is_empty(), "listed and not needed: {unneeded:?}");
        for name in spared {
            assert!(!listed.contains(&(*name).to_owned()), "{name}");
        }
    }
}
