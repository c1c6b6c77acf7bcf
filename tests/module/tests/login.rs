//! A visitor logs in, is known by a cookie and logs out: the compiled filter, in both hosts.

mod common;

use common::flow::Flow;
use common::wire::{Message, chunked, request};
use common::{envoy, exchange, kong};
use module_host::Mode;
use serde_json::{Value, json};
use support::provider::Behaviour;
use support::upstream::Seen;

const TOKEN: &str = "/token";

/// Both hosts, for what both must do.
fn modes() -> [Mode; 2] {
    [envoy(|_| {}), kong(|_| {})]
}

/// A visitor with cookies, at a gateway with a login.
struct Visitor {
    flow: Flow,
    cookies: Vec<(String, String)>,
}

impl Visitor {
    fn new(mode: Mode, members: &Value) -> Visitor {
        let mut config = json!({
            "auth_methods": ["authorization_code", "session", "bearer"],
            "client_id": ["kong"],
            "client_secret": ["the-client's-secret"],
            "session_secret": "a-secret-of-more-than-sixteen-bytes",
            "login_action": "redirect",
            "login_tokens": null,
            "preserve_query_args": true,
            "logout_uri_suffix": "/logout",
            "logout_post_arg": "logout",
        });
        for (name, value) in members.as_object().into_iter().flatten() {
            config[name] = value.clone();
        }
        let flow = Flow::with(mode, &config);
        let issuer = flow.provider.issuer();
        flow.provider.set_metadata(json!({
            "authorization_endpoint": format!("{issuer}/authorize"),
            "token_endpoint": format!("{issuer}{TOKEN}"),
            "end_session_endpoint": format!("{issuer}/end"),
            "code_challenge_methods_supported": ["S256"],
        }));
        Visitor {
            flow,
            cookies: Vec::new(),
        }
    }

    /// Sends a request with the cookies and keeps what comes back.
    fn send(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Message {
        let line = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect::<Vec<_>>()
            .join("; ");
        let mut all = vec![("Host", "gateway.test")];
        if !line.is_empty() {
            all.push(("Cookie", line.as_str()));
        }
        all.extend(headers);
        let answer = exchange(&self.flow.host, &request(method, target, &all, body));
        for cookie in answer.all("set-cookie") {
            let (name, rest) = cookie.split_once('=').expect("a cookie");
            self.cookies.retain(|(own, _)| own != name);
            let value = rest.split(';').next().expect("a value");
            if !value.is_empty() {
                self.cookies.push((name.to_owned(), value.to_owned()));
            }
        }
        answer
    }

    fn get(&mut self, target: &str) -> Message {
        self.send("GET", target, &[], b"")
    }

    /// Begins a login; gives the `state`, and scripts the token endpoint for its nonce.
    fn begin(&mut self, target: &str) -> String {
        let answer = self.get(target);
        assert_eq!(answer.status(), 302, "{}", self.logs());
        assert_eq!(answer.header("cache-control"), Some("private, no-store"));
        let location = answer.header("location").expect("a place to log in");
        let argument = |name: &str| {
            let query = location.split_once('?').expect("a query").1;
            let value = query
                .split('&')
                .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
            value
                .unwrap_or_else(|| panic!("no {name} in {location}"))
                .to_owned()
        };
        assert_eq!(argument("code_challenge_method"), "S256");
        let nonce = argument("nonce");
        let id_token = self
            .flow
            .token_with(&json!({"aud": "kong", "nonce": nonce, "sid": "s1"}));
        let answer = json!({
            "access_token": self.flow.token(),
            "token_type": "Bearer",
            "expires_in": 300,
            "id_token": id_token,
            "refresh_token": "the-refresh-token",
        });
        let answer = Behaviour::Answer(answer.to_string().into_bytes());
        self.flow.provider.always(TOKEN, answer);
        argument("state")
    }

    fn log_in(&mut self) {
        let state = self.begin("/page?x=1");
        let answer = self.get(&format!("/page?code=good&state={state}"));
        assert_eq!(answer.status(), 302, "{}", self.logs());
        assert_eq!(answer.header("location"), Some("/page?x=1"));
        let names: Vec<&str> = self.cookies.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["session"], "the login's cookie is gone");
        assert!(self.flow.upstream.take().is_empty());
    }

    /// The request went on, as alex's, and nothing of ours with it.
    fn arrived(&self) -> Seen {
        let seen = self.flow.upstream.take_one();
        assert_eq!(seen.header("x-user").as_deref(), Some("alex"), "{seen:?}");
        let bearer = seen.header("authorization").expect("a token");
        assert!(bearer.starts_with("Bearer ey"), "{bearer}");
        let cookies = seen.all("cookie").concat();
        assert!(
            !cookies.contains("session") && !cookies.contains("authorization"),
            "{cookies}"
        );
        seen
    }

    fn logs(&self) -> String {
        self.flow.host.record().logs().join("\n")
    }
}

#[test]
fn a_login_ends_in_a_session_that_needs_no_provider() {
    for mode in modes() {
        let mut visitor = Visitor::new(mode, &json!({}));
        visitor.log_in();
        for target in ["/page?x=1", "/other"] {
            visitor.cookies.push(("app".into(), "1".into()));
            let answer = visitor.get(target);
            assert_eq!(answer.status(), 200, "{}", visitor.logs());
            let seen = visitor.arrived();
            assert_eq!(
                (seen.target.as_str(), seen.all("cookie").concat().as_str()),
                (target, "app=1")
            );
            visitor.cookies.retain(|(name, _)| name != "app");
        }
        assert_eq!(visitor.flow.provider.calls(TOKEN), 1);
        // Without it, and with a damaged one, there is a login.
        visitor.cookies[0].1.replace_range(40..41, "!");
        assert_eq!(visitor.get("/page").status(), 302);
        assert!(visitor.flow.upstream.take().is_empty());
        assert!(visitor.flow.host.record().traps().is_empty());
    }
}

#[test]
fn a_login_ends_with_the_callback_at_the_upstream() {
    for mode in modes() {
        let mut visitor = Visitor::new(mode, &json!({"login_action": "upstream"}));
        let state = visitor.begin("/page?x=1");
        let answer = visitor.get(&format!("/page?code=good&state={state}&session_state=abc"));
        assert_eq!(answer.status(), 200, "{}", visitor.logs());
        assert_eq!(visitor.arrived().target, "/page?x=1");
        // Once, and for this client only.
        assert_eq!(answer.all("set-cookie").len(), 2, "{:?}", answer.headers);
        assert_eq!(answer.header("cache-control"), Some("private, no-store"));
        assert_eq!(visitor.get("/page").status(), 200);
        assert!(visitor.arrived().all("cookie").concat().is_empty());
    }
}

#[test]
fn a_form_that_is_a_callback_arrives_as_a_get() {
    for mode in modes() {
        let members = json!({"login_action": "upstream", "response_mode": "form_post"});
        let mut visitor = Visitor::new(mode, &members);
        let state = visitor.begin("/page?x=1");
        let form = format!("code=good&state={state}");
        let kind = [("Content-Type", "application/x-www-form-urlencoded")];
        let answer = visitor.send("POST", "/page", &kind, form.as_bytes());
        assert_eq!(answer.status(), 200, "{}", visitor.logs());
        let seen = visitor.arrived();
        assert_eq!(
            (seen.method.as_str(), seen.target.as_str()),
            ("GET", "/page?x=1")
        );
        assert!(
            !String::from_utf8_lossy(&seen.body).contains("good"),
            "{seen:?}"
        );
    }
}

#[test]
fn other_forms_arrive_whole() {
    for mode in modes() {
        let mut visitor = Visitor::new(mode, &json!({"response_mode": "form_post"}));
        visitor.log_in();
        let kind = ("Content-Type", "application/x-www-form-urlencoded");
        let body = b"state=of-the-app&code=7&text=hello";
        assert_eq!(visitor.send("POST", "/form", &[kind], body).status(), 200);
        assert_eq!(visitor.arrived().body, body);
        // No body, a length of 0, and a length that nobody told.
        assert_eq!(
            visitor.send("POST", "/form", &[kind], b"").status(),
            200,
            "{}",
            visitor.logs()
        );
        assert!(visitor.arrived().body.is_empty());
        let none = [kind, ("Content-Length", "0")];
        assert_eq!(
            visitor.send("POST", "/form", &none, b"").status(),
            200,
            "{}",
            visitor.logs()
        );
        assert!(visitor.arrived().body.is_empty());
        let pieces = [kind, ("Transfer-Encoding", "chunked")];
        let body = chunked(&[b"a=1&", b"b=2"]);
        assert_eq!(
            visitor.send("POST", "/form", &pieces, &body).status(),
            200,
            "{}",
            visitor.logs()
        );
        assert_eq!(visitor.arrived().body, b"a=1&b=2");
        // Longer than what is read: it is no callback, and none of it is lost.
        let long = vec![b'x'; 9_000];
        assert_eq!(
            visitor.send("POST", "/form", &[kind], &long).status(),
            200,
            "{}",
            visitor.logs()
        );
        assert_eq!(visitor.arrived().body, long);
    }
}

#[test]
fn a_logout_takes_the_session_away() {
    for mode in modes() {
        for by_form in [false, true] {
            let mut visitor = Visitor::new(mode.clone(), &json!({}));
            visitor.log_in();
            let kind = [("Content-Type", "application/x-www-form-urlencoded")];
            let answer = if by_form {
                visitor.send("POST", "/page", &kind, b"logout=1")
            } else {
                visitor.send("POST", "/page/logout", &[], b"")
            };
            assert_eq!(answer.status(), 302, "{}", visitor.logs());
            let place = answer.header("location").expect("a place").to_owned();
            assert!(place.contains("/end?id_token_hint=ey"), "{place}");
            assert!(visitor.cookies.is_empty());
            assert_eq!(visitor.get("/page").status(), 302);
            assert!(visitor.flow.upstream.take().is_empty());
        }
    }
}

#[test]
fn a_session_gets_new_tokens_before_the_old_ones_end() {
    for mode in modes() {
        let mut visitor = Visitor::new(mode, &json!({}));
        visitor.log_in();
        visitor
            .flow
            .clock
            .advance(std::time::Duration::from_secs(280));
        let renewed = visitor
            .flow
            .token_with(&json!({"preferred_username": "alex", "n": 2}));
        let answer = json!({"access_token": renewed, "token_type": "Bearer", "expires_in": 300});
        let answer = Behaviour::Answer(answer.to_string().into_bytes());
        visitor.flow.provider.always(TOKEN, answer);
        assert_eq!(visitor.get("/page").status(), 200, "{}", visitor.logs());
        let bearer = visitor.arrived().header("authorization");
        assert_eq!(bearer, Some(format!("Bearer {renewed}")));
        assert_eq!(visitor.get("/page").status(), 200);
        let _ = visitor.arrived();
        assert_eq!(visitor.flow.provider.calls(TOKEN), 2);
        // One that cannot be renewed is over: a navigation logs in again, anything else is told (C24).
        visitor
            .flow
            .clock
            .advance(std::time::Duration::from_secs(400));
        let refused = Behaviour::Answer(br#"{"error":"invalid_grant"}"#.to_vec());
        visitor.flow.provider.always(TOKEN, refused);
        assert_eq!(visitor.send("POST", "/page", &[], b"x").status(), 401);
        assert_eq!(visitor.get("/page").status(), 302);
        assert!(visitor.flow.upstream.take().is_empty());
    }
}

#[test]
fn a_slow_upstream_brings_no_old_session_back() {
    for mode in modes() {
        let mut visitor = Visitor::new(mode, &json!({}));
        visitor.log_in();
        let pass = |visitor: &Visitor, seconds| {
            let time = std::time::Duration::from_secs(seconds);
            visitor.flow.clock.advance(time);
        };
        // A use is noted after a minute, in the answer of this request.
        pass(&visitor, 100);
        visitor.flow.upstream.hold("/slow");
        let cookies = visitor.cookies.clone();
        let line = format!("{}={}", cookies[0].0, cookies[0].1);
        let headers = [("Host", "gateway.test"), ("Cookie", line.as_str())];
        let mut slow = common::open(&visitor.flow.host, &request("GET", "/slow", &headers, b""));
        visitor.flow.upstream.wait_for(1);
        // Meanwhile another one gets new tokens, and a new session with them.
        pass(&visitor, 180);
        let answer = json!({
            "access_token": visitor.flow.token_with(&json!({"n": 2})), "token_type": "Bearer",
            "expires_in": 300, "refresh_token": "the-next-one",
        });
        let answer = Behaviour::Answer(answer.to_string().into_bytes());
        visitor.flow.provider.always(TOKEN, answer);
        let renewed = visitor.get("/page");
        assert_eq!(renewed.status(), 200, "{}", visitor.logs());
        assert_eq!(renewed.all("set-cookie").len(), 1);
        visitor.flow.upstream.release();
        let late = common::wire::read_message(&mut slow).expect("an answer");
        assert_eq!(late.status(), 200);
        assert_eq!(late.all("set-cookie"), Vec::<&str>::new(), "an old session");
        // Without the other one it would have brought the use.
        pass(&visitor, 100);
        assert_eq!(visitor.get("/page").all("set-cookie").len(), 1);
    }
}

#[test]
fn kong_wants_a_secret() {
    let flow = Flow::with(
        kong(|_| {}),
        &json!({"auth_methods": ["session", "bearer"], "client_id": ["kong"]}),
    );
    assert_eq!(flow.get("/page").status(), 500);
    assert!(flow.upstream.take().is_empty());
    let logs = flow.host.record().logs().join("\n");
    assert!(
        logs.contains("config.session_secret: is required on Kong"),
        "{logs}"
    );
}
