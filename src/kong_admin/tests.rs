#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail loudly"
)]

use serde_json::json;

use super::*;
use crate::config::Secret;
use crate::http::Headers;

const TOKEN: &str = "Ab3dEf6hIj9kLm2nOp5qRs8tUv1wXy4z";

fn settings(url: &str) -> KongAdmin {
    KongAdmin {
        url: Url::parse(url).unwrap(),
        token: None,
        timeout_ms: 7,
        service: None,
        global_credentials: true,
    }
}

fn api(settings: &KongAdmin) -> AdminApi<'_> {
    AdminApi {
        settings,
        cluster: "admin".to_owned(),
    }
}

fn answer(body: &serde_json::Value) -> Answer {
    Answer {
        status: 200,
        headers: Headers::default(),
        body: body.to_string().into_bytes(),
    }
}

fn shown() -> ShownToken<'static> {
    ShownToken::new(TOKEN).unwrap()
}

#[test]
fn the_workspace_stays_before_the_rest() {
    for (base, expected) in [
        ("http://kong:8001", "http://kong:8001/oauth2_tokens/"),
        ("http://kong:8001/", "http://kong:8001/oauth2_tokens/"),
        ("https://kong/team", "https://kong/team/oauth2_tokens/"),
        ("https://kong/a/b/", "https://kong/a/b/oauth2_tokens/"),
    ] {
        let settings = settings(base);
        let api = api(&settings);
        let (token, credential) = (api.token(shown()), api.credential(shown()));
        assert_eq!(token.url.as_str(), format!("{expected}{TOKEN}"));
        assert_eq!(
            credential.url.as_str(),
            format!("{expected}{TOKEN}/credential")
        );
        assert_eq!(
            (token.method, token.timeout, token.body),
            ("GET", 7, vec![])
        );
        assert_eq!(token.cluster, "admin");
    }
}

#[test]
fn we_say_who_we_are_where_that_is_configured() {
    let mut settings = settings("http://kong:8001");
    let sent = |settings: &KongAdmin| {
        let headers = api(settings).token(shown()).headers;
        let found = headers
            .into_iter()
            .find(|(name, _)| name == "kong-admin-token");
        found.map(|(_, value)| value)
    };
    assert_eq!(sent(&settings), None);
    settings.token = Some(Secret::new("us"));
    assert_eq!(sent(&settings).as_deref(), Some("us"));
}

#[test]
fn a_token_is_letters_and_digits() {
    assert!(ShownToken::new(TOKEN).is_some() && ShownToken::new("a").is_some());
    for text in [
        "", "a/b", "a%41", "..", "a.b", "a-b", "a_b", "a b", "é", "a\n",
    ] {
        assert!(ShownToken::new(text).is_none(), "{text:?}");
    }
    assert!(ShownToken::new(&"a".repeat(512)).is_some());
    assert!(ShownToken::new(&"a".repeat(513)).is_none());
}

#[test]
fn a_row_counts_from_its_beginning_to_its_last_millisecond() {
    let row = json!({
        "access_token": TOKEN, "credential": {"id": "c"}, "created_at": 100, "expires_in": 50,
    });
    let row = TokenRow::read(&answer(&row), shown()).unwrap();
    let settings = settings("http://kong:8001");
    let at = |now| {
        row.check(&settings, None, 10, Time(now))
            .map_err(|refusal| refusal.code)
    };
    assert_eq!(at(89_999), Err("token_from_the_future"));
    assert_eq!(at(90_000), Ok(Some(Time(150_001))));
    assert_eq!(at(150_000), Ok(Some(Time(150_001))));
    assert_eq!(at(150_001), Err("token_expired"));
}

#[test]
fn nothing_of_an_answer_reaches_the_log() {
    let secret = json!({ "access_token": TOKEN, "client_secret": "hush", "id": ["hush"] });
    let refusal = TokenRow::read(&answer(&secret), shown()).err().unwrap();
    assert!(!refusal.reason.contains("hush") && !refusal.reason.contains(TOKEN));
}
