//! What a session holds and when it ends.

use miniz_oxide::deflate::compress_to_vec;
use proptest::prelude::*;

use super::*;

fn full() -> Session {
    Session {
        generation: 3,
        sid: Some("sid".to_owned()),
        acr: Some("loa2".to_owned()),
        auth_time: Some(NOW - 5),
        scope: Some("openid profile".to_owned()),
        access_expires: Some(NOW + 300),
        id_token: Some("the.id.token".to_owned()),
        refresh_token: Some("the refresh token".to_owned()),
        ..session("somebody")
    }
}

#[test]
fn bytes_come_back() {
    for whole in [full(), session("s"), Session::default()] {
        let bytes = whole.to_bytes().unwrap();
        assert_eq!(Session::from_bytes(&bytes), Some(whole));
    }
}

#[test]
fn compressed_when_that_is_shorter() {
    let tokens = Session {
        access_token: Some(noise(3000)),
        ..full()
    };
    let bytes = tokens.to_bytes().unwrap();
    assert_eq!(bytes[0], 1);
    assert!(bytes.len() < 2800, "{} bytes", bytes.len());
    let json = br#"{"id":"","created":1,"renewed":1,"used":1,"generation":0,"method":"","client_id":"","issuer":"","subject":"s","from":"a later version"}"#;
    let plain = [&[0][..], json].concat();
    assert_eq!(Session::from_bytes(&plain).unwrap().subject, "s");
}

/// CVE-2024-28176 and its kin: 64 KiB is the most that comes out, whatever goes in.
#[test]
fn cve_2024_28176_a_zip_bomb_is_bounded() {
    let json = |spaces: usize| {
        let mut json = serde_json::to_vec(&session("s")).unwrap();
        json.resize(json.len() + spaces, b' ');
        json
    };
    let deflated = |json: &[u8]| [&[1][..], &compress_to_vec(json, 9)].concat();
    let fits = (64 << 10) - json(0).len();
    assert!(Session::from_bytes(&deflated(&json(fits))).is_some());
    assert!(Session::from_bytes(&deflated(&json(fits + 1))).is_none());
    let bomb = deflated(&json(20 << 20));
    assert!(bomb.len() < 36_864, "it would fit into the cookie");
    assert!(Session::from_bytes(&bomb).is_none());
    let too_long = Session {
        scope: Some("a".repeat(64 << 10)),
        ..session("s")
    };
    assert_eq!(too_long.to_bytes(), None);
}

#[test]
fn broken_bytes_are_no_session() {
    let bytes = full().to_bytes().unwrap();
    for end in 0..bytes.len() {
        assert_eq!(Session::from_bytes(&bytes[..end]), None);
    }
    for bytes in [&b""[..], b"\x00", b"\x01", b"\x02{}", b"\x00{}", b"\x00[]"] {
        assert_eq!(Session::from_bytes(bytes), None);
    }
}

fn live(renew: bool, touch: bool) -> State {
    State::Live { renew, touch }
}

#[test]
fn times_are_exact_to_the_second() {
    let used = |seconds: u64| Session {
        used: NOW + seconds,
        ..session("s")
    };
    let state = |used: &Session, after: u64| used.state(&TIMEOUTS, now(after));
    assert_eq!(state(&used(0), 0), live(false, false));
    assert_eq!(state(&used(0), 59), live(false, false));
    assert_eq!(state(&used(0), 60), live(false, true), "once a minute");
    assert_eq!(state(&used(0), 899), live(false, true));
    assert_eq!(state(&used(0), 900), State::Ended(Limit::Idling));
    assert_eq!(state(&used(2690), 2699), live(false, false));
    assert_eq!(
        state(&used(2690), 2700),
        live(true, false),
        "three quarters"
    );
    assert_eq!(state(&used(3590), 3599), live(true, false));
    assert_eq!(state(&used(3590), 3600), State::Ended(Limit::Rolling));

    let mut old = session("s");
    old.renew(now(86_390));
    assert_eq!((old.generation, old.created), (1, NOW));
    assert_eq!(state(&old, 86_399), live(false, false));
    assert_eq!(state(&old, 86_400), State::Ended(Limit::Absolute));
    assert_eq!(
        Session {
            created: NOW + 9,
            ..used(9)
        }
        .state(&TIMEOUTS, now(0)),
        live(false, false),
        "written by a clock that is ahead"
    );
}

#[test]
fn zero_switches_a_timeout_off() {
    let off = Timeouts {
        rolling: 0,
        idling: 0,
        absolute: 0,
    };
    let old = session("s");
    assert_eq!(old.state(&off, now(1 << 40)), live(false, false));
    assert_eq!(old.remaining(&off, now(5)).least(), None);
    let only = |rolling, idling, absolute| {
        let timeouts = Timeouts {
            rolling,
            idling,
            absolute,
        };
        (old.state(&timeouts, now(10)), old.state(&timeouts, now(9)))
    };
    assert_eq!(
        only(10, 0, 0),
        (State::Ended(Limit::Rolling), live(true, false))
    );
    assert_eq!(
        only(0, 10, 0),
        (State::Ended(Limit::Idling), live(false, true))
    );
    assert_eq!(
        only(0, 0, 10),
        (State::Ended(Limit::Absolute), live(false, false))
    );
}

#[test]
fn a_short_idling_time_is_touched_in_time() {
    let short = Timeouts {
        idling: 30,
        ..TIMEOUTS
    };
    assert_eq!(session("s").state(&short, now(14)), live(false, false));
    assert_eq!(session("s").state(&short, now(15)), live(false, true));
}

#[test]
fn remaining_seconds() {
    let left = session("s").remaining(&TIMEOUTS, now(100));
    assert_eq!(
        (left.rolling, left.idling, left.absolute, left.least()),
        (Some(3500), Some(800), Some(86_300), Some(800))
    );
}

#[test]
fn debug_shows_no_token_and_no_person() {
    let shown = format!("{:?}", full());
    for secret in ["token", "somebody", "AAAA", "sid"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    assert!(shown.contains("authorization_code"));
}

proptest! {
    #[test]
    fn any_session_comes_back(texts in prop::collection::vec(".{0,40}", 6), number in any::<u64>()) {
        let whole = Session {
            id: texts[0].clone(),
            subject: texts[1].clone(),
            scope: Some(texts[2].clone()),
            access_token: Some(texts[3].clone()),
            id_token: Some(texts[4].clone()),
            sid: Some(texts[5].clone()),
            created: number,
            access_expires: Some(number),
            ..full()
        };
        prop_assert_eq!(Session::from_bytes(&whole.to_bytes().unwrap()), Some(whole));
    }

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..300), kind in 0u8..2) {
        let _ = Session::from_bytes(&bytes);
        let _ = Session::from_bytes(&[&[kind][..], &bytes].concat());
    }
}
