#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::rc::Rc;

use serde_json::{Value, json};

use super::*;
use crate::config::Config;
use crate::http::{Body, Headers};

fn index(argument: Option<&str>, headers: &[(&str, &str)], query: &[u8], form: &[u8]) -> usize {
    let members = json!({
        "issuer": "https://idp.example", "auth_methods": ["bearer"],
        "client_id": ["a", "b", "c"], "client_secret": ["1", "2", "3"],
        "client_arg": argument.unwrap_or("client_id"),
    });
    let clients = Config::parse(members.to_string().as_bytes(), &|_| None)
        .map(|(config, _)| config.clients)
        .unwrap();
    let path = format!("/app?{}", String::from_utf8_lossy(query));
    let mut all = vec![(":method", "POST"), (":path", &path)];
    all.extend_from_slice(headers);
    let mut request = Request::new(Headers::from_pairs(all));
    request.body = Some(Rc::new(Body::Form(form.to_vec())));
    let (index, client) = chosen(&clients, &request);
    assert_eq!(clients.at(index), Some(client));
    index
}

#[test]
fn the_first_client_where_nothing_is_named() {
    assert_eq!(index(None, &[], b"", b""), 0);
    assert_eq!(index(None, &[("client", "b")], b"id=b", b"clientid=b"), 0);
}

#[test]
fn by_id_in_each_place_in_their_order() {
    assert_eq!(
        index(
            None,
            &[("x-client-id", "b"), ("client-id", "c")],
            b"client_id=c",
            b""
        ),
        1
    );
    assert_eq!(index(None, &[("Client-ID", " c ")], b"client_id=b", b""), 2);
    assert_eq!(index(None, &[], b"x=1&client_id=%62", b"client_id=c"), 1);
    assert_eq!(index(None, &[], b"x=1", b"client_id=c"), 2);
}

#[test]
fn by_number_and_under_another_name() {
    assert_eq!(
        index(Some("client_config"), &[("X-Client-Config", "2")], b"", b""),
        1
    );
    assert_eq!(
        index(Some("client_config"), &[("client-config", "3")], b"", b""),
        2
    );
    assert_eq!(
        index(
            Some("client_config"),
            &[("client-id", "2")],
            b"client_id=2",
            b""
        ),
        0
    );
    assert_eq!(index(None, &[], b"client_id=2", b""), 1);
}

#[test]
fn what_names_nobody_means_the_first() {
    for value in ["d", "0", "4", "-1", "", "a b", "%ff"] {
        assert_eq!(
            index(
                None,
                &[],
                format!("client_id={value}").as_bytes(),
                b"client_id=c"
            ),
            0,
            "{value}"
        );
    }
    // Two opinions in one place are none.
    assert_eq!(
        index(None, &[], b"client_id=b&client_id=b", b"client_id=c"),
        0
    );
    assert_eq!(
        index(
            None,
            &[("client-id", "b"), ("client-id", "c")],
            b"client_id=c",
            b""
        ),
        0
    );
}

#[test]
fn a_value_is_no_json() {
    let value: Value = json!({"client_id": "b"});
    assert_eq!(index(None, &[], b"", value.to_string().as_bytes()), 0);
}
