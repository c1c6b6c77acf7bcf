//! Several clients of ours at one provider, and the one that a request names (specification section 5).

use flow::idp::{CLIENT, END_SESSION, INTROSPECT, SECOND, SECRET, TOKEN};
use flow::{Dialect, Request, World, pairs};
use serde_json::{Value, json};

#[track_caller]
fn each(members: Value, then: impl Fn(&World)) {
    let clients = json!({
        "client_id": [CLIENT, SECOND[0]], "client_secret": [SECRET, SECOND[1]],
        "redirect_uri": ["https://api.test/back", "https://api.test/second"],
        "logout_redirect_uri": ["https://one.test/", "https://two.test/"],
        "unauthorized_redirect_uri": ["https://one.test/no", "https://two.test/no"],
        "logout_query_arg": "bye",
    });
    for dialect in Dialect::BOTH {
        let members = flow::stage::merged(clients.clone(), members.clone());
        let world = World::with_login(dialect, members);
        then(&world);
    }
}

fn parameter(url: &str, name: &str) -> Option<String> {
    let (_, query) = url.split_once('?')?;
    let found = pairs(query).into_iter().find(|(own, _)| own == name);
    found.map(|(_, value)| value)
}

#[test]
fn dx_04_a_login_stays_with_the_client_it_began_with() {
    each(json!({}), |world| {
        for (named, client, proof, place) in [
            ("", CLIENT, "basic", "https://one.test/"),
            (
                "?client_id=second",
                SECOND[0],
                "second",
                "https://two.test/",
            ),
            ("?client_id=2", SECOND[0], "second", "https://two.test/"),
            ("?client_id=3", CLIENT, "basic", "https://one.test/"),
        ] {
            let browser = world.browser();
            let away = browser.open(&format!("/app{named}")).away();
            assert_eq!(parameter(&away.url, "client_id").as_deref(), Some(client));
            // Whatever the callback says.
            let other = if client == CLIENT { "second" } else { CLIENT };
            let page = browser.log_in_with(&away, |fields| {
                fields.push(("client_id".to_owned(), other.to_owned()));
            });
            page.here().outcome.assert_user("alex");
            assert_eq!(world.idp().proofs().last(), Some(&proof));
            // It is refreshed as that client, and logged out as that client.
            world.pass_seconds(290);
            let other = Request::get("/app").header("x-client-id", other);
            browser.ask(other).assert_user("alex");
            assert_eq!(world.idp().proofs().last(), Some(&proof));
            let out = browser.ask(Request::new("POST", "/app?bye=1"));
            let url = out.answer_header("location").expect("a place");
            assert!(url.starts_with(END_SESSION), "{url}");
            assert_eq!(parameter(&url, "client_id").as_deref(), Some(client));
            let back = parameter(&url, "post_logout_redirect_uri");
            assert_eq!(back.as_deref(), Some(place));
        }
    });
}

#[test]
fn grants_and_questions_are_each_clients_own() {
    let members =
        json!({"auth_methods": ["password", "introspection"], "password_param_type": ["query"]});
    each(members, |world| {
        let alex = "/app?username=alex&password=the%20password%20of%20alex";
        let ask = |client: &str| {
            let request = Request::get(alex).header("client-id", client);
            world
                .ask(request.secret("the%20password%20of%20alex"))
                .assert_user("alex");
        };
        for _ in 0..2 {
            ask(CLIENT);
            ask(SECOND[0]);
        }
        assert_eq!(world.idp().proofs(), ["basic", "second"]);
        assert_eq!(world.calls_to(TOKEN), 2);
        let token = world.idp().token_for("alex", world.now());
        for client in [CLIENT, SECOND[0], CLIENT, SECOND[0]] {
            let request = Request::get("/app").bearer(&token);
            world
                .ask(request.header("x-client-id", client))
                .assert_user("alex");
        }
        assert_eq!(world.calls_to(INTROSPECT), 2);
    });
}

#[test]
fn the_client_may_stand_in_the_body_under_another_name() {
    let members = json!({
        "auth_methods": ["bearer", "password"], "password_param_type": ["header"],
        "client_arg": "client_config",
    });
    each(members, |world| {
        let refused = |request: Request| world.ask(request).answer_header("location");
        let post = || Request::new("POST", "/app");
        let second = Some("https://two.test/no".to_owned());
        assert_eq!(refused(post().form("client_config=second")), second);
        let json = post().header("content-type", "application/json");
        assert_eq!(refused(json.body(r#"{"client_config":"2"}"#)), second);
        let header = post().header("x-client-config", "second");
        assert_eq!(refused(header.form("client_config=me")), second);
        let first = Some("https://one.test/no".to_owned());
        assert_eq!(refused(post().form("client_id=second")), first);
    });
}
