//! Cutting, putting together, attributes.

use proptest::prelude::*;

use super::super::cookie::{piece_number, without};
use super::*;

const COOKIE: Cookie<'static> = Cookie {
    max_age: None,
    name: "session",
    path: "/",
    domain: None,
    same_site: SameSite::Lax,
    http_only: true,
    secure: false,
};
const ATTRIBUTES: &str = "; Path=/; SameSite=Lax; HttpOnly";

/// The most characters of a value that takes one cookie, and that takes nine.
const ONE: usize = 4096 - "session=1".len() - ATTRIBUTES.len();
const NINE: usize = 9 * (4096 - "session2=".len() - "abcd".len() - ATTRIBUTES.len());

fn read(line: &str) -> Vec<String> {
    let headers = request(&[line]);
    let jar = Jar::read(&headers, "session");
    let values = jar.values().map(|value| value.into_owned());
    values
        .map(|value| String::from_utf8(value).unwrap())
        .collect()
}

#[test]
fn boundaries_of_the_pieces() {
    for (length, count) in [(0, 1), (1, 1), (ONE, 1), (ONE + 1, 2), (NINE, 9)] {
        let value = noise(length);
        let lines = COOKIE.set(&value, 0).unwrap();
        assert_eq!(lines.len(), count, "{length}");
        assert!(lines.iter().all(|line| line.len() <= 4096), "{length}");
        assert_eq!(read(&sent_back(&lines)), [value]);
    }
    assert_eq!(COOKIE.set(&noise(ONE), 0).unwrap()[0].len(), 4096);
    let nine = COOKIE.set(&noise(NINE), 0).unwrap();
    assert!(nine.iter().all(|line| line.len() == 4096));
    assert!(nine[8].starts_with("session9="));
    assert_eq!(COOKIE.set(&noise(NINE + 1), 0), None);
    let long = "p".repeat(5000);
    assert_eq!(
        Cookie {
            path: &long,
            ..COOKIE
        }
        .set("x", 0),
        None
    );
}

#[test]
fn a_shorter_value_clears_the_surplus() {
    let lines = COOKIE.set("short", 3).unwrap();
    let cleared = |name: &str| {
        format!("{name}={ATTRIBUTES}; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT")
    };
    assert_eq!(
        lines,
        [
            format!("session=1short{ATTRIBUTES}"),
            cleared("session2"),
            cleared("session3")
        ]
    );
    assert_eq!(COOKIE.clear(0), [cleared("session")]);
    assert_eq!(COOKIE.clear(2), [cleared("session"), cleared("session2")]);
    assert_eq!(COOKIE.clear(usize::MAX).len(), 9);
    assert_eq!(
        COOKIE.set(&noise(ONE + 1), 2).unwrap().len(),
        2,
        "nothing to clear"
    );
}

/// CVE-2025-55162: what was set with an attribute goes only with it.
#[test]
fn cve_2025_55162_a_cookie_goes_with_its_attributes() {
    let cookie = Cookie {
        name: "__Secure-s",
        path: "/app",
        domain: Some("example.com"),
        same_site: SameSite::Strict,
        ..COOKIE
    };
    let attributes = "; Path=/app; Domain=example.com; SameSite=Strict; HttpOnly; Secure";
    assert_eq!(
        cookie.set("v", 0).unwrap(),
        [format!("__Secure-s=1v{attributes}")]
    );
    assert!(cookie.clear(1)[0].starts_with(&format!("__Secure-s={attributes}; Max-Age=0;")));
}

#[test]
fn attributes() {
    let set = |cookie: Cookie<'_>| cookie.set("v", 0).unwrap().remove(0);
    assert_eq!(
        set(Cookie {
            secure: true,
            ..COOKIE
        }),
        "session=1v; Path=/; SameSite=Lax; HttpOnly; Secure"
    );
    let bare = Cookie {
        same_site: SameSite::Default,
        http_only: false,
        ..COOKIE
    };
    assert_eq!(set(bare), "session=1v; Path=/");
    let none = Cookie {
        same_site: SameSite::None,
        ..COOKIE
    };
    assert!(set(none).ends_with("; SameSite=None; HttpOnly; Secure"));
    assert!(
        set(Cookie {
            name: "__host-s",
            ..COOKIE
        })
        .ends_with("; Secure")
    );
    for value in ["a;b", "a b", "a,b", "a\"", "a\r\n", "ä"] {
        assert_eq!(COOKIE.set(value, 0), None, "{value:?}");
    }
}

#[test]
fn pieces_of_two_values_do_not_mix() {
    let (one, two) = (noise(ONE + 500), noise(ONE + 900).split_off(1));
    let (first, second) = (
        sent_back(&COOKIE.set(&one, 0).unwrap()),
        sent_back(&COOKIE.set(&two, 0).unwrap()),
    );
    let both = [one.clone(), two];
    assert_eq!(read(&format!("{first}; {second}")), both);
    let mut mixed: Vec<&str> = first.split("; ").chain(second.split("; ")).collect();
    mixed.sort_by_key(|pair| std::cmp::Reverse(pair.len()));
    assert_eq!(read(&mixed.join("; ")).len(), 2);
    let stale = format!("{first}; session3=old");
    assert_eq!(read(&stale), [one], "a stale piece does no harm");
    let headers = request(&[&stale]);
    assert_eq!(
        Jar::read(&headers, "session").sent(),
        3,
        "and is known for clearing"
    );
}

/// CVE-2024-24814: the number of pieces is the client's word.
#[test]
fn cve_2024_24814_the_count_is_bounded() {
    for value in ["9abcdx", "9", "0x", "99999", "x", "", "2abc", "2"] {
        assert_eq!(
            read(&format!("session={value}")),
            Vec::<String>::new(),
            "{value}"
        );
    }
    assert_eq!(read("session=1"), [""]);
    // A thousand beginnings that share one long end.
    let end = noise(30_000);
    let beginnings = vec!["session=2abcdx"; 1000].join("; ");
    let read = read(&format!("session2=abcd{end}; {beginnings}"));
    assert_eq!(read.len(), 16);
}

/// CVE-2023-28625: a Cookie header of any shape.
#[test]
fn cve_2023_28625_removal_by_name() {
    let ours = |name: &[u8]| sessions(settings()).owns(name);
    let left = |lines: &[&str]| {
        without(&request(lines), ours).map(|left| String::from_utf8(left).unwrap())
    };
    let crowded = "a=1; session=x;; session2=y; session9 = z; session10=b; sessions=c; Session=d";
    assert_eq!(
        left(&[crowded, "session=q; e"]).as_deref(),
        Some("a=1; session10=b; sessions=c; Session=d; e")
    );
    for nothing in ["", ";", "session=1", " ; session3=;session=;", "session"] {
        let expected = (nothing == "session").then_some("session".to_owned());
        assert_eq!(left(&[nothing]), expected, "{nothing}");
    }
}

proptest! {
    #[test]
    fn whatever_is_cut_comes_back(length in 0usize..34_000, domain in "[a-z]{1,60}") {
        let cookie = Cookie { domain: Some(&domain), secure: true, ..COOKIE };
        let value = noise(length);
        let lines = cookie.set(&value, 9).unwrap();
        prop_assert_eq!(lines.len(), 9, "each piece is set or cleared");
        prop_assert!(lines.iter().all(|line| line.len() <= 4096));
        prop_assert_eq!(read(&sent_back(&lines)), [value]);
    }

    #[test]
    fn any_cookie_line_is_survived(line in "(session[0-9]?|[a-z=; ]|=|;|[0-9]abcd|\\PC){0,40}") {
        let headers = request(&[&line]);
        let _ = Jar::read(&headers, "session").values().count();
        let left = without(&headers, |name| piece_number(name, "session").is_some());
        let left = left.map(|left| String::from_utf8(left).unwrap()).unwrap_or_default();
        prop_assert_eq!(Jar::read(&request(&[&left]), "session").sent(), 0);
    }
}
