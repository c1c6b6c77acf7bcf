//! `envoy/docker-compose.yaml` gives what `make run` gives: the files in `envoy/` agree with each other and with what the
//! demo uses. There is no container engine here, so it is shown on the files, and with the programs that they name.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::{Value, json};
use support::demo::{self, PASSWORD, Ports, SESSION_SECRET, USER, WEBSITE};
use support::envoy::login_config;
use support::keycloak::{CLIENT, CLIENT_SECRET, REALM, demo_realm};
use support::{version, workspace};

fn file() -> PathBuf {
    workspace().join("envoy/docker-compose.yaml")
}

fn compose() -> Value {
    let text = fs::read_to_string(file()).expect("the compose file");
    serde_yaml_ng::from_str(&text).expect("YAML")
}

fn texts(list: &Value) -> Vec<&str> {
    let list = list.as_array().into_iter().flatten();
    list.map(|text| text.as_str().expect("a text")).collect()
}

/// What this service mounts, all of it read-only: files from the root of the repository, and where they are inside.
fn mounts(service: &Value) -> Vec<(String, String)> {
    let volumes = service["volumes"].as_array().into_iter().flatten();
    let mounts = volumes.map(|volume| {
        assert_eq!(volume["type"], "bind", "{volume}");
        assert_eq!(volume["read_only"], true, "{volume}");
        let source = volume["source"].as_str().expect("a source");
        let source = workspace().join("envoy").join(source);
        let source = source.canonicalize().expect("it is there");
        let own = source.strip_prefix(workspace().canonicalize().expect("a folder"));
        let own = own.expect("within the repository").to_string_lossy();
        let target = volume["target"].as_str().expect("a target");
        (own.into_owned(), target.to_owned())
    });
    mounts.collect()
}

/// A command of the compose file, in which `$$` stands for `$`.
fn script(list: &Value, shell: &[&str]) -> String {
    let words = texts(list);
    let (script, before) = words.split_last().expect("words");
    assert_eq!(before, shell);
    let rest = script.replace("$$", "");
    // `${NAME}` and `$NAME` would be taken from the environment of docker compose.
    assert!(!rest.contains('$'), "{script}");
    script.replace("$$", "$")
}

#[test]
fn docker_compose_accepts_the_file() {
    // From elsewhere, and without a daemon.
    let config = |file: &str| -> Output {
        Command::new("docker-compose")
            .args(["-f", file, "config"])
            .current_dir(std::env::temp_dir())
            .env("DOCKER_HOST", "tcp://127.0.0.1:1")
            .env(SESSION_SECRET, "a secret of this test")
            .output()
            .expect("docker-compose (is `make setup` done?)")
    };
    let output = config(&file().to_string_lossy());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    assert_eq!(errors, "");
    let read: Value = serde_yaml_ng::from_slice(&output.stdout).expect("YAML");
    let environment = &read["services"]["envoy"]["environment"];
    assert_eq!(environment[SESSION_SECRET], "a secret of this test");

    // It does look: the nearest wrong file is refused.
    let text = fs::read_to_string(file()).expect("the compose file");
    let wrong = text.replace("service:website", "service:webside");
    assert_ne!(wrong, text);
    let folder = support::scratch("compose").expect("a folder");
    let path = folder.join("docker-compose.yaml");
    fs::write(&path, wrong).expect("written");
    let refused = config(&path.to_string_lossy());
    fs::remove_dir_all(folder).expect("removed");
    assert!(!refused.status.success());
    let errors = String::from_utf8_lossy(&refused.stderr);
    assert!(errors.contains("webside"), "{errors}");
}

#[test]
fn images_are_those_of_the_pinned_versions() {
    let services = &compose()["services"];
    let image = |name: &str| {
        services[name]["image"]
            .as_str()
            .expect("an image")
            .to_owned()
    };
    assert_eq!(
        image("envoy"),
        format!("envoyproxy/envoy:v{}", version("ENVOY_VERSION"))
    );
    assert_eq!(
        image("keycloak"),
        format!("quay.io/keycloak/keycloak:{}", version("KEYCLOAK_VERSION"))
    );
    assert_eq!(
        image("website"),
        format!("python:{}-alpine", version("PYTHON_VERSION"))
    );
    assert_eq!(services.as_object().map(serde_json::Map::len), Some(3));
}

#[test]
fn all_services_share_one_network_and_only_this_machine_gets_in() {
    let compose = compose();
    let services = compose["services"].as_object().expect("services");
    let usual = Ports::USUAL;
    for (name, service) in services {
        if name == "website" {
            let published =
                [usual.gateway, usual.keycloak].map(|port| format!("127.0.0.1:{port}:{port}"));
            assert_eq!(texts(&service["ports"]), published);
            assert!(service.get("network_mode").is_none());
        } else {
            assert_eq!(service["network_mode"], "service:website", "{name}");
            assert!(service.get("ports").is_none(), "{name}");
        }
    }
    // So each must be where authorization-code.yaml looks for it, which says which ports that are.
    let website = texts(&services["website"]["command"]);
    assert_eq!(website.last(), Some(&usual.website.to_string().as_str()));
    let keycloak = texts(&services["keycloak"]["command"]);
    assert_eq!(
        keycloak,
        [
            "start-dev",
            "--import-realm",
            &format!("--http-port={}", usual.keycloak)
        ]
    );
    assert_eq!(
        demo::adapted(&login_config(), usual)
            .expect("the demo's ports")
            .to_string()
            .replace(
                &support::module().to_string_lossy().into_owned(),
                "dist/oidc-filter.wasm"
            ),
        login_config().to_string()
    );
}

#[test]
fn each_service_gets_the_files_that_make_run_uses() {
    let services = &compose()["services"];
    let pair = |source: &str, target: &str| (source.to_owned(), target.to_owned());
    assert_eq!(
        mounts(&services["website"]),
        [pair(WEBSITE, "/demo/echo.py")]
    );
    let website = texts(&services["website"]["command"]);
    assert_eq!(website[..2], ["python3", "/demo/echo.py"]);
    // `--import-realm` reads this folder.
    assert_eq!(
        mounts(&services["keycloak"]),
        [pair(
            "envoy/realm.json",
            "/opt/keycloak/data/import/realm.json"
        )]
    );
    // The paths on Envoy's command line and in its file begin at the root of the repository.
    assert_eq!(mounts(&services["envoy"]), [pair("", "/demo")]);
    assert_eq!(services["envoy"]["working_dir"], "/demo");
    let script = script(&services["envoy"]["command"], &["sh", "-c"]);
    assert!(script.ends_with("exec envoy -c envoy/authorization-code.yaml\n"));
}

#[test]
fn realm_and_gateway_agree() {
    let (realm, client) = (demo_realm(), demo::client());
    let usual = Ports::USUAL;
    assert_eq!(realm["realm"], REALM);
    let users = realm["users"].as_array().expect("users");
    assert_eq!(users.len(), 1);
    assert_eq!(users[0]["username"], USER);
    assert_eq!(users[0]["credentials"][0]["value"], PASSWORD);
    assert_eq!(client["secret"], CLIENT_SECRET);
    assert_eq!(client["redirectUris"], json!(demo::redirects(usual)));
    assert_eq!(client["attributes"]["post.logout.redirect.uris"], "+");
    assert_eq!(demo::realm(usual), realm);

    let config = filter_config();
    let issuer = format!("http://127.0.0.1:{}/realms/{REALM}", usual.keycloak);
    assert_eq!(config["issuer"], issuer.as_str());
    assert_eq!(config["client_id"], json!([CLIENT]));
    assert_eq!(config["client_secret"], json!([CLIENT_SECRET]));
    assert_eq!(config["logout_redirect_uri"], json!([usual.url()]));
    let redirects = demo::redirects(usual);
    assert!(redirects.contains(&format!("{}*", usual.url())));
    let secret = format!("{{vault://env/{SESSION_SECRET}}}");
    assert_eq!(config["session_secret"], secret.as_str());
    // The link of the website is the filter's path.
    let website = fs::read_to_string(workspace().join(WEBSITE)).expect("the website");
    let link = format!(
        "href=\"{}\"",
        config["logout_uri_suffix"].as_str().expect("a path")
    );
    assert!(website.contains(&link), "{link}");
}

/// The JSON within `envoy/authorization-code.yaml`.
fn filter_config() -> Value {
    fn find(value: &Value) -> Option<&str> {
        match value {
            Value::Object(members) => match members.get("value") {
                Some(Value::String(text)) => Some(text),
                _ => members.values().find_map(find),
            },
            Value::Array(items) => items.iter().find_map(find),
            _ => None,
        }
    }
    let file = login_config();
    let text = find(&file).expect("the filter's configuration");
    serde_json::from_str(text).expect("JSON")
}

#[test]
fn envoy_gets_the_session_secret_of_the_environment_or_a_new_one() {
    let envoy = &compose()["services"]["envoy"];
    assert_eq!(envoy["environment"][SESSION_SECRET], "${SESSION_SECRET:-}");
    let script = script(&envoy["command"], &["sh", "-c"]);
    let folder = support::scratch("compose").expect("a folder");
    fs::create_dir_all(folder.join("bin")).expect("a folder");
    // Something that stands for Envoy and tells what it gets.
    let stub = folder.join("bin/envoy");
    fs::write(&stub, "#!/bin/sh\necho \"$SESSION_SECRET\"\n").expect("written");
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&stub, executable).expect("executable");
    let path = std::env::var("PATH").expect("a PATH");
    let run = |secret: &str| {
        Command::new("sh")
            .args(["-c", &script])
            .current_dir(&folder)
            .env("PATH", format!("{}/bin:{path}", folder.display()))
            .env(SESSION_SECRET, secret)
            .output()
            .expect("sh")
    };
    let without_module = run("");
    fs::create_dir_all(folder.join("dist")).expect("a folder");
    fs::write(folder.join("dist/oidc-filter.wasm"), "").expect("written");
    let outputs = ["a secret of this test", "", ""].map(run);
    fs::remove_dir_all(&folder).expect("removed");

    assert!(!without_module.status.success());
    let errors = String::from_utf8_lossy(&without_module.stderr);
    assert!(errors.contains("make wasm"), "{errors}");
    let [given, one, two] =
        outputs.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    assert_eq!(given, "a secret of this test");
    // 32 bytes as Base64.
    assert_eq!((one.len(), two.len()), (44, 44), "{one} {two}");
    assert_ne!(one, two);
}
