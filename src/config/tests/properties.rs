//! What holds for any configuration.

use proptest::prelude::*;
use serde_json::Value;

use super::*;

/// JSON of any shape, with the names of real fields, so that it gets far.
fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        prop::sample::select(vec![
            "bearer",
            "header",
            "nil",
            "{vault://env/MY_SECRET}",
            "https://a.example",
            "::/0"
        ])
        .prop_map(Value::from),
    ];
    let names = prop_oneof![
        prop::sample::select(
            table::FIELDS
                .iter()
                .map(|field| field.path.to_owned())
                .collect::<Vec<_>>()
        ),
        prop::sample::select(vec!["header", "path", "host"]).prop_map(str::to_owned),
        ".{0,8}",
    ];
    leaf.prop_recursive(4, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(names.clone(), inner, 0..8)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_json_makes_it_panic(value in anything()) {
        let text = value.to_string();
        let once = Config::parse(text.as_bytes(), &env);
        prop_assert_eq!(once, Config::parse(text.as_bytes(), &env));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
        let _ = Config::parse(&bytes, &env);
    }

    #[test]
    fn a_range_contains_its_own_addresses(bits in any::<u32>(), length in 0_u32..=32, other in any::<u32>()) {
        let mask = u32::MAX.checked_shl(32_u32.saturating_sub(length)).unwrap_or(0);
        let network = std::net::Ipv4Addr::from(bits & mask);
        let range = Cidr::parse(&format!("{network}/{length}")).unwrap();
        let inside = std::net::Ipv4Addr::from((bits & mask) | (other & !mask));
        prop_assert!(range.contains(inside.into()));
        prop_assert!(range.contains(inside.to_ipv6_mapped().into()));
        let other = std::net::Ipv4Addr::from(other);
        prop_assert_eq!(range.contains(other.into()), u32::from(other) & mask == bits & mask);
    }
}
