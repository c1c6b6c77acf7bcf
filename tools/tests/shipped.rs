//! The examples in `envoy/` and `kong/`: good, alike, and told about.

mod common;

use std::collections::BTreeSet;
use std::fs;

use common::{own, run};
use serde_json::{Value, json};

/// A file of the repository.
fn text(path: &str) -> String {
    let file = own("../..").join(path);
    fs::read_to_string(&file).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Names of the files in a folder that hold these words, without their end.
fn names(folder: &str, end: &str, words: &str) -> BTreeSet<String> {
    let files = fs::read_dir(own("../..").join(folder)).expect("the folder");
    let names = files.map(|file| file.expect("a file").file_name());
    let names = names.filter_map(|name| name.to_str()?.strip_suffix(end).map(str::to_owned));
    names
        .filter(|name| text(&format!("{folder}/{name}{end}")).contains(words))
        .collect()
}

/// The flows that have an example, which are the same in both folders.
fn flows() -> BTreeSet<String> {
    // The compose file of the demo is no configuration of Envoy.
    let envoy = names("envoy", ".yaml", "static_resources:");
    assert_eq!(envoy, names("kong", ".yml", ""), "envoy/ and kong/ differ");
    assert!(envoy.len() >= 9, "{envoy:?}");
    envoy
}

fn envoy(flow: &str) -> Value {
    serde_yaml_ng::from_str(&text(&format!("envoy/{flow}.yaml"))).expect("YAML")
}

/// The manager's filter in an example for Envoy.
const FILTER: &str = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/http_filters/0/typed_config/config";

fn take(tree: &mut Value, pointer: &str) -> Value {
    let found = tree.pointer_mut(pointer);
    found.unwrap_or_else(|| panic!("no {pointer}")).take()
}

/// What the filter reads in Envoy.
fn config(tree: &mut Value) -> Value {
    let value = take(tree, &format!("{FILTER}/configuration/value"));
    serde_json::from_str(value.as_str().expect("text")).expect("JSON")
}

#[test]
fn every_example_is_good() {
    let secret = [("SESSION_SECRET", "a-secret-of-more-than-sixteen-bytes")];
    for flow in flows() {
        for file in [format!("envoy/{flow}.yaml"), format!("kong/{flow}.yml")] {
            let ran = run(&["check", &file], &own("../.."), &secret);
            assert!(ran.good, "{file}: {}", ran.stderr);
            let good = ran.stdout.lines().filter(|line| line.contains(": good: "));
            assert_eq!(good.count(), 1, "{file}: {}", ran.stdout);
            assert!(!ran.stdout.contains("not checked"), "{}", ran.stdout);
        }
    }
}

#[test]
fn every_example_has_its_page_and_its_links() {
    let readme = text("README.md");
    for flow in flows() {
        let paths = [format!("envoy/{flow}.yaml"), format!("kong/{flow}.yml")];
        let page = text(&format!("docs/{flow}.md"));
        for path in &paths {
            let link = format!("[{path}](../{path})");
            assert!(page.contains(&link), "docs/{flow}.md lacks {link}");
        }
        for part in ["```mermaid\nsequenceDiagram\n", "\n## Try it\n", "curl "] {
            assert!(page.contains(part), "docs/{flow}.md lacks {part}");
        }
        let row = readme.lines().find(|line| {
            let page = format!("docs/{flow}.md");
            let mut all = paths.iter().chain([&page]);
            line.starts_with('|') && all.all(|path| line.contains(&format!("[{path}]({path})")))
        });
        assert!(row.is_some(), "README.md has no row of {flow}");
        for path in paths {
            let head = text(&path);
            let head = head.split("\n\n").next().unwrap_or_default();
            for part in [path.as_str(), &format!("docs/{flow}.md")] {
                assert!(head.contains(part), "{path} does not name {part}");
            }
        }
    }
}

/// One configuration for both hosts: only Envoy has clusters.
#[test]
fn both_examples_of_a_flow_hold_the_same_configuration() {
    for flow in flows() {
        let mut here = config(&mut envoy(&flow));
        let clusters = here.as_object_mut().and_then(|all| all.remove("clusters"));
        assert!(clusters.is_some(), "{flow}");
        let kong: Value =
            serde_yaml_ng::from_str(&text(&format!("kong/{flow}.yml"))).expect("YAML");
        let filter = &kong["services"][0]["filter_chains"][0]["filters"][0];
        assert_eq!(filter["name"], "oidc-filter", "{flow}");
        assert_eq!(filter["config"], here, "{flow}");
        assert_eq!(kong["services"].as_array().map(Vec::len), Some(1));
    }
}

/// Around the filter all examples for Envoy are one: what differs is its configuration, the variable of the cookies'
/// secret, and the place that it asks.
#[test]
fn the_examples_for_envoy_are_alike() {
    let common = |flow: &str| {
        let mut tree = envoy(flow);
        let config = config(&mut tree);
        let vm = format!("{FILTER}/vm_config");
        let variables = tree.pointer_mut(&vm).and_then(Value::as_object_mut);
        let variables = variables.and_then(|vm| vm.remove("environment_variables"));
        let sealed = config["session_secret"] == "{vault://env/SESSION_SECRET}";
        let named = json!({"host_env_keys": ["SESSION_SECRET"]});
        assert_eq!(variables, sealed.then_some(named), "{flow}");
        let list = format!("{vm}/capability_restriction_config/allowed_capabilities");
        let capabilities = take(&mut tree, &list);
        let asked = take(&mut tree, "/static_resources/clusters/1/name");
        assert_eq!(config["clusters"], json!({"*": asked}), "{flow}");
        let load = "/static_resources/clusters/1/load_assignment";
        assert_eq!(take(&mut tree, &format!("{load}/cluster_name")), asked);
        let endpoint = "endpoints/0/lb_endpoints/0/endpoint/address/socket_address";
        take(&mut tree, &format!("{load}/{endpoint}/port_value"));
        (tree, capabilities)
    };
    let (tree, capabilities) = common("authorization-code");
    for flow in flows() {
        let (other, listed) = common(&flow);
        assert_eq!(other, tree, "{flow}");
        // Alone, `bearer` needs less: acceptance tests hold its list against the module.
        if flow != "bearer" {
            assert_eq!(listed, capabilities, "{flow}");
        }
    }
}
