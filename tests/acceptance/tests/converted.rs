//! What `oidc-filter convert` makes of Kong's example configurations: Envoy starts with it, the module takes it, and
//! nobody gets in without a credential.

#[path = "../../../tools/tests/examples/mod.rs"]
mod examples;

use std::path::PathBuf;
use std::process::Command;
use std::{env, fs, process};

use examples::{examples, with_config};
use serde_json::Value;
use support::envoy::Envoy;
use support::ports::free;
use support::raw;
use support::upstream::Upstream;

const VARIABLES: [(&str, &str); 1] = [("SESSION_SECRET", "a secret that nobody guesses")];

/// The command that `make wasm` built beside the tests.
fn command() -> PathBuf {
    let test = env::current_exe().expect("a path");
    let folder = test.ancestors().nth(2).expect("the target directory");
    let command = folder.join("oidc-filter");
    assert!(
        command.exists(),
        "{} is missing: `make wasm` builds it",
        command.display()
    );
    command
}

/// The bootstrap of an example; `None` where it is refused.
fn converted(config: &Value) -> Option<Value> {
    let file = env::temp_dir().join(format!("oidc-filter-converted-{}.yaml", process::id()));
    fs::write(&file, with_config(config).to_string()).expect("writable");
    let output = Command::new(command())
        .args(["convert", "--to", "envoy"])
        .arg(&file)
        .output()
        .expect("the command runs");
    fs::remove_file(&file).expect("it was there");
    let text = String::from_utf8(output.stdout).expect("text");
    output
        .status
        .success()
        .then(|| serde_yaml_ng::from_str(&text).expect("YAML"))
}

/// The same on free ports, with the module that was built, an upstream that is there, and providers that are not: names
/// are resolved by nobody here.
fn adapted(value: &mut Value, port: u16, admin: u16, upstream: u16) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(kind)) = members
                .get("type")
                .filter(|_| members.contains_key("load_assignment"))
            {
                assert_eq!(kind, "STRICT_DNS");
                members.insert("type".to_owned(), "STATIC".into());
            }
            if let Some(usual) = members.get("port_value").and_then(Value::as_u64) {
                let at = match usual {
                    8000 => port,
                    9901 => admin,
                    8080 if members["address"] == "127.0.0.1" => upstream,
                    _ => 1,
                };
                members.insert("port_value".to_owned(), at.into());
                if members["address"] != "0.0.0.0" {
                    members.insert("address".to_owned(), "127.0.0.1".into());
                }
            }
            for member in members.values_mut() {
                adapted(member, port, admin, upstream);
            }
        }
        Value::Array(items) => {
            for item in items {
                adapted(item, port, admin, upstream);
            }
        }
        Value::String(text) if text == "dist/oidc-filter.wasm" => {
            *text = support::module().to_string_lossy().into_owned();
        }
        _ => {}
    }
}

#[test]
fn envoy_starts_with_each_of_kongs_examples_that_is_converted() {
    let mut started = 0;
    for (title, config) in examples() {
        let Some(mut bootstrap) = converted(&config) else {
            continue;
        };
        let upstream = Upstream::start();
        let (port, admin) = (free(), free());
        adapted(&mut bootstrap, port, admin, upstream.address().port());
        let envoy = Envoy::from_bootstrap_of(&bootstrap, port, admin, &VARIABLES, 1)
            .unwrap_or_else(|error| panic!("{title}: {error}"));
        let answer = raw::get_with_token(([127, 0, 0, 1], port).into(), "/", "nobody's token");
        // 500: whoever has to be asked about it is not there.
        let refused = [401, 500].contains(&answer.status);
        assert!(refused, "{title}: {}\n{}", answer.text(), envoy.logs());
        assert!(upstream.seen().is_empty(), "{title}");
        let log = envoy.logs();
        assert!(
            log.contains("oidc-filter: "),
            "{title}: the module says what it does\n{log}"
        );
        started += 1;
    }
    assert!(started >= 17, "{started} of 31");
}
