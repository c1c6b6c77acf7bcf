//! `oidc-filter convert`: Kong's files become good ones, or the field that stands in the way is named.

mod common;
mod examples;

use std::fmt::Write as _;
use std::fs;

use common::{Ran, folder, own, run, snapshot};
use examples::{examples, with_config};
use serde_json::{Value, json};

/// Converts a tree in a file of this name.
fn convert(name: &str, tree: &Value, target: &str) -> Ran {
    let folder = folder(name);
    fs::write(folder.join("kong.yaml"), tree.to_string()).expect("writable");
    run(&["convert", "kong.yaml", "--to", target], &folder, &[])
}

fn tree_of(ran: &Ran) -> Value {
    assert!(ran.good, "{}", ran.stderr);
    serde_yaml_ng::from_str(&ran.stdout).expect("YAML")
}

fn manager(bootstrap: &Value) -> &Value {
    &bootstrap["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
}

fn filter_json(bootstrap: &Value, index: usize) -> Value {
    let plugin = &manager(bootstrap)["http_filters"][index]["typed_config"]["config"];
    let text = plugin["configuration"]["value"]
        .as_str()
        .expect("the filter's JSON");
    serde_json::from_str(text).expect("JSON")
}

#[test]
fn a_file_with_everything_becomes_what_was_read() {
    for target in ["envoy", "kong"] {
        let ran = run(
            &["convert", "kong-plugins.yaml", "--to", target],
            &own("files"),
            &[],
        );
        assert!(ran.good, "{}", ran.stderr);
        snapshot(&own(&format!("files/converted-{target}.yaml")), &ran.stdout);
        // What is told stands in the output, too.
        for line in ran.stderr.lines() {
            let note = line
                .strip_prefix("kong-plugins.yaml: note: ")
                .expect("a note");
            assert!(ran.stdout.contains(&format!("# - {note}\n")), "{note}");
        }
        let folder = folder(&format!("converted-{target}"));
        fs::write(folder.join("file"), &ran.stdout).expect("writable");
        let checked = run(&["check", "file"], &folder, &[]);
        assert!(checked.good, "{}", checked.stderr);
    }
}

#[test]
fn every_field_is_carried_over_or_named() {
    let config = json!({
        "issuer": "https://idp.example", "auth_methods": ["bearer"], "http_version": 1.0, "ssl_verify": false,
        "http_proxy": "http://proxy.example:3128", "http_proxy_authorization": "Basic x",
        "https_proxy": "http://proxy.example:3128", "https_proxy_authorization": "Basic y", "no_proxy": "localhost",
        "keepalive": true, "leeway": 5,
    });
    for target in ["envoy", "kong"] {
        let ran = convert(&format!("named-{target}"), &with_config(&config), target);
        assert!(ran.good, "{}", ran.stderr);
        for name in config.as_object().expect("fields").keys() {
            let carried = ["issuer", "auth_methods", "leeway"].contains(&name.as_str());
            let named = ran.stderr.contains(&format!("plugins[0].config.{name}: "));
            let is_default = name == "keepalive";
            assert_eq!(named, !carried && !is_default, "{target}: {name}");
        }
        assert!(!ran.stderr.contains("Basic"), "a credential");
    }
}

#[test]
fn null_that_switches_a_default_off_stays() {
    let config = json!({
        "issuer": "https://idp.example", "auth_methods": ["bearer"], "login_tokens": null,
        "upstream_access_token_header": null,
    });
    let bootstrap = tree_of(&convert("nulls", &with_config(&config), "envoy"));
    let filter = filter_json(&bootstrap, 0);
    for name in ["login_tokens", "upstream_access_token_header"] {
        assert_eq!(filter.get(name), Some(&Value::Null), "{name}");
    }
}

#[test]
fn the_plugin_of_a_route_rules_it_then_that_of_its_service_then_the_one_for_all() {
    let plugin = |leeway: u8| {
        json!([{ "name": "openid-connect", "config": {
        "issuer": "https://idp.example", "auth_methods": ["bearer"], "leeway": leeway } }])
    };
    let file = json!({
        "_format_version": "3.0",
        "plugins": plugin(1),
        "services": [
            { "name": "one", "url": "http://one.example", "plugins": plugin(2), "routes": [
                { "name": "a", "paths": ["/a"], "plugins": plugin(3) }, { "name": "b", "paths": ["/b"] },
            ]},
            { "name": "two", "url": "http://two.example" },
        ],
        "routes": [{ "name": "c", "paths": ["/c"], "service": { "name": "two" } }],
    });
    let bootstrap = tree_of(&convert("precedence", &file, "envoy"));
    let routes = &manager(&bootstrap)["route_config"]["virtual_hosts"][0]["routes"];
    for (path, leeway) in [("/a", 3), ("/b", 2), ("/c", 1)] {
        let routes = routes.as_array().expect("routes");
        let route = routes.iter().find(|route| route["match"]["prefix"] == path);
        let own = &route.expect("the route")["typed_per_filter_config"];
        let name = own
            .as_object()
            .and_then(|own| own.keys().next())
            .expect("a filter");
        let filters = manager(&bootstrap)["http_filters"]
            .as_array()
            .expect("filters");
        let index = filters
            .iter()
            .position(|filter| filter["name"] == **name)
            .expect("the filter");
        assert_eq!(filters[index]["disabled"], true, "on by its routes only");
        assert_eq!(filter_json(&bootstrap, index)["leeway"], leeway, "{path}");
    }
    let kong = tree_of(&convert("precedence-kong", &file, "kong"));
    let leeway =
        |route: &Value| route["filter_chains"][0]["filters"][0]["config"]["leeway"].clone();
    assert_eq!(leeway(&kong["services"][0]["routes"][0]), 3);
    assert_eq!(leeway(&kong["services"][0]["routes"][1]), 2);
    assert_eq!(leeway(&kong["routes"][0]), 1);
    assert!(kong.get("plugins").is_none() && kong["services"][0].get("plugins").is_none());
}

#[test]
fn a_route_that_stays_open_is_named() {
    let file = json!({ "_format_version": "3.0", "services": [{ "name": "api", "url": "http://api.example", "routes": [
        { "name": "a", "paths": ["/a"], "plugins": [{ "name": "openid-connect",
            "config": { "issuer": "https://idp.example", "auth_methods": ["bearer"] } }] },
        { "name": "b", "paths": ["/b"] },
    ]}]});
    for target in ["envoy", "kong"] {
        let ran = convert(&format!("open-{target}"), &file, target);
        assert!(
            ran.good && ran.stderr.contains("services[0].routes[1]: has no plugin"),
            "{}",
            ran.stderr
        );
    }
}

#[test]
fn what_cannot_be_is_refused_by_its_name_and_leaves_no_output() {
    let config = json!({ "issuer": "https://idp.example", "session_storage": "memcached" });
    for target in ["envoy", "kong"] {
        let ran = convert(&format!("refused-{target}"), &with_config(&config), target);
        assert!(!ran.good && ran.stdout.is_empty());
        assert!(
            ran.stderr.contains("config.session_storage: "),
            "{}",
            ran.stderr
        );
    }
    let ran = convert("empty", &json!({ "_format_version": "3.0" }), "envoy");
    assert!(
        !ran.good && ran.stderr.contains("there is no plugin"),
        "{}",
        ran.stderr
    );
}

/// `examples.txt`: what becomes of each. `OIDC_FILTER_UPDATE=1` writes it anew when a field was built.
#[test]
fn each_of_kongs_examples_is_converted_or_refused_by_the_name_of_a_field() {
    let examples = examples();
    assert_eq!(examples.len(), 31);
    let mut all = String::new();
    for (title, config) in examples {
        let ran = convert("example", &with_config(&config), "envoy");
        if ran.good {
            writeln!(all, "{title}: converted").expect("a text");
            continue;
        }
        writeln!(all, "{title}: refused").expect("a text");
        for line in ran.stderr.lines() {
            let (_, field) = line.rsplit_once(": config.").expect("a field");
            let name = field.split([':', '[', '.']).next().unwrap_or_default();
            // The plugin looks into Kong's own tables; a filter has to be told where they are.
            let told_beside = name == "kong_admin";
            assert!(
                told_beside || config.get(name).is_some(),
                "{title}: not a field of it: {line}"
            );
            writeln!(all, "    config.{field}").expect("a text");
        }
    }
    snapshot(&own("examples.txt"), &all);
}
