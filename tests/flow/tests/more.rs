//! More data about a credential that is good by itself: a JWT that is introspected as well, and the userinfo beside
//! other ways in (specification section 2, step 11).

use flow::idp::{INTROSPECT, ROBOT, USERINFO};
use flow::stage::with_methods;
use flow::{Behaviour, Browser, Dialect, Outcome, Request, World, document};
use serde_json::{Value, json};

/// With a header that only the userinfo can fill.
fn mail(members: Value) -> Value {
    let mail = json!({
        "upstream_headers": [{"header": "x-mail", "path": ["email"]}],
        "downstream_headers": [{"header": "x-mail", "path": ["email"]}],
    });
    flow::stage::merged(mail, members)
}

#[track_caller]
fn assert_mail(outcome: &Outcome) {
    outcome.assert_user("alex");
    let seen = outcome.forwarded();
    assert_eq!(seen.all("x-mail"), ["alex@idp.test"]);
    assert_eq!(seen.response("x-mail"), ["alex@idp.test"]);
}

const ALEX: [&str; 2] = ["alex", "the password of alex"];

#[test]
fn a_jwt_is_introspected_as_well_and_both_must_pass() {
    let members = json!({"introspect_jwt_tokens": true, "cache_introspection": false});
    with_methods(&["bearer"], members, |world| {
        let token = world.idp().token_for("alex", world.now());
        for asked in 1..=2 {
            world.show(&token).assert_user("alex");
            assert_eq!(world.calls_to(INTROSPECT), asked);
        }
        // A bad signature is bad: nobody is asked about it.
        let (head, _) = token.rsplit_once('.').expect("a signature");
        world.show(&format!("{head}.AAAA")).assert_status(401);
        assert_eq!(world.calls_to(INTROSPECT), 2);
        // Withdrawn is withdrawn, however long the token says it holds.
        world.idp().withdraw();
        world.show(&token).assert_status(401);
        assert!(world.logged("token_inactive"));
    });
    with_methods(&["bearer"], json!({}), |world| {
        let token = world.idp().token_for("alex", world.now());
        world.idp().withdraw();
        world.show(&token).assert_user("alex");
        assert_eq!(world.calls_to(INTROSPECT), 0);
    });
}

#[test]
fn what_introspection_said_of_a_jwt_is_known_for_a_while() {
    let members = json!({"introspect_jwt_tokens": true, "cache_ttl_max": 10});
    with_methods(&["bearer"], members, |world| {
        let token = world.idp().token_for("alex", world.now());
        for _ in 0..3 {
            world.show(&token).assert_user("alex");
        }
        assert_eq!(world.calls_to(INTROSPECT), 1);
        world.idp().withdraw();
        world.pass_seconds(9);
        world.show(&token).assert_user("alex");
        world.pass_seconds(1);
        world.show(&token).assert_status(401);
    });
    // What a request asks with is part of the question.
    let members =
        json!({"introspect_jwt_tokens": true, "introspection_headers_client": ["x-tenant"]});
    with_methods(&["bearer"], members, |world| {
        let token = world.idp().token_for("alex", world.now());
        for (tenant, calls) in [("a", 1), ("a", 1), ("b", 2), ("a", 2)] {
            let request = Request::get("/").bearer(&token).header("x-tenant", tenant);
            world.ask(request).assert_user("alex");
            assert_eq!(world.calls_to(INTROSPECT), calls, "{tenant}");
        }
        world.show("bad.bad.bad").assert_status(401);
    });
}

#[test]
fn rules_see_the_token_first_and_then_what_was_said_of_it() {
    for (access, said, status) in [
        (json!({"scope": "admin"}), json!({"scope": "read"}), 200),
        (json!({"scope": "read"}), json!({"scope": "admin"}), 403),
        (json!({"scope": null}), json!({"scope": "admin"}), 200),
        (json!({"scope": null}), json!({"scope": null}), 403),
        // A claim that must not be there is there, whoever says it.
        (json!({"scope": "admin"}), json!({"locked": true}), 403),
        (json!({"scope": "admin", "locked": 1}), json!({}), 403),
    ] {
        let members = json!({
            "introspect_jwt_tokens": true, "scopes_required": ["admin"], "claims_forbidden": ["locked"],
        });
        with_methods(&["bearer"], members, |world| {
            world.idp().set(|idp| {
                idp.access_claims = access.clone();
                idp.said = said.clone();
            });
            let token = world.idp().token_for("alex", world.now());
            match status {
                200 => world.show(&token).assert_user("alex"),
                status => world.show(&token).assert_status(status),
            }
        });
    }
}

#[test]
fn claims_come_from_the_userinfo_where_it_is_searched() {
    let searched = || mail(json!({"search_user_info": true}));
    with_methods(&["bearer"], searched(), |world| {
        let token = world.idp().token_for("alex", world.now());
        for _ in 0..3 {
            assert_mail(&world.show(&token));
        }
        assert_eq!(world.calls_to(USERINFO), 1);
        world.show("bad.bad.bad").assert_status(401);
        assert_eq!(world.calls_to(USERINFO), 1);
    });
    with_methods(&["introspection"], searched(), |world| {
        world.idp().set(|idp| idp.opaque = true);
        let token = world.idp().token_for("alex", world.now());
        for _ in 0..3 {
            assert_mail(&world.show(&token));
        }
        assert_eq!(
            (world.calls_to(USERINFO), world.calls_to(INTROSPECT)),
            (1, 1)
        );
        world.show("nobody's").assert_status(401);
    });
    with_methods(&["password"], searched(), |world| {
        for _ in 0..2 {
            assert_mail(&world.ask(Request::basic(ALEX)));
        }
        assert_eq!(world.calls_to(USERINFO), 1);
        world.ask(Request::basic(ROBOT)).assert_status(401);
    });
    // A client that comes for itself is no person.
    with_methods(&["client_credentials"], searched(), |world| {
        let outcome = world.ask(Request::basic(ROBOT));
        outcome.assert_user("robot");
        assert_eq!(world.calls_to(USERINFO), 0);
    });
    with_methods(&["bearer"], mail(json!({})), |world| {
        let outcome = world.show(&world.idp().token_for("alex", world.now()));
        outcome.assert_user("alex");
        assert_eq!(outcome.forwarded().header("x-mail"), None);
        assert_eq!(world.calls_to(USERINFO), 0);
    });
}

#[test]
fn the_token_is_believed_before_the_userinfo() {
    let members = json!({"search_user_info": true, "upstream_user_info_header": "x-info"});
    with_methods(&["bearer"], members, |world| {
        world
            .idp()
            .set(|idp| idp.said = json!({"preferred_username": "other"}));
        let token = world.idp().token_for("alex", world.now());
        let outcome = world.show(&token);
        outcome.assert_user("alex");
        let info = outcome.forwarded().header("x-info").expect("a document");
        assert_eq!(document(&info)["preferred_username"], "other");
    });
}

#[test]
fn a_header_for_the_userinfo_has_it_asked_for() {
    for field in ["upstream_user_info_header", "downstream_user_info_header"] {
        let mut members = json!({});
        members[field] = json!("x-info");
        with_methods(&["bearer"], members, |world| {
            let outcome = world.show(&world.idp().token_for("alex", world.now()));
            outcome.assert_user("alex");
            let seen = outcome.forwarded();
            let value = seen.header("x-info");
            let value = value.or_else(|| seen.response("x-info").first().cloned());
            assert_eq!(document(&value.expect("it"))["email"], "alex@idp.test");
            assert_eq!(world.calls_to(USERINFO), 1);
        });
    }
}

#[test]
fn what_is_said_of_somebody_else_is_not_believed() {
    for (said, status) in [
        (json!({"sub": "sub of mallory"}), 401),
        (json!({"sub": null}), 500),
        (json!({}), 200),
    ] {
        with_methods(
            &["bearer"],
            mail(json!({"search_user_info": true})),
            |world| {
                world.idp().set(|idp| idp.said = said.clone());
                let outcome = world.show(&world.idp().token_for("alex", world.now()));
                match status {
                    200 => assert_mail(&outcome),
                    status => outcome.assert_status(status),
                }
            },
        );
    }
}

#[test]
fn a_session_is_filled_from_the_userinfo_which_is_asked_once() {
    for dialect in Dialect::BOTH {
        let world = World::with_login(dialect, mail(json!({"search_user_info": true})));
        let browser = world.browser();
        assert_mail(&browser.enter("/app").outcome);
        for _ in 0..3 {
            assert_mail(&browser.open("/app").here().outcome);
            // It is opened again, and the userinfo is known.
            world.pass_seconds(11);
        }
        assert_eq!(world.calls_to(USERINFO), 1);
        // A provider in trouble lets nobody in without: the answer is the old one's as long as that is kept.
        world.always(USERINFO, Behaviour::NoAnswer);
        assert_mail(&browser.open("/app").here().outcome);
        let mallory = World::with_login(dialect, mail(json!({"search_user_info": true})));
        mallory
            .idp()
            .set(|idp| idp.said = json!({"sub": "sub of mallory"}));
        let visitor = mallory.browser();
        visitor.enter("/app").outcome.assert_status(401);
        assert_eq!(visitor.cookie("session"), None);
    }
}

#[test]
fn a_session_whose_token_was_withdrawn_is_over() {
    for action in ["upstream", "redirect"] {
        let members = json!({
            "introspect_jwt_tokens": true, "cache_introspection": false,
            "login_action": action, "login_tokens": [],
        });
        for dialect in Dialect::BOTH {
            let world = World::with_login(dialect, members.clone());
            let browser = world.browser();
            browser.enter("/app").outcome.assert_user("alex");
            let before = world.calls_to(INTROSPECT);
            browser.open("/app").here().outcome.assert_user("alex");
            assert_eq!(world.calls_to(INTROSPECT), before + 1, "nothing is kept");
            world.idp().withdraw();
            // Whoever navigates logs in again; a script is told.
            let script = |browser: &Browser<'_>| browser.ask(Request::new("POST", "/app"));
            script(&browser.copy()).assert_status(401);
            let away = browser.open("/app").away();
            browser.log_in(&away).here().outcome.assert_user("alex");
        }
    }
}

#[test]
fn a_provider_that_says_nothing_of_its_visitors_sends_nobody_in_circles() {
    let members = mail(json!({
        "search_user_info": true, "login_action": "redirect", "login_tokens": [],
    }));
    for dialect in Dialect::BOTH {
        for (trouble, status) in [(Behaviour::Status(403), 401), (Behaviour::Status(500), 500)] {
            let world = World::with_login(dialect, members.clone());
            world.always(USERINFO, trouble);
            let page = world.browser().enter("/app");
            page.outcome.assert_status(status);
            assert_eq!(page.count("/app?"), 1, "{:?}", page.visited);
        }
        let world = World::with_login(dialect, members.clone());
        assert_mail(&world.browser().enter("/app").outcome);
    }
}

#[test]
fn while_the_endpoint_fails_what_it_said_before_counts_a_little_longer() {
    let members = |more: Value| {
        let kept =
            json!({"search_user_info": true, "cache_ttl_max": 10, "cache_ttl_resurrect": 20});
        mail(flow::stage::merged(kept, more))
    };
    with_methods(&["bearer"], members(json!({})), |world| {
        let token = world.idp().token_for("alex", world.now());
        assert_mail(&world.show(&token));
        world.always(USERINFO, Behaviour::Status(503));
        world.pass_seconds(11);
        assert_mail(&world.show(&token));
        assert_eq!(world.calls_to(USERINFO), 2, "it was asked first");
        world.pass_seconds(18);
        assert_mail(&world.show(&token));
        world.pass_seconds(1);
        world.show(&token).assert_status(500);
        // Nobody has anything of somebody who is new.
        let other = world.idp().token_for("alex", world.now());
        world.show(&other).assert_status(500);
        world.always(USERINFO, Behaviour::Normal);
        world.pass_seconds(2);
        assert_mail(&world.show(&token));
        // A token that the endpoint refuses is refused, and what it said before counts no more.
        world.pass_seconds(10);
        world.next(USERINFO, [Behaviour::Status(401), Behaviour::Status(503)]);
        world.show(&token).assert_status(401);
        world.show(&token).assert_status(500);
    });
    for dialect in Dialect::BOTH {
        let world = World::with_login(dialect, members(json!({})));
        let browser = world.browser();
        assert_mail(&browser.enter("/app").outcome);
        world.always(USERINFO, Behaviour::NoAnswer);
        for seconds in [11, 0, 5] {
            world.pass_seconds(seconds);
            assert_mail(&browser.open("/app").here().outcome);
        }
        world.pass_seconds(15);
        browser.open("/app").here().outcome.assert_status(500);
    }
    // A verdict is never revived: neither that of introspection, nor userinfo where it is the way in.
    for (methods, members, url) in [
        (
            ["bearer"],
            json!({"introspect_jwt_tokens": true}),
            INTROSPECT,
        ),
        (["introspection"], json!({}), INTROSPECT),
        (["userinfo"], json!({}), USERINFO),
    ] {
        let kept = json!({"cache_ttl_max": 10, "cache_ttl_resurrect": 20});
        with_methods(&methods, flow::stage::merged(kept, members), |world| {
            let token = world.idp().token_for("alex", world.now());
            world.show(&token).assert_user("alex");
            world.always(url, Behaviour::NoAnswer);
            world.pass_seconds(11);
            world.show(&token).assert_status(500);
        });
    }
}
