//! From a session to the browser and back.

use super::*;

const NONCE: [u8; 12] = *b"twelve bytes";
const BIND: &[u8] = b"";

fn written(sessions: &Sessions, session: &Session, cookies: &[&str]) -> Vec<String> {
    sessions
        .write(session, None, &request(cookies), BIND, NONCE, true)
        .unwrap()
}

fn cookie_of(sessions: &Sessions, session: &Session) -> String {
    sent_back(&written(sessions, session, &[]))
}

fn found(sessions: &Sessions, cookies: &[&str]) -> Option<Session> {
    match sessions.find(&request(cookies), BIND, now(1)) {
        Found::One(opened) => Some(opened.session),
        Found::None => None,
        Found::Conflict => panic!("a conflict"),
    }
}

fn conflict(sessions: &Sessions, cookies: &[&str]) -> bool {
    matches!(
        sessions.find(&request(cookies), BIND, now(1)),
        Found::Conflict
    )
}

fn of_audience(audience: &str) -> Sessions {
    sessions(SessionSettings {
        audience: audience.to_owned(),
        ..settings()
    })
}

#[test]
fn what_is_written_is_found() {
    let ours = sessions(settings());
    let lines = written(&ours, &session("ann"), &[]);
    assert_eq!(lines.len(), 1);
    assert!(lines[0].ends_with("; Path=/; SameSite=Lax; HttpOnly; Secure"));
    let cookie = sent_back(&lines);
    assert_eq!(found(&ours, &["a=1", &cookie]), Some(session("ann")));
    assert_eq!(found(&ours, &[]), None);
    let legal = |byte: u8| is_base64url(byte) || byte == b'.';
    assert!(cookie.strip_prefix("session=").unwrap().bytes().all(legal));
    let large = Session {
        access_token: Some(noise(12_000)),
        ..session("ann")
    };
    let lines = written(&ours, &large, &[]);
    assert_eq!(lines.len(), 4);
    assert_eq!(found(&ours, &[&sent_back(&lines)]), Some(large));
    let too_large = Session {
        access_token: Some(noise(40_000)),
        ..session("ann")
    };
    assert_eq!(
        ours.write(&too_large, None, &request(&[]), BIND, NONCE, true),
        None
    );
}

#[test]
fn secure_by_configuration_else_by_scheme() {
    let secure = |configured: Option<bool>, https: bool| {
        let ours = sessions(SessionSettings {
            cookie_secure: configured,
            ..settings()
        });
        let lines = ours.write(&session("ann"), None, &request(&[]), BIND, NONCE, https);
        lines.unwrap()[0].ends_with("; Secure")
    };
    assert!(secure(None, true) && !secure(None, false));
    assert!(secure(Some(true), false) && !secure(Some(false), true));
}

/// Bound to all of the design's section 7, and to nothing of the policy.
#[test]
fn a_session_opens_where_it_belongs_only() {
    let cookie = cookie_of(&sessions(settings()), &session("ann"));
    let ring = || Rc::new(keyring(SECRET, &[]));
    let (me, other) = (["me".to_owned()], ["other".to_owned()]);
    assert_eq!(
        found(
            &Sessions::new(ring(), settings(), "https://other.example", &me),
            &[&cookie]
        ),
        None
    );
    assert_eq!(
        found(
            &Sessions::new(ring(), settings(), ISSUER, &other),
            &[&cookie]
        ),
        None
    );
    assert_eq!(found(&of_audience("app"), &[&cookie]), None);
    let stranger = Rc::new(keyring("a secret of somebody else", &[]));
    assert_eq!(
        found(
            &Sessions::new(stranger, settings(), ISSUER, &me),
            &[&cookie]
        ),
        None
    );
    let renamed = sessions(SessionSettings {
        cookie_name: "other".to_owned(),
        ..settings()
    });
    let moved = cookie.replacen("session=", "other=", 1);
    assert_eq!(found(&renamed, &[&moved]), None);
    let bound = sessions(settings()).find(&request(&[&cookie]), b"another address", now(1));
    assert!(matches!(bound, Found::None));

    let policy = sessions(SessionSettings {
        cookie_path: "/app".to_owned(),
        cookie_same_site: SameSite::Strict,
        timeouts: Timeouts {
            rolling: 77,
            ..TIMEOUTS
        },
        enforce_same_subject: true,
        ..settings()
    });
    assert_eq!(found(&policy, &[&cookie]), Some(session("ann")));
    let rotated = Rc::new(keyring("a new secret, as long", &[SECRET]));
    assert_eq!(
        found(&Sessions::new(rotated, settings(), ISSUER, &me), &[&cookie]),
        Some(session("ann"))
    );
    let foreign = Session {
        client_id: "other".to_owned(),
        ..session("ann")
    };
    let lines = sessions(settings()).write(&foreign, None, &request(&[]), BIND, NONCE, true);
    assert_eq!(lines, None, "nobody could open it");
}

#[test]
fn tag_and_mark_are_sealed_in() {
    let ours = sessions(settings());
    let cookie = cookie_of(&ours, &session("ann"));
    let value_at = "session=1".len();
    for at in value_at..value_at + 2 * TAG {
        let mut changed = cookie.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        assert_eq!(found(&ours, &[&changed]), None, "character {at}");
    }
}

#[test]
fn every_cookie_line_and_candidate_is_looked_at() {
    let ours = sessions(settings());
    let cookie = cookie_of(&ours, &session("ann"));
    assert_eq!(
        found(
            &ours,
            &["session=1x; session=2abcd", "session=; b=2", &cookie]
        ),
        Some(session("ann"))
    );
    let mut renewed = session("ann");
    renewed.renew(now(1));
    let newer = cookie_of(&ours, &renewed);
    assert_eq!(found(&ours, &[&cookie, &newer]), Some(renewed.clone()));
    assert_eq!(
        found(&ours, &[&newer, &cookie]),
        Some(renewed),
        "the newest, in any order"
    );
    let bad = format!("{}A", &cookie[..cookie.len() - 1]);
    let bad = if bad == cookie {
        format!("{}B", &cookie[..cookie.len() - 1])
    } else {
        bad
    };
    assert_eq!(
        found(&ours, &[&bad, &bad, &bad, &cookie]),
        Some(session("ann")),
        "the fourth"
    );
    assert_eq!(
        found(&ours, &[&bad, &bad, &bad, &bad, &cookie]),
        None,
        "no fifth is tried"
    );
}

#[test]
fn two_subjects_are_a_conflict() {
    let ours = sessions(settings());
    let (ann, bob) = (
        cookie_of(&ours, &session("ann")),
        cookie_of(&ours, &session("bob")),
    );
    assert!(conflict(&ours, &[&ann, &bob]));
    assert!(conflict(&ours, &[&format!("{bob}; {ann}")]));
    let cleared = ours.destroy(&request(&[&ann, &bob]), true);
    assert_eq!(cleared, sessions(settings()).cookie(true).clear(1));
    let ended = Session {
        used: NOW - 900,
        ..session("bob")
    };
    let ended = cookie_of(&ours, &ended);
    assert_eq!(
        found(&ours, &[&ended, &ann]),
        Some(session("ann")),
        "an ended one is no contradiction"
    );
    assert_eq!(
        found(&ours, &[&ended]).map(|session| session.subject),
        Some("bob".to_owned()),
        "alone it is shown, for the caller to judge"
    );
}

#[test]
fn five_hundred_garbage_cookies_do_no_harm() {
    let ours = sessions(settings());
    let cookie = cookie_of(&ours, &session("ann"));
    let shapes = ["1", "2abcd", "9", "1AAAAAAAAAAAAAAAAAAAAAAAA.", ""];
    let garbage: Vec<String> = (0..500)
        .map(|number| {
            let piece = if number % 3 == 0 {
                String::new()
            } else {
                (number % 8 + 2).to_string()
            };
            format!(
                "session{piece}={}{}",
                shapes[number % 5],
                noise(100 + number % 7)
            )
        })
        .collect();
    let line = garbage.join("; ");
    assert_eq!(found(&ours, &[&line]), None);
    assert_eq!(found(&ours, &[&line, &cookie]), Some(session("ann")));
    assert_eq!(
        ours.strip(&request(&[&line, &cookie, "a=1"])),
        Some(b"a=1".to_vec())
    );
    let lines = written(&ours, &session("ann"), &[&line]);
    assert_eq!(lines.len(), 9, "one set, eight cleared");
    assert_eq!(found(&ours, &[&sent_back(&lines)]), Some(session("ann")));
}

#[test]
fn two_audiences_share_a_cookie() {
    let (shop, desk) = (of_audience("shop"), of_audience("desk"));
    let first = cookie_of(&shop, &session("ann"));
    let both = sent_back(&written(&desk, &session("ann"), &[&first]));
    assert_eq!(found(&shop, &[&both]), Some(session("ann")));
    assert_eq!(found(&desk, &[&both]), Some(session("ann")));

    let mut renewed = session("ann");
    renewed.renew(now(5));
    let headers = request(&[&both]);
    let Found::One(opened) = shop.find(&headers, BIND, now(1)) else {
        panic!("no session");
    };
    let lines = shop.write(&renewed, Some(&opened), &headers, BIND, NONCE, true);
    let both = sent_back(&lines.unwrap());
    assert_eq!(found(&shop, &[&both]), Some(renewed), "its own part is new");
    assert_eq!(
        found(&desk, &[&both]),
        Some(session("ann")),
        "the other as it was"
    );

    let left = shop.destroy(&request(&[&both]), true);
    assert_eq!(left.len(), 1);
    let left = sent_back(&left);
    assert_eq!(found(&shop, &[&left]), None);
    assert_eq!(found(&desk, &[&left]), Some(session("ann")));
    let gone = desk.destroy(&request(&[&left, "session4=stale"]), true);
    assert_eq!(
        gone.len(),
        4,
        "the last one takes the cookie with all pieces"
    );
    assert_eq!(sent_back(&gone), "");
    assert_eq!(desk.destroy(&request(&["a=1"]), true), Vec::<String>::new());
}

#[test]
fn one_subject_where_that_is_demanded() {
    let shop = of_audience("shop");
    let desk = sessions(SessionSettings {
        audience: "desk".to_owned(),
        enforce_same_subject: true,
        ..settings()
    });
    let ann = cookie_of(&shop, &session("ann"));
    let same = sent_back(&written(&desk, &session("ann"), &[&ann]));
    assert_eq!(found(&shop, &[&same]), Some(session("ann")), "kept");
    let other = sent_back(&written(&desk, &session("bob"), &[&ann]));
    assert_eq!(found(&shop, &[&other]), None, "dropped");
    assert_eq!(found(&desk, &[&other]), Some(session("bob")));
}

#[test]
fn parts_that_do_not_fit_beside_ours_go() {
    let (shop, desk) = (of_audience("shop"), of_audience("desk"));
    let large = |subject: &str| Session {
        access_token: Some(noise(20_000)),
        ..session(subject)
    };
    let first = cookie_of(&shop, &large("ann"));
    let lines = written(&desk, &large("ann"), &[&first]);
    let second = sent_back(&lines);
    assert_eq!(found(&desk, &[&second]), Some(large("ann")));
    assert_eq!(found(&shop, &[&second]), None);
}

#[test]
fn kept_parts_are_bounded_and_clean() {
    let ours = sessions(settings());
    let part = "A".repeat(20);
    let line = format!("session=1{}", vec![part.as_str(); 50].join("."));
    let lines = written(&ours, &session("ann"), &[&line]);
    assert_eq!(lines[0].matches(&part).count(), MOST_OTHERS);
    let dirty = format!("session=1{part}\".short.{part}\u{7f}");
    assert_eq!(
        written(&ours, &session("ann"), &[&dirty]),
        written(&ours, &session("ann"), &[])
    );
}

#[test]
fn facts_for_headers() {
    let ours = sessions(SessionSettings {
        timeouts: Timeouts {
            rolling: 0,
            ..TIMEOUTS
        },
        ..settings()
    });
    let fact = |fact| ours.fact(fact, &session("ann"), now(100));
    assert_eq!(
        fact(SessionFact::Id).as_deref(),
        Some("AAAAAAAAAAAAAAAAAAAAAA")
    );
    assert_eq!(fact(SessionFact::Audience).as_deref(), Some("default"));
    assert_eq!(fact(SessionFact::Subject).as_deref(), Some("ann"));
    assert_eq!(fact(SessionFact::Timeout).as_deref(), Some("800"));
    assert_eq!(fact(SessionFact::IdlingTimeout).as_deref(), Some("800"));
    assert_eq!(fact(SessionFact::AbsoluteTimeout).as_deref(), Some("86300"));
    assert_eq!(fact(SessionFact::RollingTimeout), None);
}

#[test]
fn debug_shows_nothing_of_the_person() {
    let ours = sessions(SessionSettings {
        secret: Some(Secret::new(SECRET)),
        ..settings()
    });
    let other = cookie_of(&of_audience("other"), &session("ann"));
    let cookie = sent_back(&written(&ours, &session("ann"), &[&other]));
    let other = other.strip_prefix("session=1").unwrap();
    assert!(cookie.contains(other));
    let found = ours.find(&request(&[&cookie]), BIND, now(1));
    let shown = format!("{found:?} {ours:?}");
    for secret in [SECRET, "access.token", "\"ann\"", other] {
        assert!(!shown.contains(secret), "{shown}");
    }
}
