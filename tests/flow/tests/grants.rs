//! The ways in that ask the token endpoint: a name with a password, a client of the caller's own, a refresh token
//! (specification sections 3, 4.6 to 4.8 and 15).

use flow::idp::{ROBOT, SECRET, TOKEN};
use flow::stage::with_methods;
use flow::{Dialect, Request, World};
use oidc_filter::host::Counter;
use serde_json::json;

const ALEX: [&str; 2] = ["alex", "the password of alex"];

#[test]
fn ht_08a_a_name_and_a_password_get_in_and_are_known_then() {
    with_methods(&["password"], json!({}), |world| {
        for _ in 0..3 {
            let outcome = world.ask(Request::basic(ALEX));
            outcome.assert_user("alex");
            assert!(outcome.upstream_token().starts_with("ey"));
        }
        assert_eq!(world.calls_to(TOKEN), 1);
        let call = world.calls().last().expect("a call").clone();
        assert!(call.body.contains("grant_type=password"));
        assert!(call.body.contains("scope=openid"));
        for wrong in [["alex", "wrong"], ["", "x"], ["alex", ""]] {
            world.ask(Request::basic(wrong)).assert_status(401);
        }
        assert_eq!(world.calls_to(TOKEN), 2, "half a pair is not asked about");
        let garbage = Request::get("/app").header("authorization", "Basic ???");
        world.ask(garbage).assert_status(401);
        assert_eq!(world.calls_to(TOKEN), 2);
        // Known as long as the token lives.
        world.pass_seconds(299);
        world.ask(Request::basic(ALEX)).assert_user("alex");
        assert_eq!(world.calls_to(TOKEN), 2);
        world.pass_seconds(1);
        world.ask(Request::basic(ALEX)).assert_user("alex");
        assert_eq!(world.calls_to(TOKEN), 3);
    });
}

#[test]
fn a_pair_is_found_where_it_is_looked_for_and_hidden_there() {
    let password = "the%20password%20of%20alex";
    for place in ["header", "query", "body"] {
        with_methods(
            &["password"],
            json!({"password_param_type": [place]}),
            |world| {
                let query = format!("/app?a=1&username=alex&password={password}");
                let form = format!("a=1&username=alex&password={password}");
                let json = r#"{"username":"alex","a":1,"password":"the password of alex"}"#;
                let post = || Request::new("POST", "/app");
                let asked = [
                    ("header", Request::basic(ALEX)),
                    ("query", Request::get(&query)),
                    ("body", post().form(&form)),
                    (
                        "body",
                        post().header("content-type", "application/json").body(json),
                    ),
                ];
                for (shown, request) in asked {
                    let outcome = world.ask(request.secret(password).secret(ALEX[1]));
                    if shown != place {
                        outcome.assert_status(401);
                        continue;
                    }
                    outcome.assert_user("alex");
                    let seen = outcome.forwarded();
                    let body = String::from_utf8_lossy(seen.body()).into_owned();
                    let all = format!("{} {body} {:?}", seen.path(), seen.all("authorization"));
                    assert!(!all.contains("password") && !all.contains("Basic"), "{all}");
                    assert!(shown == "header" || all.contains("a=1") || all.contains("\"a\":1"));
                }
            },
        );
    }
}

#[test]
fn ht_09a_a_client_of_the_callers_own_gets_in_as_itself() {
    with_methods(
        &["client_credentials"],
        json!({"token_endpoint_auth_method": "none"}),
        |world| {
            for _ in 0..2 {
                world.ask(Request::basic(ROBOT)).assert_user("robot");
            }
            assert_eq!(world.calls_to(TOKEN), 1);
            let call = world.calls().last().expect("a call").clone();
            assert!(call.body.contains("grant_type=client_credentials"));
            assert!(!call.body.contains(SECRET) && !format!("{:?}", call.headers).contains("bWU6"));
            world
                .ask(Request::basic([ROBOT[0], "wrong"]))
                .assert_status(401);
            assert!(world.logged("client_refused"));
            let post = Request::new("POST", "/app").form(&format!(
                "client_id={}&client_secret={}",
                ROBOT[0], ROBOT[1]
            ));
            world.ask(post.secret(ROBOT[1])).assert_user("robot");
        },
    );
}

#[test]
fn without_sessions_nothing_random_and_no_secret_is_needed() {
    let members = json!({"session_secret": null, "upstream_session_id_header": "x-session"});
    for (method, shown, user) in [
        ("client_credentials", ROBOT, "robot"),
        ("password", ALEX, "alex"),
    ] {
        with_methods(&[method], members.clone(), |world| {
            let outcome = world.ask(Request::basic(shown));
            outcome.assert_user(user);
            assert_eq!(outcome.forwarded().header("x-session"), None);
            world
                .ask(Request::basic([shown[0], "wrong"]))
                .assert_status(401);
        });
    }
}

#[test]
fn ht_09b_a_pair_for_both_is_taken_for_a_person_first() {
    with_methods(&["password", "client_credentials"], json!({}), |world| {
        world.ask(Request::basic(ALEX)).assert_user("alex");
        assert_eq!(world.calls_to(TOKEN), 1);
        world.ask(Request::basic(ROBOT)).assert_user("robot");
        assert_eq!(world.calls_to(TOKEN), 3, "as a person, then as a client");
        // Kong asks twice each time; here what is known is known.
        world.ask(Request::basic(ROBOT)).assert_user("robot");
        assert_eq!(world.calls_to(TOKEN), 3);
        world
            .ask(Request::basic(["who", "ever"]))
            .assert_status(401);
    });
}

#[test]
fn ht_07b_a_refresh_token_gets_in_and_is_used_once() {
    let members = json!({
        "refresh_token_param_name": "refresh_token",
        "upstream_refresh_token_header": "refresh_token",
    });
    with_methods(&["refresh_token", "password"], members, |world| {
        world.idp().set(|idp| idp.rotates = false);
        let outcome = world.ask(Request::basic(ALEX));
        outcome.assert_user("alex");
        let token = outcome
            .forwarded()
            .header("refresh-token")
            .expect("one for the upstream");
        for _ in 0..2 {
            let request = Request::get("/app").header("Refresh-Token", &token);
            let outcome = world.ask(request.secret(&token));
            outcome.assert_user("alex");
            let given = outcome.forwarded().header("refresh-token");
            assert!(given.is_some_and(|given| given != token), "the new one");
        }
        assert_eq!(world.calls_to(TOKEN), 2);
        let bearer = Request::get("/app").header("refresh-token", format!("Bearer {token}"));
        world.ask(bearer.secret(&token)).assert_user("alex");
        assert_eq!(world.calls_to(TOKEN), 2);
        let wrong = Request::get("/app").header("refresh-token", "wrong");
        world.ask(wrong).assert_status(401);
    });
    // Without a name there is no such credential.
    with_methods(&["refresh_token"], json!({}), |world| {
        let request = Request::get("/app").header("refresh-token", "x");
        world.ask(request).assert_status(401);
        assert_eq!(world.calls_to(TOKEN), 0);
        assert!(world.logged("no_credential"));
    });
}

#[test]
fn ht_03a_whoever_gets_in_by_a_password_has_a_session_then() {
    with_methods(&["session", "password"], json!({}), |world| {
        let browser = world.browser();
        let outcome = browser.ask(Request::basic(ALEX));
        outcome.assert_user("alex");
        assert_eq!(browser.count("session"), 1);
        let token = outcome.upstream_token();
        // HT-03b: the cookie alone is enough, and nobody is asked.
        let again = browser.ask(Request::get("/app"));
        again.assert_user("alex");
        assert_eq!(again.upstream_token(), token);
        assert_eq!(world.calls_to(TOKEN), 1);
        // A session of one's own, also where the tokens are known.
        let other = world.browser();
        other.ask(Request::basic(ALEX)).assert_user("alex");
        assert_eq!(world.calls_to(TOKEN), 1);
        assert_ne!(
            browser.cookie("session").expect("one").value,
            other.cookie("session").expect("one").value
        );
    });
}

#[test]
fn dx_35_a_method_may_begin_no_session() {
    let members = json!({"disable_session": ["password"]});
    with_methods(
        &["session", "password", "client_credentials"],
        members,
        |world| {
            let browser = world.browser();
            browser.ask(Request::basic(ALEX)).assert_user("alex");
            assert_eq!(browser.count("session"), 0);
            browser.ask(Request::basic(ROBOT)).assert_user("robot");
            assert_eq!(browser.count("session"), 1);
        },
    );
}

#[test]
fn a_token_that_a_grant_gives_is_verified() {
    for lie in [
        json!({"iss": "https://evil.test"}),
        json!({"nbf": 9_999_999_999_u64}),
    ] {
        with_methods(&["password"], json!({}), |world| {
            world.idp().set(|idp| idp.access_claims = lie.clone());
            world.ask(Request::basic(ALEX)).assert_status(401);
        });
    }
    with_methods(
        &["password"],
        json!({"scopes_required": ["admin"]}),
        |world| {
            world.ask(Request::basic(ALEX)).assert_status(403);
        },
    );
    with_methods(&["password"], json!({}), |world| {
        world
            .idp()
            .set(|idp| idp.id_claims = json!({"aud": "another"}));
        world.ask(Request::basic(ALEX)).assert_status(401);
    });
}

#[test]
fn login_action_counts_for_the_methods_that_are_named() {
    let members = json!({
        "login_methods": ["password"], "login_action": "response", "login_tokens": ["access_token"],
    });
    with_methods(&["password", "client_credentials"], members, |world| {
        let outcome = world.ask(Request::basic(ALEX));
        outcome.assert_status(200);
        let given = outcome.json();
        world.hand_out(given["access_token"].as_str().expect("a token"));
        assert!(
            given["access_token"]
                .as_str()
                .is_some_and(|token| token.starts_with("ey"))
        );
        assert_eq!(given.as_object().map(serde_json::Map::len), Some(1));
        world.ask(Request::basic(ROBOT)).assert_user("robot");
    });
    // Who may not pass gets no tokens.
    let members = json!({
        "login_methods": ["password"], "login_action": "response", "login_tokens": ["access_token"],
        "scopes_required": ["admin"],
    });
    with_methods(&["password"], members, |world| {
        world.ask(Request::basic(ALEX)).assert_status(403);
    });
}

#[test]
fn a_redirect_after_a_password_in_the_query_does_not_repeat_it() {
    let members = json!({
        "login_methods": ["password"], "login_action": "redirect", "login_tokens": [],
        "preserve_query_args": true,
    });
    with_methods(&["session", "password"], members, |world| {
        let target = "/app?a=1&username=alex&password=the%20password%20of%20alex&b=2";
        let outcome = world.ask(Request::get(target).secret("password%20of"));
        outcome.assert_status(302);
        let place = outcome.answer_header("location");
        assert_eq!(place.as_deref(), Some("/app?a=1&b=2"));
    });
}

#[test]
fn a_caller_with_a_client_of_its_own_has_a_session_where_none_of_ours_is_configured() {
    for dialect in Dialect::BOTH {
        let members = json!({
            "auth_methods": ["session", "client_credentials"], "client_id": null,
            "client_secret": null,
        });
        let world = World::with_login(dialect, members);
        let browser = world.browser();
        browser.ask(Request::basic(ROBOT)).assert_user("robot");
        assert_eq!(browser.count("session"), 1);
        browser.ask(Request::get("/app")).assert_user("robot");
        assert_eq!(world.calls_to(TOKEN), 1);
    }
}

#[test]
fn tokens_that_end_at_once_are_kept_by_nobody() {
    with_methods(&["password"], json!({"cache_ttl_min": 60}), |world| {
        world.idp().set(|idp| idp.lifetime = 0);
        world.ask(Request::basic(ALEX)).assert_status(401);
        world.idp().set(|idp| idp.lifetime = 300);
        world.ask(Request::basic(ALEX)).assert_user("alex");
    });
    with_methods(&["password"], json!({"cache_tokens": false}), |world| {
        for calls in 1..=3 {
            world.ask(Request::basic(ALEX)).assert_user("alex");
            assert_eq!(world.calls_to(TOKEN), calls);
        }
    });
}

#[test]
fn a_bearer_token_wins_over_a_password_and_a_bad_one_is_the_end() {
    with_methods(&["bearer", "password"], json!({}), |world| {
        let request = Request::get("/app?username=alex&password=the%20password%20of%20alex");
        let bad = request.header("authorization", "Bearer bad").secret("bad");
        world.ask(bad).assert_status(401);
        assert_eq!(world.calls_to(TOKEN), 0);
        assert_eq!(world.counted(Counter::Granted), 0);
    });
    // Nor does a bad password lead to a login.
    with_methods(&["password", "authorization_code"], json!({}), |world| {
        world
            .ask(Request::basic(["alex", "wrong"]))
            .assert_status(401);
        world.ask(Request::get("/app")).assert_status(302);
    });
}

#[test]
fn what_the_configuration_adds_to_the_token_endpoint_goes_there() {
    let members = json!({
        "token_post_args_names": ["tenant"], "token_post_args_values": ["one"],
        "token_post_args_client": ["branch"],
        "token_headers_names": ["x-key"], "token_headers_values": ["k"],
        "token_headers_client": ["x-trace"],
    });
    with_methods(&["password"], members, |world| {
        let ask = |branch: &str| {
            world.ask(
                Request::basic(ALEX)
                    .header("branch", branch)
                    .header("x-trace", "7"),
            )
        };
        ask("a").assert_user("alex");
        let call = world.calls().last().expect("a call").clone();
        assert!(call.body.contains("tenant=one") && call.body.contains("branch=a"));
        for header in [("x-key", "k"), ("x-trace", "7")] {
            let header = (header.0.to_owned(), header.1.to_owned());
            assert!(call.headers.contains(&header), "{:?}", call.headers);
        }
        ask("a").assert_user("alex");
        assert_eq!(world.calls_to(TOKEN), 1);
        ask("b").assert_user("alex");
        assert_eq!(world.calls_to(TOKEN), 2, "another question");
    });
}
