//! However many tokens come, the module's memory is bounded (specification section 15).

mod common;

use std::thread;

use common::envoy;
use common::flow::Flow;
use serde_json::json;
use support::issuer::{claims, hs256, now};

const SECRET: &str = "a secret of more than thirty-two bytes";
const TOKENS: usize = 100_000;
/// So many fill the cache, which has 16,384 places, in every one of its sets.
const ENOUGH: usize = 50_000;
const CLIENTS: usize = 4;

#[test]
fn a_hundred_thousand_tokens_take_no_more_memory_than_half_of_them() {
    let members = json!({
        "auth_methods": ["bearer"], "enable_hs_signatures": true, "client_id": ["me"], "client_secret": [SECRET],
    });
    // Before the filter's clock stands still: a token from the future is none.
    let began = now();
    let flow = Flow::with(envoy(|_| {}), &members);
    let token = |number: usize| {
        let mut claims = claims(&flow.provider.issuer());
        claims["iat"] = began.into();
        claims["exp"] = (began + 300).into();
        claims["jti"] = format!("token {number}").into();
        hs256(SECRET.as_bytes(), &claims)
    };
    let admitted = |number: usize| {
        let status = flow.get_with("/", &token(number), &[]).status();
        assert_eq!(status, 200, "token {number}: {}", flow.log());
    };
    let all = |from: usize, to: usize| {
        thread::scope(|scope| {
            for first in from..from + CLIENTS {
                scope.spawn(move || (first..to).step_by(CLIENTS).for_each(admitted));
            }
        });
        let seen = flow.upstream.take();
        assert_eq!(seen.len(), to - from);
        assert!(seen.iter().all(|seen| seen.all("x-user") == ["alex"]));
    };
    all(0, ENOUGH);
    let pages = flow.host.pages();
    assert!(pages > 0);
    all(ENOUGH, TOKENS);
    assert_eq!(flow.host.pages(), pages, "pages of 64 KiB");
    // Those that made room for others are verified again, and so is one that nobody saw.
    all(0, 1_000);
    all(TOKENS, TOKENS + 1);
    // What was good and kept is over when its time is, and what was never good is not let in by the crowd.
    flow.clock.advance(std::time::Duration::from_secs(301));
    for number in [0, TOKENS - 1] {
        assert_eq!(flow.get_with("/", &token(number), &[]).status(), 401);
    }
    let foreign = hs256(
        b"another secret of thirty-two bytes",
        &claims(&flow.provider.issuer()),
    );
    assert_eq!(flow.get_with("/", &foreign, &[]).status(), 401);
    flow.assert_untouched();
}
