//! Our `routes`: what is accepted, and which place an error names.

use super::*;

fn route(matches: Value, rest: Value) -> Value {
    let mut route = rest;
    route["match"] = matches;
    json!({ "routes": [route] })
}

#[test]
fn an_error_inside_a_route_names_its_place() {
    let disabled = |path: &str| json!({ "match": { "paths": [path] }, "disabled": true });
    let routes = json!([
        disabled("/a"),
        disabled("/b"),
        { "match": { "paths": ["/c"] }, "config": {
            "client_id": 5, "leeway": "x", "unknown_thing": 1, "redirect_uri": ["ftp://x"], "anonymous": "x",
            "upstream_headers": [{ "header": "x-a" }] } },
    ]);
    let paths: Vec<String> = read(json!({ "routes": routes }))
        .expect_err("bad")
        .into_iter()
        .map(|error| error.path)
        .collect();
    for path in [
        "client_id",
        "leeway",
        "unknown_thing",
        "redirect_uri[0]",
        "anonymous",
        "upstream_headers[0].path",
    ] {
        let path = format!("config.routes[2].config.{path}");
        assert!(paths.contains(&path), "{path} in {paths:?}");
    }
    assert!(
        paths
            .iter()
            .all(|path| path.starts_with("config.routes[2].config.")),
        "{paths:?}"
    );
}

#[test]
fn what_is_wrong_outside_is_told_once() {
    let routes = json!([{ "match": { "paths": ["/c"] }, "config": { "max_age": 5 } }]);
    refused(
        json!({ "leeway": "x", "routes": routes }),
        "config.leeway",
        "whole number",
    );
}

#[test]
fn what_only_both_together_get_wrong_is_told_at_the_route() {
    let routes =
        json!([{ "match": { "paths": ["/c"] }, "config": { "using_pseudo_issuer": true } }]);
    let errors = errors(json!({ "routes": routes }));
    assert_eq!(errors.len(), 1);
    assert!(
        errors[0].starts_with("config.routes[0].config.using_pseudo_issuer: "),
        "{errors:?}"
    );
}

#[test]
fn what_all_routes_share_cannot_be_overlaid() {
    for (name, value) in [
        ("clusters", json!({ "*": "x" })),
        ("trusted_ips", json!(["10.0.0.0/8"])),
        ("consumers", json!([])),
        ("session_secret", json!("a secret that nobody guesses")),
        (
            "session_secrets_previous",
            json!(["a secret that nobody guesses"]),
        ),
        ("routes", json!([])),
        ("request_body", json!("off")),
        ("shared_data", json!("off")),
        ("login_path", json!("/x")),
        ("session_info_path", json!("/x")),
        ("backchannel_logout_path", json!("/x")),
        ("frontchannel_logout_path", json!("/x")),
        ("jwks_path", json!("/x")),
        ("resource_metadata_path", json!("/x")),
        ("status_path", json!(null)),
    ] {
        let members = route(
            json!({ "paths": ["/a"] }),
            json!({ "config": { name: value } }),
        );
        let errors = read(members).expect_err(name);
        let path = format!("config.routes[0].config.{name}");
        assert!(
            errors
                .iter()
                .any(|error| error.path == path && error.message.contains("holds for all routes")),
            "{errors:?}"
        );
    }
}

#[test]
fn a_route_says_what_it_is_for_and_what_holds() {
    let paths = || json!({ "paths": ["/a"] });
    let at = "config.routes[0]";
    refused(
        route(json!({}), json!({ "disabled": true })),
        "config.routes[0].match",
        "every request",
    );
    refused(
        json!({ "routes": [{ "disabled": true }] }),
        "config.routes[0].match",
        "is required",
    );
    refused(route(paths(), json!({})), at, "says nothing");
    refused(
        route(paths(), json!({ "disabled": true, "config": {} })),
        at,
        "remove one of them",
    );
    refused(
        route(paths(), json!({ "disabled": "yes" })),
        "config.routes[0].disabled",
        "true or false",
    );
    refused(
        route(paths(), json!({ "config": ["x"] })),
        "config.routes[0].config",
        "write an object",
    );
    refused(
        route(json!({ "path": ["/a"] }), json!({ "disabled": true })),
        "config.routes[0].match.path",
        "`paths`",
    );
    refused(
        route(json!({ "paths": [] }), json!({ "disabled": true })),
        "config.routes[0].match.paths",
        "empty list",
    );
    refused(
        json!({ "routes": { "a": 1 } }),
        "config.routes",
        "write a list",
    );
    let twice = json!([{ "match": paths(), "disabled": true }, { "match": paths(), "config": {} }]);
    refused(
        json!({ "routes": twice }),
        "config.routes[1].match",
        "never chosen",
    );
    let disabled =
        |number: usize| json!({ "match": { "paths": [format!("/{number}")] }, "disabled": true });
    let many: Vec<Value> = (0..257).map(disabled).collect();
    refused(json!({ "routes": many }), "config.routes", "more than 256");
}

#[test]
fn what_no_request_could_match_is_refused() {
    for path in [
        "a",
        "",
        "*",
        "/a*",
        "/*/a",
        "/a/**",
        "/a%20b",
        "/a;b",
        "/a\\b",
        "//a",
        "/a//b",
        "/a//*",
        "/./a",
        "/a/..",
        "/a/../*",
        "/a?b",
        "/a#b",
        "/caf\u{e9}",
        "/a b",
        "//*",
    ] {
        let members = route(json!({ "paths": [path] }), json!({ "disabled": true }));
        refused(members, "config.routes[0].match.paths[0]", "");
    }
    for path in [
        "/",
        "/*",
        "/a",
        "/a/",
        "/a/*",
        "/.well-known/x",
        "/a:b@c,d!$&'()+=~",
    ] {
        good(route(
            json!({ "paths": [path] }),
            json!({ "disabled": true }),
        ));
    }
    for host in [
        "", "*", "*.", "a:80", "a.", "http://a", "a/b", "*a.test", "a.*.test", "[", "[x]", "a b",
    ] {
        let members = route(json!({ "hosts": [host] }), json!({ "disabled": true }));
        refused(members, "config.routes[0].match.hosts[0]", "is no host");
    }
    for host in ["a", "A.Example", "*.example", "127.0.0.1", "[::1]"] {
        good(route(
            json!({ "hosts": [host] }),
            json!({ "disabled": true }),
        ));
    }
    for method in ["get", "", "GET,POST", "*"] {
        let members = route(json!({ "methods": [method] }), json!({ "disabled": true }));
        refused(members, "config.routes[0].match.methods[0]", "is no method");
    }
}

#[test]
fn a_null_puts_the_default_in_force_and_references_are_read() {
    let members = json!({ "leeway": 7, "scopes_required": ["a"], "routes": [
        { "match": { "paths": ["/a"] }, "config": { "leeway": null, "scopes_required": null,
            "upstream_access_token_header": null, "unauthorized_error_message": "{vault://env/my-secret}" } },
        { "match": { "paths": ["/b"] }, "config": {} },
    ] });
    let config = good(members);
    let all: Vec<&Config> = config.all().collect();
    let leeways: Vec<u64> = all
        .iter()
        .map(|config| config.verification.leeway)
        .collect();
    assert_eq!(leeways, [7, 0, 7]);
    assert!(
        all[1].upstream.access_token_header.is_none()
            && all[2].upstream.access_token_header.is_some()
    );
    assert!(
        all[1]
            .failures
            .unauthorized_message
            .contains("of the environment")
    );
    let place = "config.routes[0].config.client_secret[0]";
    let members = route(
        json!({ "paths": ["/a"] }),
        json!({ "config": { "client_secret": ["{vault://env/GONE}"] } }),
    );
    refused(members, place, "`GONE`");
}

#[test]
fn own_paths_are_plain_and_different() {
    for path in ["x", "", "/a?b", "/a%20b", "//a", "/a/../b", "/a;b", "/a#b"] {
        refused(
            json!({ "status_path": path }),
            "config.status_path",
            "no plain path",
        );
    }
    refused(
        json!({ "status_path": "/a", "jwks_path": "/a" }),
        "config.status_path",
        "already",
    );
    good(json!({ "status_path": "/a", "jwks_path": "/a/" }));
}
