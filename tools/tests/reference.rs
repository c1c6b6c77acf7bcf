//! The reference: whole, in step with the filter, and readable.

mod common;

use std::collections::BTreeSet;
use std::path::Path;

use common::{own, run, snapshot};
use oidc_filter::config::reference::{entries, left_over};
use oidc_filter::config::schema::draft4;

#[test]
fn every_field_is_told_once_and_nothing_else_is() {
    assert!(left_over().is_empty(), "{:?}", left_over());
    for entry in entries() {
        assert!(!entry.section.is_empty(), "{} is not told", entry.path);
        assert!(
            entry.meaning.ends_with('.'),
            "{}: {}",
            entry.path,
            entry.meaning
        );
        assert!(
            entry.meaning.len() < 400,
            "{} is told at length",
            entry.path
        );
    }
}

#[test]
fn what_counts_something_says_what() {
    // Counts of things, not of time.
    let counts = [
        "port",
        "database",
        "pool_size",
        "backlog",
        "redirections",
        "maxsize",
        "http_version",
        "renew",
    ];
    for entry in entries() {
        let is_number = entry.kind.contains("number");
        let counts_things = counts.iter().any(|end| entry.path.ends_with(end));
        assert_eq!(
            !entry.unit.is_empty(),
            is_number && !counts_things,
            "{}",
            entry.path
        );
        assert!(
            ["", "seconds", "milliseconds"].contains(&entry.unit),
            "{}",
            entry.path
        );
    }
}

/// `OIDC_FILTER_UPDATE=1` writes the page anew; so does `make reference`.
#[test]
fn the_page_is_in_step_with_the_command() {
    let ran = run(&["reference"], &own(""), &[]);
    assert!(ran.good);
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference.md");
    snapshot(&page, &ran.stdout);
    for entry in entries() {
        let row = format!("| `{}` | ", entry.path);
        assert_eq!(ran.stdout.matches(&row).count(), 1, "{}", entry.path);
    }
}

#[test]
fn the_page_needs_no_other_text() {
    let ran = run(&["reference"], &own(""), &[]);
    for elsewhere in ["../", "shared", "section 22", "specification"] {
        let allowed = if elsewhere == "shared" {
            "shared_data"
        } else {
            "\0"
        };
        let text = ran
            .stdout
            .replace(allowed, "")
            .replace("a shared cookie", "");
        assert!(!text.contains(elsewhere), "{elsewhere}");
    }
}

#[test]
fn the_schema_describes_fields_in_the_same_words() {
    let schema = draft4();
    let described: BTreeSet<&str> = schema["properties"]
        .as_object()
        .expect("fields")
        .values()
        .filter_map(|property| property["description"].as_str())
        .collect();
    for entry in entries() {
        if entry.path.contains(['.', '[']) {
            continue;
        }
        let words = described
            .iter()
            .any(|description| description.starts_with(entry.meaning));
        assert!(words, "{}", entry.path);
    }
}
