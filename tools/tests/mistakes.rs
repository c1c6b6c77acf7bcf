//! Mistakes that people make, and the whole text that they get for each.
//!
//! A message has to be enough: the place, what is wrong, what to write instead. `mistakes.txt` holds them all;
//! read it as somebody who has never seen the filter.

mod common;

use std::fmt::Write as _;
use std::fs;

use common::{folder, own, run, snapshot};

/// What a user did to a good file: replace the first text by the second.
struct Mistake {
    title: &'static str,
    file: &'static str,
    from: &'static str,
    to: &'static str,
}

const fn mistake(
    title: &'static str,
    file: &'static str,
    from: &'static str,
    to: &'static str,
) -> Mistake {
    Mistake {
        title,
        file,
        from,
        to,
    }
}

const FILTER: &str = "filter.json";
const ENVOY: &str = "envoy.yaml";
const KONG: &str = "kong.yaml";

#[rustfmt::skip]
const MISTAKES: &[Mistake] = &[
    mistake("a field's name is misspelt", FILTER, "\"leeway\"", "\"leway\""),
    mistake("the issuer is missing", FILTER, "\"issuer\": \"https://idp.example/realms/demo\",", ""),
    mistake("the issuer has no scheme", FILTER, "\"https://idp.example/realms/demo\"", "\"idp.example/realms/demo\""),
    mistake("a number is written as a text", FILTER, "\"leeway\": 5", "\"leeway\": \"5\""),
    mistake("a list is written as one text", FILTER, "[\"web\"]", "\"web\""),
    mistake("a comma too many", FILTER, "\"leeway\": 5,", "\"leeway\": 5,,"),
    mistake("the plugin is given instead of its config", FILTER, "\"leeway\": 5,", "\"config\": {},"),
    mistake("a method that does not exist", FILTER, "\"bearer\"]", "\"jwt\"]"),
    mistake("sessions in memcached", FILTER, "\"leeway\": 5,", "\"session_storage\": \"memcached\", \"session_memcached_host\": \"cache.example\","),
    mistake("the provider's certificate is not to be verified", FILTER, "\"leeway\": 5,", "\"ssl_verify\": false,"),
    mistake("a proxy to the provider", FILTER, "\"leeway\": 5,", "\"https_proxy\": \"http://proxy.example:3128\","),
    mistake("a name of the past", FILTER, "\"leeway\": 5,", "\"session_cookie_lifetime\": 60, \"session_rolling_timeout\": 60,"),
    mistake("names and values that do not pair", FILTER, "[\"x-user\"]", "[\"x-user\", \"x-email\"]"),
    mistake("a header that belongs to the protocol", FILTER, "[\"x-user\"]", "[\"host\"]"),
    mistake("a secret that is too short", FILTER, "nobody-guesses-these-words-that-are-long", "hush"),
    mistake("a login without a client", FILTER, "\"client_id\": [\"web\"],", ""),
    mistake("a redirect address that is only a path", FILTER, "\"leeway\": 5,", "\"redirect_uri\": [\"/callback\"],"),
    mistake("an empty list of demanded groups", FILTER, "\"leeway\": 5,", "\"groups_required\": [],"),
    mistake("another vault", FILTER, "\"a-secret-of-the-client\"", "\"{vault://aws/client-secret}\""),
    mistake("a variable that is not set", FILTER, "\"a-secret-of-the-client\"", "\"{vault://env/CLIENT_SECRET}\""),
    mistake("principals of Konnect", FILTER, "\"leeway\": 5,", "\"principals\": { \"enabled\": true },"),
    mistake("no cluster leads to the provider", ENVOY, "{ \"https://idp.example\": \"idp\" }", "{}"),
    mistake("the cluster's name is misspelt", ENVOY, "    - name: idp\n", "    - name: idq\n"),
    mistake("https without TLS in the cluster", ENVOY, "      transport_socket:", "      metadata:"),
    mistake("any certificate is accepted", ENVOY, "trusted_ca: { filename: /etc/ssl/certs/ca-certificates.crt }", ""),
    mistake("a certificate of any name is accepted", ENVOY, "match_typed_subject_alt_names: [{ san_type: DNS, matcher: { exact: idp.example } }]", ""),
    mistake("no SNI", ENVOY, "          sni: idp.example\n", ""),
    mistake("the filter may not hold requests", ENVOY, "allow_on_headers_stop_iteration: true", ""),
    mistake("a fault opens the door", ENVOY, "failure_policy: FAIL_RELOAD", "failure_policy: FAIL_OPEN"),
    mistake("no failure policy", ENVOY, "failure_policy: FAIL_RELOAD", ""),
    mistake("a new VM too soon", ENVOY, "0.01s", "0.001s"),
    mistake("no vm_id", ENVOY, "vm_id: oidc", ""),
    mistake("clients choose their address", ENVOY, "use_remote_address: true", ""),
    mistake("a variable is not passed to the VM", ENVOY, "host_env_keys: [SESSION_SECRET]", "host_env_keys: []"),
    mistake("a mistake inside of the bootstrap", ENVOY, "\"client_id\": [\"web\"]", "\"client_ids\": [\"web\"]"),
    mistake("the configuration has no type", ENVOY, "\"@type\": type.googleapis.com/google.protobuf.StringValue", ""),
    mistake("broken indentation", ENVOY, "                        vm_config:", "                      vm_config: {}\n                        vm_config:"),
    mistake("the filter is not there", ENVOY, "wasm.v3.Wasm", "lua.v3.Lua"),
    mistake("no session secret on Kong", KONG, "session_secret: \"{vault://env/SESSION_SECRET}\"", ""),
    mistake("a mistake inside of Kong's file", KONG, "client_secret: [a", "client_secrets: [a"),
    mistake("the filter's name is misspelt in Kong's file", KONG, "name: oidc-filter", "name: oidc_filter"),
];

fn text_of(mistake: &Mistake) -> String {
    let good = fs::read_to_string(own("files").join(mistake.file)).expect("a good file");
    assert_eq!(good.matches(mistake.from).count(), 1, "{}", mistake.title);
    good.replace(mistake.from, mistake.to)
}

#[test]
fn each_mistake_is_told_with_its_place_and_what_to_write_instead() {
    let folder = folder("mistakes");
    let mut all = String::new();
    for mistake in MISTAKES {
        fs::write(folder.join(mistake.file), text_of(mistake)).expect("writable");
        let ran = run(&["check", mistake.file], &folder, &[]);
        assert!(!ran.good, "{}: {}", mistake.title, ran.stdout);
        assert!(!ran.stdout.contains(": good: "), "{}", mistake.title);
        for secret in ["a-secret-of-the-client", "hush", "nobody-guesses"] {
            assert!(!ran.stderr.contains(secret), "{}", mistake.title);
        }
        for line in ran.stderr.lines() {
            assert!(line.starts_with(&format!("{}: ", mistake.file)), "{line}");
        }
        write!(all, "## {}\n{}\n", mistake.title, ran.stderr).expect("a text");
    }
    snapshot(&own("mistakes.txt"), &all);
}

#[test]
fn the_files_without_the_mistakes_are_good() {
    for file in [FILTER, ENVOY, KONG] {
        let ran = run(&["check", file], &own("files"), &[]);
        assert!(ran.good, "{file}: {}", ran.stderr);
        assert!(ran.stdout.contains("good: "), "{file}");
    }
}
