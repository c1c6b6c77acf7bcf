//! `oidc-filter check` on files as people have them.

mod common;

use std::fs;

use common::{Ran, folder, own, run};

fn envoy() -> String {
    fs::read_to_string(own("files/envoy.yaml")).expect("a good file")
}

/// Checks a file of this name and text.
fn check(name: &str, text: &str, variables: &[(&str, &str)]) -> Ran {
    let folder = folder(name);
    fs::write(folder.join(name), text).expect("writable");
    run(&["check", name], &folder, variables)
}

/// The good bootstrap with `from` replaced.
#[track_caller]
fn with(name: &str, from: &str, to: &str) -> Ran {
    let text = envoy();
    assert!(text.contains(from), "{from}");
    check(name, &text.replace(from, to), &[])
}

#[test]
fn a_bootstrap_may_be_json_with_names_in_camel_case() {
    let tree: serde_json::Value = serde_yaml_ng::from_str(&envoy()).expect("YAML");
    let json = tree.to_string();
    assert!(check("snake.json", &json, &[]).good);
    let camel = json
        .replace("http_filters", "httpFilters")
        .replace("vm_config", "vmConfig")
        .replace("vm_id", "vmId")
        .replace("typed_config", "typedConfig")
        .replace("transport_socket\"", "transportSocket\"")
        .replace("trusted_ca", "trustedCa");
    let ran = check("camel.json", &camel, &[]);
    assert!(ran.good, "{}", ran.stderr);
    let ran = check(
        "camel.json",
        &camel.replace("\"vmId\":\"oidc\"", "\"vmId\":\"\""),
        &[],
    );
    assert!(ran.stderr.contains("vm_id: is missing"), "{}", ran.stderr);
}

#[test]
fn the_configuration_may_be_a_struct() {
    let text = envoy()
        .replace("google.protobuf.StringValue", "google.protobuf.Struct")
        .replace("value: |", "value:");
    let ran = check("struct.yaml", &text, &[]);
    assert!(ran.good, "{}", ran.stderr);
    let ran = check(
        "struct.yaml",
        &text.replace("\"issuer\"", "\"issuers\""),
        &[],
    );
    assert!(
        ran.stderr.contains("config.issuers: unknown field"),
        "{}",
        ran.stderr
    );
}

#[test]
fn every_way_to_verify_the_provider_will_do() {
    const NAMES: &str =
        "match_typed_subject_alt_names: [{ san_type: DNS, matcher: { exact: idp.example } }]";
    const CA: &str = "trusted_ca: { filename: /etc/ssl/certs/ca-certificates.crt }";
    const SNI: &str = "          sni: idp.example\n";
    let automatic = format!("{SNI}          auto_sni_san_validation: true\n");
    let text = envoy().replace(NAMES, "");
    assert!(!check("a.yaml", &text, &[]).good);
    assert!(check("b.yaml", &text.replace(SNI, &automatic), &[]).good);
    assert!(with("c.yaml", CA, "system_root_certs: {}").good);
    assert!(with("d.yaml", SNI, "          auto_host_sni: true\n").good);
    let untrusted = format!("{CA}\n              trust_chain_verification: ACCEPT_UNTRUSTED");
    let ran = with("e.yaml", CA, &untrusted);
    assert!(
        ran.stderr.contains("accepts anybody's certificate"),
        "{}",
        ran.stderr
    );
    let ran = with(
        "f.yaml",
        "            validation_context:",
        "            combined_validation_context:\n              validation_context_sds_secret_config: { name: ca }\n            unused:",
    );
    assert!(
        ran.good && ran.stdout.contains("secret service"),
        "{}",
        ran.stderr
    );
}

#[test]
fn one_way_out_of_a_cluster_without_tls_is_one_too_many() {
    let ran = with(
        "matches.yaml",
        "      transport_socket:\n",
        "      transport_socket_matches:\n        - { name: plain, match: {} }\n      transport_socket:\n",
    );
    assert!(ran.stderr.contains("without TLS"), "{}", ran.stderr);
}

#[test]
fn endpoints_beside_the_issuer_need_their_clusters_too() {
    let ran = with(
        "endpoint.yaml",
        "\"client_id\": [\"web\"],",
        "\"client_id\": [\"web\"], \"token_endpoint\": \"https://tokens.example/token\",",
    );
    assert!(
        ran.stderr.contains("config.token_endpoint: https://tokens.example/token is called through the cluster `tokens.example`"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_variable_of_the_host_is_checked_where_it_is_set_and_told_where_not() {
    let unset = check("env.yaml", &envoy(), &[]);
    assert!(unset.good && unset.stdout.contains("`SESSION_SECRET` is not set here"));
    let short = check("env.yaml", &envoy(), &[("SESSION_SECRET", "short")]);
    assert!(
        short.stderr.contains("config.session_secret: is shorter"),
        "{}",
        short.stderr
    );
    let text = envoy().replace(
        "\"https://idp.example/realms/demo\"",
        "\"{vault://env/SESSION_SECRET}\"",
    );
    let issuer = check("issuer.yaml", &text, &[]);
    assert!(
        issuer.stderr.is_empty(),
        "a placeholder is no mistake: {}",
        issuer.stderr
    );
}

#[test]
fn routes_that_open_a_door_are_told() {
    let off = "route: { cluster: upstream }\n                          typed_per_filter_config:\n                            oidc:\n                              \"@type\": type.googleapis.com/envoy.config.route.v3.FilterConfig\n                              disabled: true\n";
    let ran = with("off.yaml", "route: { cluster: upstream }\n", off);
    assert!(
        ran.good && ran.stdout.contains("switches the filter `oidc` off"),
        "{}",
        ran.stdout
    );
}

#[test]
fn a_filter_in_a_route_is_refused() {
    let own = "route: { cluster: upstream }\n                          typed_per_filter_config:\n                            oidc:\n                              \"@type\": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm\n                              config: { configuration: { \"@type\": type.googleapis.com/google.protobuf.StringValue, value: '{\"issuer\": \"https://idp.example\"}' } }\n";
    let ran = with("own.yaml", "route: { cluster: upstream }\n", own);
    assert!(
        ran.stderr
            .contains("takes no configuration of a Wasm filter from a route"),
        "{}",
        ran.stderr
    );
}

#[test]
fn another_module_must_not_share_the_data() {
    let other = "                http_filters:\n                  - name: other\n                    typed_config:\n                      \"@type\": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm\n                      config: { vm_config: { vm_id: oidc, code: { local: { filename: other.wasm } } } }\n";
    let ran = with("other.yaml", "                http_filters:\n", other);
    assert!(
        ran.stderr.contains("is also that of another module"),
        "{}",
        ran.stderr
    );
}

#[test]
fn the_kind_can_be_told() {
    let folder = folder("kind");
    fs::write(folder.join("odd"), envoy()).expect("writable");
    assert!(run(&["check", "--kind", "envoy", "odd"], &folder, &[]).good);
    let ran = run(&["check", "--kind", "filter", "odd"], &folder, &[]);
    assert!(ran.stderr.contains("is not JSON"), "{}", ran.stderr);
    let ran = run(&["check", "--kind", "kong", "odd"], &folder, &[]);
    assert!(
        ran.stderr.contains("there is no filter `oidc-filter`"),
        "{}",
        ran.stderr
    );
    let ran = run(&["check", "absent"], &folder, &[]);
    assert!(!ran.good && ran.stderr.contains("cannot be read"));
}

#[test]
fn kongs_filter_may_be_a_text_and_may_be_off() {
    let kong = "filter_chains:\n- enabled: false\n  filters:\n  - name: oidc-filter\n    config: '{\"issuer\": \"https://idp.example\", \"auth_methods\": [\"bearer\"]}'\nplugins:\n- name: openid-connect\n";
    let ran = check("kong.yaml", kong, &[]);
    assert!(ran.good, "{}", ran.stderr);
    for part in [
        "filter_chains[0].enabled: is false",
        "plugins[0]: is Kong's own plugin",
    ] {
        assert!(ran.stdout.contains(part), "{}", ran.stdout);
    }
}

#[test]
fn a_list_of_capabilities_has_what_the_filter_needs() {
    let shipped = fs::read_to_string(own("../../envoy/authorization-code.yaml")).expect("the file");
    for name in ["proxy_on_request_headers", "proxy_http_call"] {
        let line = format!("{name}: {{}}\n");
        assert!(shipped.contains(&line));
        let ran = check("list.yaml", &shipped.replace(&line, "\n"), &[]);
        let told = format!(
            "allowed_capabilities: leaves out what the filter needs, so that it would fail or never be asked; add `{name}: {{}}`"
        );
        assert!(ran.stderr.contains(&told), "{}", ran.stderr);
    }
}
