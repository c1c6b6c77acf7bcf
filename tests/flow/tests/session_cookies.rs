//! The session's cookies, as browsers and strangers send them (specification section 14, RFC 6265).

use flow::stage::logged_in;
use flow::{Dialect, Request, World};
use serde_json::{Value, json};

#[test]
fn cookies_have_the_attributes_that_are_configured() {
    let cookie = |members: Value, scheme: &'static str, name: &str| {
        let world = World::with_login(Dialect::Envoy, members);
        let mut browser = world.browser();
        browser.scheme = scheme;
        let outcome = browser.ask(Request::get("/app"));
        let login = browser
            .jar
            .borrow()
            .first()
            .cloned()
            .expect("a login cookie");
        drop(outcome);
        if name == "authorization" {
            return login;
        }
        let away = browser.open("/app").away();
        let _ = browser.log_in(&away);
        browser.cookie(name).expect("a cookie")
    };
    let plain = cookie(json!({}), "https", "session");
    assert_eq!(
        (
            plain.path.as_str(),
            plain.domain.clone(),
            plain.same_site.as_deref()
        ),
        ("/", None, Some("Lax"))
    );
    assert!(plain.secure && plain.http_only);
    let login = cookie(json!({}), "https", "authorization");
    assert_eq!(
        (login.path.as_str(), login.same_site.as_deref()),
        ("/", None)
    );
    assert!(login.secure && login.http_only);
    assert!(!cookie(json!({}), "http", "authorization").secure);
    let told = json!({"redirect_uri": ["https://api.test/cb"]});
    let world = World::with_login(Dialect::Envoy, told);
    let outcome = world.ask(Request::get("/").with(":scheme", "http"));
    let set = outcome.answer_header("set-cookie").expect("a cookie");
    assert!(
        set.contains("; Secure"),
        "the configured address says https: {set}"
    );
    let chosen = json!({"session_cookie_path": "/app", "session_cookie_same_site": "Strict",
        "session_cookie_http_only": false, "session_cookie_name": "mine"});
    let chosen = cookie(chosen, "https", "mine");
    assert_eq!(
        (chosen.path.as_str(), chosen.same_site.as_deref()),
        ("/app", Some("Strict"))
    );
    assert!(!chosen.http_only);
}

#[test]
fn two_sessions_of_different_people_are_believed_neither() {
    logged_in(json!({}), |world, browser| {
        let mut other = world.browser();
        other.user = "mallory".to_owned();
        other.enter("/app").outcome.assert_user("mallory");
        let mine = browser.cookie("session").expect("a cookie").value;
        let theirs = other.cookie("session").expect("a cookie").value;
        for pair in [[&mine, &theirs], [&theirs, &mine]] {
            let line = format!("session={}; session={}", pair[0], pair[1]);
            let outcome = world.ask(Request::get("/app").header("cookie", &line));
            outcome.assert_status(401);
            assert!(world.logged("session_conflict"));
        }
        let line = format!("session={mine}; session={mine}");
        world
            .ask(Request::get("/app").header("cookie", &line))
            .assert_user("alex");
    });
}

#[test]
fn five_hundred_garbage_cookies_harm_nobody() {
    logged_in(json!({}), |world, browser| {
        let good = browser.cookie("session").expect("a cookie").value;
        let garbage: Vec<String> = (0..500)
            .map(|number| {
                let name = match number % 4 {
                    0 => "session".to_owned(),
                    1 => format!("session{}", 2 + number % 8),
                    2 => format!("authorization_{number}"),
                    _ => format!("other{number}"),
                };
                format!("{name}={}{number}", number % 10)
            })
            .collect();
        let garbage = garbage.join("; ");
        for line in [
            format!("{garbage}; session={good}"),
            format!("session={good}; {garbage}"),
        ] {
            let outcome = world.ask(Request::get("/app").header("cookie", &line));
            outcome.assert_user("alex");
            let left = outcome.forwarded().header("cookie").expect("the others");
            assert_eq!(left.matches("other").count(), 125);
            assert!(!left.contains("session") && !left.contains("authorization"));
        }
        let outcome = world.ask(Request::get("/app").header("cookie", &garbage));
        outcome.assert_status(302);
        // Ones that look like ours cost no more than four attempts, and nobody else's session.
        let forged: Vec<String> = (0..500)
            .map(|number| {
                let end = good.len() - 8;
                format!("session={}{number:08}", &good[..end])
            })
            .collect();
        let line = forged.join("; ");
        world
            .ask(Request::get("/app").header("cookie", &line))
            .assert_status(302);
        browser.open("/app").here().outcome.assert_user("alex");
    });
}

#[test]
fn every_cookie_line_is_read() {
    for dialect in Dialect::BOTH {
        let world = World::with_login(dialect, json!({}));
        let browser = world.browser();
        browser.enter("/app").outcome.assert_user("alex");
        let good = browser.cookie("session").expect("a cookie").value;
        let request = Request::get("/app")
            .header("cookie", "a=1")
            .header("cookie", format!("session={good}; b=2"));
        let outcome = world.ask(request);
        if dialect == Dialect::Envoy {
            outcome.assert_user("alex");
            assert_eq!(outcome.forwarded().all("cookie"), ["a=1; b=2"]);
        } else {
            // Kong overwrites one line of several: the session would reach the upstream.
            outcome.assert_status(400);
        }
    }
}
