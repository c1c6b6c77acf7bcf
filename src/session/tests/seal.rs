//! What opens, and what does not.

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

const NONCE: [u8; 12] = *b"twelve bytes";
const BINDING: [&[u8]; 3] = [b"session", b"https://idp.example", b"me"];

fn sealed(ring: &Keyring) -> String {
    ring.seal(Purpose::Session, &BINDING, b"plain text", NONCE)
        .unwrap()
}

#[test]
fn opens_with_the_same_everything_only() {
    let ring = keyring(SECRET, &[]);
    let text = sealed(&ring);
    let open = |purpose, binding: &[&[u8]]| ring.open(purpose, binding, text.as_bytes());
    assert_eq!(
        open(Purpose::Session, &BINDING).as_deref(),
        Some(&b"plain text"[..])
    );
    assert_eq!(open(Purpose::Login, &BINDING), None);
    assert_eq!(open(Purpose::State, &BINDING), None);
    for field in 0..BINDING.len() {
        let mut other = BINDING;
        other[field] = b"other";
        assert_eq!(open(Purpose::Session, &other), None, "field {field}");
    }
    let moved: [&[u8]; 3] = [b"sessionh", b"ttps://idp.example", b"me"];
    assert_eq!(open(Purpose::Session, &moved), None, "a byte moved");
    let joined: [&[u8]; 2] = [b"sessionhttps://idp.example", b"me"];
    assert_eq!(open(Purpose::Session, &joined), None, "fields joined");
    let more: [&[u8]; 4] = [b"session", b"https://idp.example", b"me", b""];
    assert_eq!(open(Purpose::Session, &more), None, "a field more");
}

/// Envoy 1.38.1: CBC "opened" with one wrong key of 256.
#[test]
fn a_wrong_key_never_opens() {
    let text = sealed(&keyring(SECRET, &[]));
    for number in 0..300 {
        let other = keyring(&format!("another secret, number {number}"), &[]);
        assert_eq!(
            other.open(Purpose::Session, &BINDING, text.as_bytes()),
            None
        );
    }
}

/// CVE-2016-0736: no unauthenticated byte. Every other character at every place, the last one's spare
/// bits included.
#[test]
fn cve_2016_0736_every_byte_counts() {
    let ring = keyring(SECRET, &[]);
    let text = sealed(&ring).into_bytes();
    for at in 0..text.len() {
        for other in 0..=255 {
            if text[at] == other {
                continue;
            }
            let mut changed = text.clone();
            changed[at] = other;
            let opened = ring.open(Purpose::Session, &BINDING, &changed);
            assert_eq!(opened, None, "byte {at} as {other}");
        }
        assert_eq!(ring.open(Purpose::Session, &BINDING, &text[..at]), None);
    }
    for tail in ["=", "A", "\n", "AAAA"] {
        let longer = [text.as_slice(), tail.as_bytes()].concat();
        assert_eq!(ring.open(Purpose::Session, &BINDING, &longer), None);
    }
}

#[test]
fn previous_secrets_open_and_the_current_one_seals() {
    let (old, new) = ("the secret of last year", "the secret of this year");
    let before = keyring(old, &[]);
    let during = keyring(new, &[old]);
    let after = keyring(new, &[]);
    let text = sealed(&before);
    let opens = |ring: &Keyring, text: &str| {
        ring.open(Purpose::Session, &BINDING, text.as_bytes())
            .is_some()
    };
    assert!(opens(&during, &text));
    assert!(!opens(&after, &text));
    let text = sealed(&during);
    assert!(opens(&after, &text));
    assert!(!opens(&before, &text));
    let marks = during.marks(&[b"somebody"]);
    assert_eq!(marks[0], after.marks(&[b"somebody"])[0]);
    assert_eq!(marks[1], before.marks(&[b"somebody"])[0]);
}

#[test]
fn sizes_are_bounded() {
    let ring = keyring(SECRET, &[]);
    let seal = |length: usize| ring.seal(Purpose::Session, &[], &vec![0; length], NONCE);
    // 36,864 characters are 27,648 bytes, 33 of which are not plain text.
    assert_eq!(seal(27_615).map(|text| text.len()), Some(36_864));
    assert_eq!(seal(27_616), None);
    assert_eq!(seal(1 << 20), None);
    assert_eq!(ring.open(Purpose::Session, &[], &[b'A'; 1 << 20]), None);
    assert_eq!(ring.open(Purpose::Session, &[], b""), None);
}

#[test]
fn random_bytes_never_repeat_and_depend_on_all() {
    let draw = |ring: &Keyring, seed: &[&[u8]]| {
        let mut out = [0; 40];
        ring.random(seed, &mut out);
        out
    };
    let ring = keyring(SECRET, &[]);
    let drawn: HashSet<_> = (0..1000).map(|_| draw(&ring, &[])).collect();
    assert_eq!(drawn.len(), 1000, "the same seed each time");
    let first = |secret: &str, seed: &[&[u8]]| draw(&keyring(secret, &[]), seed);
    assert_eq!(first(SECRET, &[b"ab"]), first(SECRET, &[b"ab"]));
    assert_ne!(
        first(SECRET, &[b"ab"]),
        first("another secret, as long", &[b"ab"])
    );
    assert_ne!(first(SECRET, &[b"ab"]), first(SECRET, &[b"a", b"b"]));
    let (one, two) = (keyring(SECRET, &[]), keyring(SECRET, &[]));
    assert_ne!(draw(&one, &[b"worker 1"]), draw(&two, &[b"worker 2"]));
    assert_ne!(
        draw(&one, &[]),
        draw(&two, &[]),
        "earlier seeds go on counting"
    );
    let out = first(SECRET, &[]);
    assert_ne!(out[..8], out[32..], "blocks differ");
}

#[test]
fn debug_shows_no_key() {
    assert_eq!(format!("{:?}", keyring(SECRET, &[])), "Keyring");
}

proptest! {
    #[test]
    fn whatever_is_sealed_opens(
        plain in prop::collection::vec(any::<u8>(), 0..500),
        binding in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..5),
        nonce in any::<[u8; 12]>(),
    ) {
        let ring = keyring(SECRET, &[]);
        let binding: Vec<&[u8]> = binding.iter().map(Vec::as_slice).collect();
        let text = ring.seal(Purpose::State, &binding, &plain, nonce).unwrap();
        prop_assert!(text.bytes().all(is_base64url));
        prop_assert_eq!(ring.open(Purpose::State, &binding, text.as_bytes()), Some(plain));
    }

    #[test]
    fn garbage_never_opens(text in "[A-Za-z0-9_-]{0,200}|.{0,60}") {
        prop_assert_eq!(keyring(SECRET, &[]).open(Purpose::Session, &[], text.as_bytes()), None);
    }
}
