//! Other rules for a part of the requests (`routes`).

use flow::idp::{CLIENT, SECOND, TOKEN};
use flow::stage::{DISCOVERY, KEYS, login_config};
use flow::{Dialect, Outcome, Request, World};
use proptest::prelude::*;
use serde_json::{Value, json};

fn public(paths: &[&str]) -> Value {
    json!({"routes": [{"match": {"paths": paths}, "disabled": true}]})
}

/// Both hosts, with these routes.
fn each(members: Value, then: impl Fn(&World)) {
    for dialect in Dialect::BOTH {
        then(&World::ready(dialect, members.clone()));
    }
}

/// Answered 400 with this code, and only the operator learns it.
#[track_caller]
fn assert_ambiguous(world: &World, outcome: &Outcome, code: &str) {
    outcome.assert_status(400);
    assert_eq!(outcome.json(), json!({"message": "Bad request"}));
    assert!(world.logged(&format!("oidc-filter: {code}: ")), "{code}");
}

#[test]
fn the_first_match_counts_and_no_match_is_the_outer_configuration() {
    let members = json!({"roles_required": ["staff"], "routes": [
        {"match": {"paths": ["/admin/*"]}, "config": {"roles_required": ["admin"]}},
        {"match": {"paths": ["/admin/*", "/open/*"]}, "disabled": true},
        {"match": {"paths": ["/open/*"]}, "config": {"roles_required": ["nobody"]}},
    ]});
    each(members, |world| {
        let staff = world.token(json!({"roles": ["staff"]}));
        let admin = world.token(json!({"roles": ["admin"]}));
        world
            .ask(Request::get("/").bearer(&staff))
            .assert_user("alex");
        world
            .ask(Request::get("/").bearer(&admin))
            .assert_status(403);
        for path in ["/admin", "/admin/", "/admin/x?y=1"] {
            world
                .ask(Request::get(path).bearer(&admin))
                .assert_user("alex");
            world
                .ask(Request::get(path).bearer(&staff))
                .assert_status(403);
            world.ask(Request::get(path)).assert_status(401);
        }
        assert!(world.ask(Request::get("/open/x")).is_forwarded());
        // Not a directory of its own.
        world.ask(Request::get("/openly")).assert_status(401);
        world
            .ask(Request::get("/administration").bearer(&staff))
            .assert_user("alex");
    });
}

#[test]
fn a_member_is_overlaid_as_a_whole_and_a_null_is_its_default() {
    let members = json!({"audience_required": ["a"], "upstream_headers_claims": ["preferred_username", "sub"],
        "upstream_headers_names": ["x-user", "x-sub"], "routes": [
        {"match": {"paths": ["/b"]}, "config": {"audience_required": ["b"]}},
        {"match": {"paths": ["/any"]}, "config": {"audience_required": null}},
        {"match": {"paths": ["/off"]}, "config": {"upstream_access_token_header": null, "audience_required": null}},
    ]});
    each(members, |world| {
        let a = world.token(json!({"aud": "a"}));
        let b = world.token(json!({"aud": "b"}));
        world.ask(Request::get("/").bearer(&a)).assert_user("alex");
        world.ask(Request::get("/").bearer(&b)).assert_status(403);
        world.ask(Request::get("/b").bearer(&b)).assert_user("alex");
        world.ask(Request::get("/b").bearer(&a)).assert_status(403);
        let any = world.ask(Request::get("/any").bearer(&b));
        assert_eq!(
            any.forwarded().all("x-sub").len(),
            1,
            "the outer members are there"
        );
        let off = world.ask(Request::get("/off").bearer(&b));
        off.assert_user("alex");
        let left = off.forwarded().header("authorization").unwrap_or_default();
        assert_eq!(
            left, "",
            "the null switches the header off, as it does outside"
        );
    });
}

#[test]
fn hosts_are_told_apart_without_case_port_and_the_last_dot() {
    let members = json!({"routes": [
        {"match": {"hosts": ["open.test", "*.open.test"]}, "disabled": true},
    ]});
    each(members, |world| {
        let at = |host: &str| world.ask(Request::get("/").with(":authority", host));
        for host in [
            "open.test",
            "OPEN.test:8443",
            "open.test.",
            "a.open.test",
            "a.b.open.test:80",
        ] {
            assert!(at(host).is_forwarded(), "{host}");
        }
        // CVE-2021-21291: a name below another begins with a dot.
        for host in [
            "evil-open.test",
            "open.test.evil.test",
            "api.test",
            ".open.test",
        ] {
            at(host).assert_status(401);
        }
        for host in [
            "open.test,api.test",
            "api.test@open.test",
            "open.test/..",
            "open.test:8x",
            "open.test%00",
            "",
        ] {
            assert_ambiguous(world, &at(host), "host_ambiguous");
        }
        let forwarded = Request::get("/").header("x-forwarded-host", "open.test");
        world.ask(forwarded).assert_status(401);
    });
}

#[test]
fn methods_are_told_apart_by_case() {
    let members =
        json!({"routes": [{"match": {"methods": ["GET"], "paths": ["/read"]}, "disabled": true}]});
    each(members, |world| {
        assert!(world.ask(Request::get("/read")).is_forwarded());
        world.ask(Request::new("POST", "/read")).assert_status(401);
        world.ask(Request::new("HEAD", "/read")).assert_status(401);
        world
            .ask(Request::new("POST", "/read").header("x-http-method-override", "GET"))
            .assert_status(401);
        assert_ambiguous(
            world,
            &world.ask(Request::new("get", "/read")),
            "method_ambiguous",
        );
        world.ask(Request::new("get", "/other")).assert_status(401);
    });
}

/// Rivals' bypasses by path, each with the place that it was meant for.
const BYPASSES: [&str; 33] = [
    // Oathkeeper CVE-2026-33494: traversal past the rules.
    "/public/../private",
    "/public/a/../../private",
    "/public/..",
    "/public/.././private",
    // Kong CVE-2021-27306: encoded once, and twice.
    "/public/%2e%2e/private",
    "/public/%2E%2E/private",
    "/public/.%2e/private",
    "/public/..%2fprivate",
    "/public/..%2Fprivate",
    "/public%2f..%2fprivate",
    "/public/%252e%252e/private",
    "/public/..%252fprivate",
    "/public/%252e%252e%252fprivate",
    // Envoy CVE-2026-73551, CVE-2026-73511: parameters of a segment.
    "/public/..;/private",
    "/public/..;a=b/private",
    "/public/..;a=%2f/private",
    "/public/..%3b/private",
    "/public/..%253b/private",
    "/public/;/../../private",
    // The other slash.
    "/public/..\\private",
    "/public\\..\\private",
    "/public/..%5cprivate",
    "/public/..%255cprivate",
    // Empty segments, in either order with dots.
    "/public//../../private",
    "//public/../private",
    "//public/x",
    "/public%2fx",
    // oauth2-proxy CVE-2026-41059: a fragment; and what ends a text for others.
    "/private#/../public/x/../../public/x",
    "/public/../private%00",
    "/public/%00/../../private",
    "/public/..%09/private",
    "/%70ublic/x",
    "/public/..%0d%0a/private",
];

#[test]
fn a_path_that_leads_elsewhere_for_another_server_is_refused() {
    each(public(&["/public/*"]), |world| {
        assert!(world.ask(Request::get("/public/x")).is_forwarded());
        world.ask(Request::get("/private")).assert_status(401);
        for path in BYPASSES {
            assert_ambiguous(world, &world.ask(Request::get(path)), "path_ambiguous");
            let token = world.token(json!({}));
            let with_token = world.ask(Request::get(path).bearer(&token));
            with_token.assert_status(400);
        }
    });
}

#[test]
fn stricter_rules_are_not_left_by_another_spelling() {
    let members = json!({"routes": [{"match": {"paths": ["/private/*"]}, "config": {"roles_required": ["admin"]}}]});
    each(members, |world| {
        let token = world.token(json!({}));
        world
            .ask(Request::get("/public").bearer(&token))
            .assert_user("alex");
        for path in [
            "/public/../private/x",
            "/%70rivate/x",
            "//private/x",
            "/./private/x",
            "/private;a/x",
            "/x/..%2fprivate",
            "/%2e/private",
            "\\private\\x",
            "/%2570rivate",
            "/private%2fx",
            "/private%00",
            "/private%23",
            "/private%3f/x",
            "/pri%0avate/x",
        ] {
            world
                .ask(Request::get(path).bearer(&token))
                .assert_status(400);
        }
        // All ways lead to the same rules.
        world
            .ask(Request::get("/private/a%20b//c;d").bearer(&token))
            .assert_status(403);
        world
            .ask(Request::get("/public/a%20b//c;d").bearer(&token))
            .assert_user("alex");
    });
}

#[test]
fn nothing_but_the_path_chooses_by_paths() {
    each(public(&["/public/*"]), |world| {
        // oauth2-proxy CVE-2025-54576, CVE-2026-40575, CVE-2026-34457.
        world
            .ask(Request::get("/private?/public/x"))
            .assert_status(401);
        world
            .ask(Request::get("/private?x=/public/"))
            .assert_status(401);
        for (name, value) in [
            ("x-forwarded-uri", "/public/x"),
            ("x-original-url", "/public/x"),
            ("x-rewrite-url", "/public/x"),
            ("x-envoy-original-path", "/public/x"),
            ("x-forwarded-prefix", "/public"),
            ("user-agent", "kube-probe/1.31"),
            ("accept", "text/event-stream"),
        ] {
            world
                .ask(Request::get("/private").header(name, value))
                .assert_status(401);
        }
        // A query is nobody's path.
        assert!(
            world
                .ask(Request::get("/public/x?a=../private&b=//;"))
                .is_forwarded()
        );
        assert_ambiguous(
            world,
            &world.ask(Request::get("http://api.test/public/x")),
            "path_ambiguous",
        );
        world.ask(Request::new("OPTIONS", "*")).assert_status(401);
    });
}

#[test]
fn on_kong_its_own_reading_of_the_path_counts_too() {
    let world = World::ready(Dialect::Kong, public(&["/public/*"]));
    let same = Request::get("/public/x").read_by_host_as("/public/x");
    assert!(world.ask(same).is_forwarded());
    let other = Request::get("/public/x").read_by_host_as("/private");
    assert_ambiguous(&world, &world.ask(other), "path_ambiguous");
    let other = Request::get("/private").read_by_host_as("/public/x");
    assert_ambiguous(&world, &world.ask(other), "path_ambiguous");
}

#[test]
fn without_paths_in_the_list_no_path_is_ambiguous() {
    let members = json!({"routes": [{"match": {"hosts": ["open.test"]}, "disabled": true}]});
    each(members, |world| {
        let token = world.token(json!({}));
        let outcome = world.ask(Request::get("/a/..%2fb//c;d").bearer(&token));
        outcome.assert_user("alex");
    });
}

#[test]
fn a_disabled_route_takes_out_every_name_that_is_anybodys() {
    let members = json!({"routes": [
        {"match": {"paths": ["/public"]}, "disabled": true},
        {"match": {"paths": ["/other"]}, "config": {
            "upstream_headers_claims": ["sub"], "upstream_headers_names": ["x-sub"],
            "session_cookie_name": "other", "auth_methods": ["session", "bearer"],
            "session_secret": null}},
    ], "session_secret": "a secret that nobody guesses", "auth_methods": ["session", "bearer"]});
    let members = {
        let mut members = members;
        let own = members["routes"][1]["config"].as_object_mut().unwrap();
        own.remove("session_secret");
        members
    };
    each(members, |world| {
        let forged = Request::get("/public")
            .header("x-user", "root")
            .header("x-sub", "root")
            .header("authorization", "Bearer forged")
            .header("x-consumer-username", "root")
            .header("cookie", "session=a; other=b; theirs=c");
        let outcome = world.ask(forged);
        let seen = outcome.forwarded();
        for name in ["x-user", "x-sub", "authorization", "x-consumer-username"] {
            assert_eq!(seen.header(name).unwrap_or_default(), "", "{name}");
        }
        assert_eq!(seen.header("cookie").as_deref(), Some("theirs=c"));
        // Nor does one route let through what another sets.
        let token = world.token(json!({}));
        let outcome = world.ask(Request::get("/").header("x-sub", "root").bearer(&token));
        assert_eq!(outcome.forwarded().header("x-sub").unwrap_or_default(), "");
        world.ask(Request::get("/private")).assert_status(401);
    });
}

#[test]
fn fifty_routes_on_one_provider_fetch_its_documents_once() {
    let routes: Vec<Value> = (0..50)
        .map(|number| {
            json!({"match": {"paths": [format!("/{number}/*")]}, "config": {
                "audience_required": [format!("a{number}")], "issuers_allowed": ["https://idp.test/realm"]}})
        })
        .collect();
    each(json!({"routes": routes}), |world| {
        for number in 0..50 {
            let token = world.token(json!({"aud": format!("a{number}")}));
            world
                .ask(Request::get(&format!("/{number}/x")).bearer(&token))
                .assert_user("alex");
            let next = format!("/{}/x", (number + 1) % 50);
            world
                .ask(Request::get(&next).bearer(&token))
                .assert_status(403);
        }
        assert_eq!((world.calls_to(DISCOVERY), world.calls_to(KEYS)), (1, 1));
    });
}

#[test]
fn a_verdict_of_one_route_says_nothing_under_anothers_rules() {
    let members = json!({"routes": [
        {"match": {"paths": ["/strict"]}, "config": {"roles_required": ["admin"]}},
        {"match": {"paths": ["/elsewhere"]}, "config": {"issuers_allowed": ["https://other.test"]}},
    ]});
    each(members, |world| {
        let token = world.token(json!({}));
        for _ in 0..3 {
            world
                .ask(Request::get("/").bearer(&token))
                .assert_user("alex");
            world
                .ask(Request::get("/strict").bearer(&token))
                .assert_status(403);
            world
                .ask(Request::get("/elsewhere").bearer(&token))
                .assert_status(401);
        }
    });
}

fn with_login(members: Value, then: impl Fn(&World)) {
    for dialect in Dialect::BOTH {
        then(&World::with_login(dialect, members.clone()));
    }
}

#[test]
fn a_login_comes_back_under_the_rules_that_it_began_under() {
    let [second, secret] = SECOND;
    let members = json!({"redirect_uri": ["https://api.test/cb"], "routes": [
        {"match": {"paths": ["/cb"]}, "disabled": true},
        {"match": {"paths": ["/shop/*"]}, "config": {"client_id": [second], "client_secret": [secret]}},
        {"match": {"paths": ["/admin/*"]}, "config": {"roles_required": ["admin"]}},
    ]});
    with_login(members, |world| {
        let browser = world.browser();
        let away = browser.open("/shop/a").away();
        assert_eq!(away.parameter("client_id").as_deref(), Some(second));
        // The provider takes the code of its own client only, and the ID token is for that one.
        browser.log_in(&away).here().outcome.assert_user("alex");
        browser.open("/shop/b").here().outcome.assert_user("alex");
        // The same client with other rules: the callback itself is held to them.
        world
            .idp()
            .set(|idp| idp.id_claims = json!({"aud": CLIENT}));
        let strict = world.browser();
        let away = strict.open("/admin/a").away();
        assert_eq!(away.parameter("client_id").as_deref(), Some(CLIENT));
        strict.log_in(&away).here().outcome.assert_status(403);
        let lax = world.browser();
        lax.enter("/app").outcome.assert_user("alex");
        // The callback's path without a login of ours is what the list says.
        assert!(world.ask(Request::get("/cb")).is_forwarded());
    });
}

#[test]
fn a_session_of_one_route_is_judged_by_another() {
    let members = json!({"routes": [
        {"match": {"paths": ["/admin/*"]}, "config": {"roles_required": ["admin"]}},
        {"match": {"paths": ["/other/*"]}, "config": {"issuers_allowed": ["https://other.test"]}},
        {"match": {"paths": ["/public/*"]}, "disabled": true},
    ]});
    with_login(members, |world| {
        let browser = world.browser();
        browser.enter("/app").outcome.assert_user("alex");
        browser.open("/app/2").here().outcome.assert_user("alex");
        browser.open("/admin/x").here().outcome.assert_status(403);
        let browser = world.browser();
        browser.enter("/app").outcome.assert_user("alex");
        let _ = browser.open("/other/x").away();
        let outcome = browser.open("/public/x").here().outcome;
        let cookies = outcome.forwarded().header("cookie").unwrap_or_default();
        assert!(!cookies.contains("session"), "{cookies}");
    });
}

#[test]
fn routes_that_share_a_session_share_its_refresh() {
    let members = json!({"routes": [{"match": {"paths": ["/a/*"]}, "config": {"leeway": 0}}]});
    let world = World::with_login(Dialect::Envoy, members);
    let browser = world.browser();
    browser.enter("/app").outcome.assert_user("alex");
    let before = world.calls_to(TOKEN);
    world.pass_seconds(280);
    let requests = ["/app", "/a/1", "/a/2"].map(|path| browser.with_cookies(Request::get(path)));
    let tickets = requests.map(|request| world.send(request));
    world.deliver_all();
    for ticket in tickets {
        world.outcome(ticket).assert_user("alex");
    }
    assert_eq!(world.calls_to(TOKEN) - before, 1);
}

#[test]
fn a_logout_is_judged_in_the_matched_route() {
    let members = json!({"routes": [{"match": {"paths": ["/app/*"]}, "config": {
        "logout_uri_suffix": "/bye", "logout_methods": ["GET"], "logout_post_arg": "bye"}}]});
    with_login(members, |world| {
        let browser = world.browser();
        browser.enter("/app/x").outcome.assert_user("alex");
        browser
            .open("/elsewhere/bye")
            .here()
            .outcome
            .assert_user("alex");
        browser.ask(Request::get("/app/bye")).assert_status(302);
        assert_eq!(browser.count("session"), 0);
    });
}

#[test]
fn an_update_that_drops_a_route_leaves_its_logins_to_the_rules_beside_it() {
    let members = json!({"redirect_uri": ["https://api.test/cb"],
        "routes": [{"match": {"paths": ["/a/*"]}, "config": {"leeway": 1}}]});
    for dialect in Dialect::BOTH {
        let world = World::new(dialect, 1);
        world.put_login(json!({}));
        let route = world.route(&login_config(members.clone()));
        let browser = world.browser();
        let away = browser.open("/a/x").away();
        world.update(
            route,
            &login_config(json!({"redirect_uri": ["https://api.test/cb"]})),
        );
        browser.log_in(&away).here().outcome.assert_user("alex");
    }
}

/// How servers of different houses read a path, written down apart from the filter's own steps.
fn servers(path: &str) -> Vec<String> {
    let decode = |text: &str| {
        let mut out = Vec::new();
        let bytes = text.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            let hex = text.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
            match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
                Some(byte) => {
                    out.push(byte);
                    at += 3;
                }
                None => {
                    out.push(bytes[at]);
                    at += 1;
                }
            }
        }
        String::from_utf8_lossy(&out).into_owned()
    };
    let dots = |text: &str| {
        let mut kept: Vec<&str> = vec![];
        for segment in text.split('/') {
            match segment {
                "." => {}
                ".." => drop(
                    kept.pop()
                        .filter(|first| !first.is_empty() || !kept.is_empty()),
                ),
                other => kept.push(other),
            }
        }
        let joined = kept.join("/");
        if joined.starts_with('/') {
            joined
        } else {
            format!("/{joined}")
        }
    };
    let merge = |text: &str| {
        let mut text = text.to_owned();
        while text.contains("//") {
            text = text.replace("//", "/");
        }
        text
    };
    let bare = |text: &str| {
        let segments = text
            .split('/')
            .map(|segment| segment.split(';').next().unwrap_or_default());
        segments.collect::<Vec<_>>().join("/")
    };
    let slash = |text: &str| text.replace('\\', "/");
    vec![
        dots(&merge(&decode(path))),                  // nginx
        dots(&decode(&bare(path))),                   // a servlet container
        dots(&merge(&bare(&decode(&bare(path))))),    // an older one
        dots(path),                                   // Envoy with normalize_path
        merge(&dots(path)),                           // Envoy with merge_slashes
        dots(&slash(path)),                           // a browser's URL parser
        decode(&dots(&slash(path))),                  // a router behind one
        dots(&decode(&decode(path))),                 // a proxy and a server
        dots(&merge(&slash(&decode(&decode(path))))), // IIS behind a proxy
    ]
}

fn nasty_path() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "/", "//", "/public", "/private", "public", "private", "..", ".", "/..", "%2e", "%2E%2e",
        "%2f", "%5c", "\\", ";", ";a=b", "%3b", "%25", "%252e", "%252f", "%70", "x", "%00",
        "/public/",
    ]);
    prop::collection::vec(pieces, 0..8).prop_map(|pieces| format!("/{}", pieces.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    /// What passes without a credential is public for every server; what is asked for one is private for some.
    #[test]
    fn whoever_passes_unasked_is_in_the_public_place_for_every_server(path in nasty_path()) {
        let world = World::ready(Dialect::Envoy, public(&["/public/*"]));
        let outcome = world.ask(Request::get(&path));
        let is_public = |read: &String| read == "/public" || read.starts_with("/public/");
        let read = servers(&path);
        if outcome.is_forwarded() {
            prop_assert!(read.iter().all(is_public), "{path}: {read:?}");
        } else if outcome.answer().status == 401 {
            prop_assert!(!read.iter().any(is_public), "{path}: {read:?}");
        } else {
            prop_assert_eq!(outcome.answer().status, 400);
        }
    }
}
