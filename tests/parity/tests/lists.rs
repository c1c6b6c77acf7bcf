//! The lists agree with the filter's table, and every refusal is as it was read.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::{env, fs};

use oidc_filter::config::reference::{Standing, entries};
use parity::{claims, errors_at_another_value, fields, workspace};

#[test]
fn the_filters_table_has_the_378_fields_and_otherwise_only_what_is_known_to_be_beside_them() {
    let list: Vec<String> = fields().into_iter().map(|field| field.path).collect();
    let unique: BTreeSet<&str> = list.iter().map(String::as_str).collect();
    assert_eq!((list.len(), unique.len()), (378, 378));
    let entries = entries();
    let known: BTreeSet<&str> = entries.iter().map(|entry| entry.path).collect();
    let missing: Vec<_> = unique.difference(&known).collect();
    assert!(missing.is_empty(), "not in the table: {missing:?}");
    for entry in &entries {
        // `+`: what the filter has beside the plugin's fields; `old`: names of the past.
        let is_beside = matches!(entry.section, "+" | "old");
        assert_eq!(unique.contains(entry.path), !is_beside, "{}", entry.path);
        let is_plain = matches!(entry.standing, Standing::Honoured | Standing::Later);
        assert!(entry.section != "old" || !is_plain, "{}", entry.path);
    }
}

#[test]
fn the_list_names_the_verdicts_that_the_specification_has() {
    let text = fs::read_to_string(workspace().join("tests/fields.tsv")).expect("the list");
    let count = |verdict: &str| text.matches(&format!("\t{verdict}\t")).count();
    assert_eq!((count("yes"), count("adapt"), count("no")), (245, 53, 80));
}

#[test]
fn claims_are_made_of_fields_that_the_filter_reads_and_once() {
    let entries = entries();
    let mut seen = BTreeSet::new();
    for claim in claims() {
        let entry = entries.iter().find(|entry| entry.path == claim.path);
        let standing = entry.map(|entry| entry.standing);
        assert_eq!(standing, Some(Standing::Honoured), "{}", claim.path);
        assert!(seen.insert(claim.path.clone()), "{} twice", claim.path);
        if claim.state == "refused" {
            let entry = entry.expect("known");
            assert!(
                !errors_at_another_value(entry).is_empty(),
                "{} is accepted",
                claim.path
            );
        }
    }
}

/// What a user is told for each field that is refused. `OIDC_FILTER_UPDATE=1` writes the file anew.
#[test]
fn every_refusal_is_as_it_was_read() {
    let claims = claims();
    let mut all = String::new();
    for entry in entries() {
        let claimed = claims
            .iter()
            .any(|claim| claim.path == entry.path && claim.state == "refused");
        let is_read = matches!(entry.standing, Standing::Honoured | Standing::Renamed(_));
        if is_read && !claimed {
            continue;
        }
        let errors = errors_at_another_value(&entry);
        assert!(
            !errors.is_empty(),
            "{} is accepted at {}",
            entry.path,
            entry.other
        );
        let top = entry.path.split(['.', '[']).next().unwrap_or_default();
        let named = format!("config.{top}");
        assert!(
            errors.iter().any(|error| error.starts_with(&named)),
            "{}: {errors:?}",
            entry.path
        );
        writeln!(
            all,
            "{} = {}\n    {}",
            entry.path,
            entry.other,
            errors.join("\n    ")
        )
        .expect("a text");
    }
    let file = workspace().join("tests/parity/refused.txt");
    if env::var_os("OIDC_FILTER_UPDATE").is_some() {
        fs::write(&file, &all).expect("writable");
    }
    let expected = fs::read_to_string(&file).unwrap_or_default();
    let mut lines = expected.lines().zip(all.lines());
    let difference = lines.find(|(old, new)| old != new);
    assert!(
        expected == all,
        "refused.txt is out of date at {difference:?}; look, then OIDC_FILTER_UPDATE=1"
    );
}
