//! The ways in that ask the provider: a token that it is asked about, a name with a password, a client of
//! the caller's own, a refresh token (specification sections 3, 4.4 to 4.8 and 15).

use flow::idp::{INTROSPECT, ROBOT, SECRET, TOKEN, USERINFO};
use flow::{Behaviour, Dialect, Outcome, Request, World};
use oidc_filter::host::Counter;
use serde_json::{Value, json};

const ALEX: [&str; 2] = ["alex", "the password of alex"];

/// In both hosts, with these methods and members.
#[track_caller]
fn each(methods: &[&str], members: Value, then: impl Fn(&World)) {
    for dialect in Dialect::BOTH {
        let all = flow::stage::merged(json!({"auth_methods": methods}), members.clone());
        let world = World::with_login(dialect, all);
        then(&world);
    }
}

fn basic([name, secret]: [&str; 2]) -> Request {
    let pair = base64(&format!("{name}:{secret}"));
    Request::get("/app")
        .header("authorization", format!("Basic {pair}"))
        .secret(secret)
}

/// Standard Base64 (RFC 4648 section 4), written out: the product must not test itself.
fn base64(text: &str) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    text.as_bytes()
        .chunks(3)
        .map(|chunk| {
            let word = chunk
                .iter()
                .chain([0, 0].iter())
                .take(3)
                .fold(0_usize, |word, byte| word << 8 | usize::from(*byte));
            (0..4)
                .map(|place| match place <= chunk.len() {
                    true => char::from(LETTERS[word >> (18 - 6 * place) & 63]),
                    false => '=',
                })
                .collect::<String>()
        })
        .collect()
}

fn upstream_token(outcome: &Outcome) -> String {
    let header = outcome.forwarded().header("authorization");
    let header = header.expect("a token");
    header.strip_prefix("Bearer ").expect("Bearer").to_owned()
}

// --- introspection

#[test]
fn ht_05b_a_token_is_introspected_once_and_then_known() {
    for opaque in [true, false] {
        each(&["introspection"], json!({}), |world| {
            world.idp().set(|idp| idp.opaque = opaque);
            let token = world.idp().token_for("alex", world.now());
            for _ in 0..3 {
                let outcome = world.ask(Request::get("/app").bearer(&token));
                outcome.assert_user("alex");
                assert_eq!(upstream_token(&outcome), token);
            }
            assert_eq!(world.calls_to(INTROSPECT), 1);
            let call = world.calls().last().expect("a call").clone();
            assert!(
                call.body.contains("token_type_hint=access_token"),
                "{}",
                call.body
            );
        });
    }
}

#[test]
fn a_token_that_is_not_active_is_401_and_asked_about_again() {
    each(&["introspection"], json!({}), |world| {
        for _ in 0..2 {
            world.show("nobody's-token").assert_status(401);
        }
        assert_eq!(world.calls_to(INTROSPECT), 2);
        assert!(world.logged("token_inactive"));
    });
    // Unless refusals are kept.
    each(&["introspection"], json!({"cache_ttl_neg": 10}), |world| {
        for _ in 0..3 {
            world.show("nobody's-token").assert_status(401);
        }
        assert_eq!(world.calls_to(INTROSPECT), 1);
        world.pass_seconds(10);
        world.show("nobody's-token").assert_status(401);
        assert_eq!(world.calls_to(INTROSPECT), 2);
    });
}

#[test]
fn what_was_said_of_a_token_ends_with_it() {
    each(&["introspection"], json!({"cache_ttl": 100_000}), |world| {
        world.idp().set(|idp| idp.opaque = true);
        let token = world.idp().token_for("alex", world.now());
        world.show(&token).assert_user("alex");
        // Withdrawn: what is known holds until the end of the token, as Kong's does.
        world.idp().withdraw();
        world.pass_seconds(299);
        world.show(&token).assert_user("alex");
        world.pass_seconds(1);
        world.show(&token).assert_status(401);
    });
    // Where no end is told, `cache_ttl` counts.
    each(&["introspection"], json!({"cache_ttl": 7}), |world| {
        world.idp().set(|idp| {
            idp.opaque = true;
            idp.said = json!({"exp": null});
        });
        let token = world.idp().token_for("alex", world.now());
        for _ in 0..2 {
            world.show(&token).assert_user("alex");
        }
        assert_eq!(world.calls_to(INTROSPECT), 1);
        world.pass_seconds(7);
        world.show(&token).assert_user("alex");
        assert_eq!(world.calls_to(INTROSPECT), 2);
    });
    // And with the cache off each request asks.
    each(
        &["introspection"],
        json!({"cache_introspection": false}),
        |world| {
            let token = world.idp().token_for("alex", world.now());
            for _ in 0..2 {
                world.show(&token).assert_user("alex");
            }
            world.idp().withdraw();
            world.show(&token).assert_status(401);
            assert_eq!(world.calls_to(INTROSPECT), 3);
        },
    );
}

#[test]
fn what_is_said_of_a_token_is_judged_like_claims() {
    for (said, members, status) in [
        (
            json!({"scope": "read"}),
            json!({"scopes_required": ["admin"]}),
            403,
        ),
        (json!({"iss": "https://evil.test"}), json!({}), 401),
        (json!({"nbf": 9_999_999_999_u64}), json!({}), 401),
        (json!({"exp": 1}), json!({}), 401),
        (json!({"active": "true"}), json!({}), 500),
        (json!({"active": null}), json!({}), 500),
        (
            json!({"active": null}),
            json!({"introspection_check_active": false}),
            200,
        ),
        (
            json!({"active": false}),
            json!({"introspection_check_active": false}),
            401,
        ),
    ] {
        each(&["introspection"], members, |world| {
            world.idp().set(|idp| idp.said = said.clone());
            let token = world.idp().token_for("alex", world.now());
            let outcome = world.show(&token);
            match status {
                200 => outcome.assert_user("alex"),
                status => outcome.assert_status(status),
            }
        });
    }
}

#[test]
fn an_endpoint_in_trouble_lets_nobody_in_and_is_not_asked_by_all() {
    for failure in [
        Behaviour::Status(500),
        Behaviour::Status(401),
        Behaviour::Status(200),
        Behaviour::NoAnswer,
        Behaviour::Timeout,
        Behaviour::Body(b"<html>".to_vec()),
        Behaviour::Body(br#"{"active":true,"active":true}"#.to_vec()),
    ] {
        let broken = !matches!(failure, Behaviour::Status(200));
        each(&["introspection"], json!({}), |world| {
            let token = world.idp().token_for("alex", world.now());
            world.next(INTROSPECT, [failure.clone()]);
            let outcome = world.show(&token);
            if broken {
                outcome.assert_status(500);
                // For a moment the same answer for all; then it heals.
                world.show(&token).assert_status(500);
                assert_eq!(world.calls_to(INTROSPECT), 1);
                world.pass_seconds(1);
            }
            world.show(&token).assert_user("alex");
        });
    }
}

#[test]
fn twenty_requests_with_one_new_token_ask_once() {
    let world = World::with_login(Dialect::Envoy, json!({"auth_methods": ["introspection"]}));
    let token = world.idp().token_for("alex", world.now());
    let tickets: Vec<_> = (0..20)
        .map(|_| world.send(Request::get("/app").bearer(&token)))
        .collect();
    // Who began it leaves; the others wait on.
    world.leave(tickets[0]);
    world.deliver_all();
    for ticket in &tickets[1..] {
        world.outcome(*ticket).assert_user("alex");
    }
    assert_eq!(world.calls_to(INTROSPECT), 1);
}

#[test]
fn a_jwt_goes_to_bearer_and_another_token_to_the_endpoint() {
    each(&["bearer", "introspection"], json!({}), |world| {
        let jwt = world.idp().token_for("alex", world.now());
        world.show(&jwt).assert_user("alex");
        assert_eq!(world.calls_to(INTROSPECT), 0);
        // A bad JWT is a bad JWT: nobody is asked about it.
        let (head, _) = jwt.rsplit_once('.').expect("a signature");
        world.show(&format!("{head}.AAAA")).assert_status(401);
        assert_eq!(world.calls_to(INTROSPECT), 0);
        world.idp().set(|idp| idp.opaque = true);
        let opaque = world.idp().token_for("alex", world.now());
        world.show(&opaque).assert_user("alex");
        assert_eq!(world.calls_to(INTROSPECT), 1);
    });
    // Switched off is off: an opaque token is nothing for bearer alone.
    each(&["bearer"], json!({}), |world| {
        world.idp().set(|idp| idp.opaque = true);
        let opaque = world.idp().token_for("alex", world.now());
        world.show(&opaque).assert_status(401);
        assert_eq!(world.calls_to(INTROSPECT), 0);
    });
}

#[test]
fn what_is_asked_with_a_token_is_part_of_the_question() {
    let members = json!({
        "introspection_post_args_names": ["tenant"], "introspection_post_args_values": ["one"],
        "introspection_post_args_client": ["branch"],
        "introspection_headers_client": ["x-trace"],
        "introspection_token_param_name": "token", "introspection_hint": "any",
        "upstream_introspection_header": "x-said",
    });
    each(&["introspection"], members, |world| {
        let token = world.idp().token_for("alex", world.now());
        let ask = |target: &str| {
            let request = Request::get(target).bearer(&token).header("x-trace", "7");
            world.ask(request.header("x-said", "forged"))
        };
        let outcome = ask("/app?branch=a%26b");
        outcome.assert_user("alex");
        let said = outcome.forwarded().header("x-said").expect("what was said");
        assert_eq!(flow::document(&said)["active"], true);
        let call = world.calls().last().expect("a call").clone();
        for part in ["tenant=one", "branch=a%26b", "token_type_hint=any"] {
            assert!(call.body.contains(part), "{part} in {}", call.body);
        }
        assert!(
            call.headers
                .contains(&("x-trace".to_owned(), "7".to_owned()))
        );
        ask("/app?branch=a%26b").assert_user("alex");
        assert_eq!(world.calls_to(INTROSPECT), 1);
        ask("/app?branch=other").assert_user("alex");
        assert_eq!(world.calls_to(INTROSPECT), 2, "another question");
    });
}

// --- userinfo

#[test]
fn ht_06b_userinfo_is_asked_once_with_the_token_alone() {
    each(
        &["userinfo"],
        json!({"upstream_user_info_header": "x-info"}),
        |world| {
            let token = world.idp().token_for("alex", world.now());
            for _ in 0..3 {
                let outcome = world.show(&token);
                outcome.assert_user("alex");
                let info = outcome.forwarded().header("x-info").expect("a document");
                assert_eq!(flow::document(&info)["email"], "alex@idp.test");
            }
            assert_eq!(world.calls_to(USERINFO), 1);
            let call = world.calls().last().expect("a call").clone();
            assert_eq!(call.method, "GET");
            assert!(
                call.headers
                    .contains(&("authorization".to_owned(), format!("Bearer {token}")))
            );
            assert!(!format!("{:?}{}", call.headers, call.body).contains(SECRET));
            // The document is as old as the token at most.
            world.pass_seconds(300);
            world.show(&token).assert_status(401);
            world.show("nobody's").assert_status(401);
        },
    );
}

// --- grants

#[test]
fn ht_08a_a_name_and_a_password_get_in_and_are_known_then() {
    each(&["password"], json!({}), |world| {
        for _ in 0..3 {
            let outcome = world.ask(basic(ALEX));
            outcome.assert_user("alex");
            assert!(upstream_token(&outcome).starts_with("ey"));
        }
        assert_eq!(world.calls_to(TOKEN), 1);
        let call = world.calls().last().expect("a call").clone();
        assert!(call.body.contains("grant_type=password"));
        assert!(call.body.contains("scope=openid"));
        for wrong in [["alex", "wrong"], ["", "x"], ["alex", ""]] {
            world.ask(basic(wrong)).assert_status(401);
        }
        assert_eq!(world.calls_to(TOKEN), 2, "half a pair is not asked about");
        let garbage = Request::get("/app").header("authorization", "Basic ???");
        world.ask(garbage).assert_status(401);
        assert_eq!(world.calls_to(TOKEN), 2);
        // Known as long as the token lives.
        world.pass_seconds(299);
        world.ask(basic(ALEX)).assert_user("alex");
        assert_eq!(world.calls_to(TOKEN), 2);
        world.pass_seconds(1);
        world.ask(basic(ALEX)).assert_user("alex");
        assert_eq!(world.calls_to(TOKEN), 3);
    });
}

#[test]
fn a_pair_is_found_where_it_is_looked_for_and_hidden_there() {
    let password = "the%20password%20of%20alex";
    for place in ["header", "query", "body"] {
        each(
            &["password"],
            json!({"password_param_type": [place]}),
            |world| {
                let query = format!("/app?a=1&username=alex&password={password}");
                let form = format!("a=1&username=alex&password={password}");
                let json = r#"{"username":"alex","a":1,"password":"the password of alex"}"#;
                let post = || Request::new("POST", "/app");
                let asked = [
                    ("header", basic(ALEX)),
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
    each(
        &["client_credentials"],
        json!({"token_endpoint_auth_method": "none"}),
        |world| {
            for _ in 0..2 {
                world.ask(basic(ROBOT)).assert_user("robot");
            }
            assert_eq!(world.calls_to(TOKEN), 1);
            let call = world.calls().last().expect("a call").clone();
            assert!(call.body.contains("grant_type=client_credentials"));
            assert!(!call.body.contains(SECRET) && !format!("{:?}", call.headers).contains("bWU6"));
            world.ask(basic([ROBOT[0], "wrong"])).assert_status(401);
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
fn ht_09b_a_pair_for_both_is_taken_for_a_person_first() {
    each(&["password", "client_credentials"], json!({}), |world| {
        world.ask(basic(ALEX)).assert_user("alex");
        assert_eq!(world.calls_to(TOKEN), 1);
        world.ask(basic(ROBOT)).assert_user("robot");
        assert_eq!(world.calls_to(TOKEN), 3, "as a person, then as a client");
        // Kong asks twice each time; here what is known is known.
        world.ask(basic(ROBOT)).assert_user("robot");
        assert_eq!(world.calls_to(TOKEN), 3);
        world.ask(basic(["who", "ever"])).assert_status(401);
    });
}

#[test]
fn ht_07b_a_refresh_token_gets_in_and_is_used_once() {
    let members = json!({
        "refresh_token_param_name": "refresh_token",
        "upstream_refresh_token_header": "refresh_token",
    });
    each(&["refresh_token", "password"], members, |world| {
        world.idp().set(|idp| idp.rotates = false);
        let outcome = world.ask(basic(ALEX));
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
    each(&["refresh_token"], json!({}), |world| {
        let request = Request::get("/app").header("refresh-token", "x");
        world.ask(request).assert_status(401);
        assert_eq!(world.calls_to(TOKEN), 0);
        assert!(world.logged("no_credential"));
    });
}

#[test]
fn ht_03a_whoever_gets_in_by_a_password_has_a_session_then() {
    each(&["session", "password"], json!({}), |world| {
        let browser = world.browser();
        let outcome = browser.ask(basic(ALEX));
        outcome.assert_user("alex");
        assert_eq!(browser.count("session"), 1);
        let token = upstream_token(&outcome);
        // HT-03b: the cookie alone is enough, and nobody is asked.
        let again = browser.ask(Request::get("/app"));
        again.assert_user("alex");
        assert_eq!(upstream_token(&again), token);
        assert_eq!(world.calls_to(TOKEN), 1);
        // A session of one's own, also where the tokens are known.
        let other = world.browser();
        other.ask(basic(ALEX)).assert_user("alex");
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
    each(
        &["session", "password", "client_credentials"],
        members,
        |world| {
            let browser = world.browser();
            browser.ask(basic(ALEX)).assert_user("alex");
            assert_eq!(browser.count("session"), 0);
            browser.ask(basic(ROBOT)).assert_user("robot");
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
        each(&["password"], json!({}), |world| {
            world.idp().set(|idp| idp.access_claims = lie.clone());
            world.ask(basic(ALEX)).assert_status(401);
        });
    }
    each(
        &["password"],
        json!({"scopes_required": ["admin"]}),
        |world| {
            world.ask(basic(ALEX)).assert_status(403);
        },
    );
    each(&["password"], json!({}), |world| {
        world
            .idp()
            .set(|idp| idp.id_claims = json!({"aud": "another"}));
        world.ask(basic(ALEX)).assert_status(401);
    });
}

#[test]
fn login_action_counts_for_the_methods_that_are_named() {
    let members = json!({
        "login_methods": ["password"], "login_action": "response", "login_tokens": ["access_token"],
    });
    each(&["password", "client_credentials"], members, |world| {
        let outcome = world.ask(basic(ALEX));
        outcome.assert_status(200);
        let given = outcome.json();
        world.hand_out(given["access_token"].as_str().expect("a token"));
        assert!(
            given["access_token"]
                .as_str()
                .is_some_and(|token| token.starts_with("ey"))
        );
        assert_eq!(given.as_object().map(serde_json::Map::len), Some(1));
        world.ask(basic(ROBOT)).assert_user("robot");
    });
    // Who may not pass gets no tokens.
    let members = json!({
        "login_methods": ["password"], "login_action": "response", "login_tokens": ["access_token"],
        "scopes_required": ["admin"],
    });
    each(&["password"], members, |world| {
        world.ask(basic(ALEX)).assert_status(403);
    });
}

#[test]
fn a_redirect_after_a_password_in_the_query_does_not_repeat_it() {
    let members = json!({
        "login_methods": ["password"], "login_action": "redirect", "login_tokens": [],
        "preserve_query_args": true,
    });
    each(&["session", "password"], members, |world| {
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
        browser.ask(basic(ROBOT)).assert_user("robot");
        assert_eq!(browser.count("session"), 1);
        browser.ask(Request::get("/app")).assert_user("robot");
        assert_eq!(world.calls_to(TOKEN), 1);
    }
}

#[test]
fn tokens_that_end_at_once_are_kept_by_nobody() {
    each(&["password"], json!({"cache_ttl_min": 60}), |world| {
        world.idp().set(|idp| idp.lifetime = 0);
        world.ask(basic(ALEX)).assert_status(401);
        world.idp().set(|idp| idp.lifetime = 300);
        world.ask(basic(ALEX)).assert_user("alex");
    });
    each(&["password"], json!({"cache_tokens": false}), |world| {
        for calls in 1..=3 {
            world.ask(basic(ALEX)).assert_user("alex");
            assert_eq!(world.calls_to(TOKEN), calls);
        }
    });
}

#[test]
fn a_bearer_token_wins_over_a_password_and_a_bad_one_is_the_end() {
    each(&["bearer", "password"], json!({}), |world| {
        let request = Request::get("/app?username=alex&password=the%20password%20of%20alex");
        let bad = request.header("authorization", "Bearer bad").secret("bad");
        world.ask(bad).assert_status(401);
        assert_eq!(world.calls_to(TOKEN), 0);
        assert_eq!(world.counted(Counter::Granted), 0);
    });
    // Nor does a bad password lead to a login.
    each(&["password", "authorization_code"], json!({}), |world| {
        world.ask(basic(["alex", "wrong"])).assert_status(401);
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
    each(&["password"], members, |world| {
        let ask =
            |branch: &str| world.ask(basic(ALEX).header("branch", branch).header("x-trace", "7"));
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
