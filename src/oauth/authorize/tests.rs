//! The URL and the callback.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly")]

use super::*;
use proptest::prelude::*;

fn plain<'a>(
    endpoint: &'a Url,
    state: &'a str,
    extra: &'a [(String, String)],
) -> AuthorizationRequest<'a> {
    AuthorizationRequest {
        endpoint,
        client_id: "me",
        redirect_uri: "https://app.example/cb",
        scopes: &[],
        state,
        nonce: None,
        challenge: None,
        response_type: "code",
        response_mode: ResponseMode::Query,
        audience: &[],
        max_age: None,
        extra,
    }
}

fn endpoint() -> Url {
    Url::parse("https://idp.example/auth?tenant=a%20b").unwrap()
}

const PLAIN: &str = "https://idp.example/auth?tenant=a%20b&response_type=code&client_id=me\
    &redirect_uri=https%3A%2F%2Fapp.example%2Fcb";

#[test]
fn the_least_that_is_asked() {
    assert_eq!(
        url(&plain(&endpoint(), "st", &[])),
        format!("{PLAIN}&state=st")
    );
}

#[test]
fn all_that_can_be_asked() {
    let scopes = ["openid".to_owned(), "e mail".to_owned()];
    let audience = ["api".to_owned()];
    let extra = [("login_hint".to_owned(), "a&state=evil".to_owned())];
    let endpoint = Url::parse("https://idp.example/auth").unwrap();
    let request = AuthorizationRequest {
        endpoint: &endpoint,
        client_id: "me",
        redirect_uri: "https://app.example/cb?x=1",
        scopes: &scopes,
        state: "s+t",
        nonce: Some("no"),
        challenge: Some("ch"),
        response_type: "code",
        response_mode: ResponseMode::FormPost,
        audience: &audience,
        max_age: Some(60),
        extra: &extra,
    };
    assert_eq!(
        url(&request),
        "https://idp.example/auth?response_type=code&client_id=me\
         &redirect_uri=https%3A%2F%2Fapp.example%2Fcb%3Fx%3D1&scope=openid+e+mail&state=s%2Bt\
         &nonce=no&response_mode=form_post&code_challenge=ch&code_challenge_method=S256\
         &audience=api&max_age=60&login_hint=a%26state%3Devil"
    );
}

#[test]
fn further_arguments_never_repeat_ours() {
    let extra = ["state", "client_id", "prompt"].map(|name| (name.to_owned(), "x".to_owned()));
    assert_eq!(
        url(&plain(&endpoint(), "st", &extra)),
        format!("{PLAIN}&state=st&prompt=x")
    );
}

#[test]
fn a_clients_argument_is_passed_on_only_if_it_is_the_only_one() {
    let arguments = AuthorizationArguments {
        fixed: vec![("prompt".to_owned(), "login".to_owned())],
        from_client: ["login_hint", "prompt", "ui_locales"]
            .map(str::to_owned)
            .into(),
    };
    let passed = |query: &str| -> Vec<String> {
        extra_arguments(&arguments, query.as_bytes())
            .into_iter()
            .skip(1)
            .map(|(name, value)| format!("{name}={value}"))
            .collect()
    };
    assert_eq!(passed("login_hint=a%40b&other=1"), ["login_hint=a@b"]);
    assert_eq!(passed("prompt=none&ui_locales=de+en"), ["ui_locales=de en"]);
    for refused in [
        "login_hint=a&login%5Fhint=b",
        "login_hint=%ff",
        "login_hint=a%0D%0Ab",
    ] {
        assert!(passed(refused).is_empty(), "{refused}");
    }
    assert!(passed(&format!("login_hint={}", "a".repeat(2049))).is_empty());
}

fn code(code: &str, state: &str, iss: Option<&str>) -> Result<Callback, &'static str> {
    Ok(Callback::Code {
        code: Secret::new(code),
        state: state.to_owned(),
        iss: iss.map(str::to_owned),
        id_token: None,
    })
}

fn read(form: &str) -> Result<Callback, &'static str> {
    read_callback(form.as_bytes()).map_err(|refusal| refusal.code)
}

#[test]
fn reads_a_code() {
    assert_eq!(
        read("code=a%2Bb&state=s&session_state=x&z=1"),
        code("a+b", "s", None)
    );
    assert_eq!(
        read("iss=https%3A%2F%2Fidp&state=s&code=c"),
        code("c", "s", Some("https://idp"))
    );
}

#[test]
fn reads_an_error_without_believing_its_text() {
    assert_eq!(
        read("error=access_denied&error_description=a%0d%0a%22%3Cb%3E%ff&state=s"),
        Ok(Callback::Error {
            error: "access_denied".to_owned(),
            description: Some("a???<b>?".to_owned()),
            state: Some("s".to_owned()),
            iss: None,
        })
    );
    let long = format!("error={}", "e".repeat(1000));
    let Ok(Callback::Error { error, state, .. }) = read(&long) else {
        panic!("an error");
    };
    assert_eq!((error.len(), state), (512, None));
}

#[test]
fn ordinary_requests_are_no_callbacks() {
    for form in [
        "",
        "a=1",
        "state=s",
        "code=c",
        "code=&state=s",
        "code=c&state=",
        "Code=c&State=s",
    ] {
        assert_eq!(read(form), Ok(Callback::None), "{form}");
    }
}

#[test]
fn repeated_parameters_are_refused_in_any_spelling() {
    for name in PARAMETERS {
        let form = format!("code=c&state=s&iss=i&{name}=1&{name}=1");
        assert_eq!(read(&form), Err("callback_parameter_repeated"), "{name}");
    }
    assert_eq!(
        read("code=c&st%61te=s&state=s"),
        Err("callback_parameter_repeated")
    );
    assert_eq!(
        read("code=c&code=&state=s"),
        Err("callback_parameter_repeated")
    );
}

#[test]
fn contradictions_long_and_foreign_bytes_are_refused() {
    assert_eq!(
        read("code=c&state=s&error=e"),
        Err("callback_contradictory")
    );
    for form in [
        "code=c%00&state=s",
        "code=c&state=%ff",
        "code=c%C3%A9&state=s",
        "code=c&state=s&iss=%0a",
    ] {
        assert_eq!(read(form), Err("callback_malformed"), "{form}");
    }
    for name in ["code", "state", "iss"] {
        let long = format!("{name}={}", "a".repeat(4097));
        assert_eq!(read(&long), Err("callback_parameter_too_long"));
    }
    let just = "a".repeat(4096);
    assert_eq!(
        read(&format!("code={just}&state=s")),
        code(&just, "s", None)
    );
}

#[test]
fn all_states_are_shown_before_anything_is_refused() {
    assert_eq!(shown_states(b"state=a&x=1&st%61te=b"), ["a", "b"]);
    assert_eq!(
        shown_states(b"state=1&state=2&state=3&state=4&state=5").len(),
        4
    );
    assert!(shown_states(b"state=%ff&State=a").is_empty());
}

#[test]
fn the_provider_that_answers_is_the_one_that_was_asked() {
    let issuers = Issuers {
        allowed: &[],
        expected: "https://idp.example",
        compare: true,
    };
    let check = |form: &str, demanded| {
        read(form).and_then(|callback| {
            callback
                .check_issuer(&issuers, demanded)
                .map_err(|refusal| refusal.code)
        })
    };
    let good = "iss=https%3A%2F%2Fidp.example";
    let evil = "iss=https%3A%2F%2Fevil.example";
    for kind in ["code=c&state=s", "error=e&state=s"] {
        assert_eq!(check(&format!("{kind}&{good}"), true), Ok(()));
        assert_eq!(
            check(&format!("{kind}&{evil}"), false),
            Err("callback_issuer_mismatch")
        );
        assert_eq!(check(kind, true), Err("callback_issuer_missing"));
        assert_eq!(check(kind, false), Ok(()));
    }
}

#[test]
fn the_code_is_not_printed() {
    assert!(!format!("{:?}", read("code=hunter2&state=s")).contains("hunter2"));
}

proptest! {
    #[test]
    fn any_bytes_can_be_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read_callback(&bytes);
        let _ = shown_states(&bytes);
    }

    #[test]
    fn what_is_asked_arrives_as_it_was(state in ".{1,20}", name in "[a-z]{1,3}", value in ".{0,20}") {
        let extra = [(name, value)];
        let url = url(&plain(&endpoint(), &state, &extra));
        let url = Url::parse(&url).unwrap();
        let states: Vec<_> = url.query_pairs().filter(|(name, _)| name == "state").collect();
        prop_assert_eq!(states.len(), 1);
        prop_assert!(states.iter().all(|(_, value)| *value == *state));
    }
}
