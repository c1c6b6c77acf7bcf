//! What is passed on, and what is left out.
#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

use super::*;
use crate::config::Secret;

fn settings() -> (ExtraHeaders, ExtraArguments) {
    let fixed = |name: &str, value: &str| vec![(name.to_owned(), Secret::new(value))];
    (
        ExtraHeaders {
            fixed: fixed("x-fixed", "1"),
            from_client: vec!["x-device".to_owned()],
        },
        ExtraArguments {
            fixed: fixed("resource", "https://api"),
            from_client: vec!["one_time".to_owned()],
            from_headers: vec![("X-Method".to_owned(), "x-method".to_owned())],
        },
    )
}

fn extra(places: Places, headers: &[(&str, &[u8])], query: &[u8], form: &[u8]) -> Extra {
    let headers = Headers::from_pairs(headers.iter().copied());
    let (own, arguments) = settings();
    let shown = Shown {
        headers: &headers,
        query,
        form,
    };
    Extra::of(&own, &arguments, places, &shown)
}

/// The client's argument.
fn passed(places: Places, headers: &[(&str, &[u8])], query: &[u8], form: &[u8]) -> Option<String> {
    let extra = extra(places, headers, query, form);
    let found = extra.arguments.iter().find(|(name, _)| name == "one_time");
    found.map(|(_, value)| value.clone())
}

#[test]
fn fixed_values_are_always_there() {
    let extra = extra(Places::All, &[], b"", b"");
    let parts: Vec<(&str, &str)> = extra.parts().collect();
    assert_eq!(parts, [("x-fixed", "1"), ("resource", "https://api")]);
    assert_eq!(extra.header_count(), 1);
}

#[test]
fn a_client_fills_its_places() {
    let full: &[(&str, &[u8])] = &[
        ("x-device", b"d"),
        ("x-method", b"m"),
        ("one-time", b"from header"),
    ];
    let extra = extra(Places::All, full, b"one_time=q", b"one_time=f");
    let parts: Vec<(&str, &str)> = extra.parts().collect();
    let expected = [
        ("x-fixed", "1"),
        ("x-device", "d"),
        ("resource", "https://api"),
        ("one_time", "from header"),
        ("X-Method", "m"),
    ];
    assert_eq!(parts, expected);
    let text = |places, headers, query, form| passed(places, headers, query, form);
    assert_eq!(
        text(Places::All, &[], b"one_time=q+1", b"one_time=f").as_deref(),
        Some("q 1")
    );
    assert_eq!(
        text(Places::All, &[], b"x=1", b"one_time=%66").as_deref(),
        Some("f")
    );
    assert_eq!(
        text(Places::QueryAndForm, full, b"", b"one_time=f").as_deref(),
        Some("f")
    );
    assert_eq!(text(Places::QueryAndForm, full, b"", b""), None);
    assert_eq!(text(Places::Query, full, b"", b"one_time=f"), None);
    assert_eq!(
        text(Places::Query, full, b"one_time=", b"").as_deref(),
        Some("")
    );
}

#[test]
fn what_two_readers_could_read_differently_is_left_out() {
    let long = "a".repeat(MAX_PASSED + 1);
    let query = format!("one_time={long}");
    for query in [
        b"one_time=a&one_time=a".as_slice(),
        b"one_time=a&one%5Ftime=b",
        b"one_time=%ff",
        b"one_time=a%0d%0ab",
        b"one_time=%00",
        query.as_bytes(),
    ] {
        assert_eq!(passed(Places::All, &[], query, b"one_time=other"), None);
    }
    let twice: &[(&str, &[u8])] = &[("one-time", b"a"), ("one-time", b"b")];
    assert_eq!(passed(Places::All, twice, b"one_time=q", b""), None);
    let odd: &[(&str, &[u8])] = &[("x-device", b"\xff"), ("x-method", b"a\tb")];
    assert_eq!(extra(Places::All, odd, b"", b"").parts().count(), 2);
}

#[test]
fn a_name_stands_once() {
    let extra = extra(Places::All, &[("x-device", b"d")], b"", b"");
    let mut headers = vec![
        ("x-device".to_owned(), "own".to_owned()),
        ("accept".to_owned(), "a".to_owned()),
    ];
    extra.add_headers(&mut headers);
    let names: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["accept", "x-fixed", "x-device"]);
    let form = Form::new().with("resource", "own").with("a", "1");
    assert_eq!(
        extra.add_arguments(form).encoded(),
        "a=1&resource=https%3A%2F%2Fapi"
    );
}

#[test]
fn values_are_not_printed() {
    let extra = extra(
        Places::All,
        &[("x-device", b"hunter2")],
        b"one_time=hunter2",
        b"",
    );
    let shown = format!("{extra:?}");
    assert!(shown.contains("x-device") && shown.contains("one_time"));
    assert!(!shown.contains("hunter2"), "{shown}");
}
