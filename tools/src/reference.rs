//! `oidc-filter reference`: docs/reference.md, from the filter's own table.

use std::fmt::Write as _;
use std::process::ExitCode;

use oidc_filter::config::reference::{Entry, Standing, entries};

/// Letter and title of each section.
const SECTIONS: [(&str, &str); 25] = [
    ("A", "Discovery, issuer, trusted keys"),
    ("B", "Ways in, general behaviour"),
    ("C", "Our clients at the provider"),
    ("D", "Where a credential is looked for"),
    ("E", "Authorization endpoint"),
    ("F", "Token endpoint"),
    ("G", "Introspection"),
    ("H", "Userinfo"),
    ("I", "Logout and revocation"),
    ("J", "What follows a login"),
    ("K", "Failures"),
    ("L", "What a token must be"),
    ("M", "What a token must say"),
    ("N", "Consumers, groups, principals"),
    ("O", "Headers for the upstream"),
    ("P", "Headers for the client"),
    ("Q", "Session"),
    ("R", "Memcached"),
    ("S", "Caches"),
    ("T", "Proof of possession"),
    ("U", "Token exchange"),
    ("V", "HTTP to the provider"),
    ("W", "Redis"),
    ("+", "Beside the plugin's fields"),
    ("old", "Names of the past"),
];

const BEGINNING: &str = "\
# Reference of the configuration

<!-- Written by `oidc-filter reference`: change src/config/table.rs or src/config/reference.tsv, then `make reference`. -->

The filter reads the `config` object of Kong's OpenID Connect plugin: same names, types and defaults. Section + holds
what it has beside them. Each field has a state:

- **honoured**: it is read and has its effect;
- **not built yet**: accepted at its default, otherwise an error;
- **refused**: accepted at its default, otherwise an error with this reason.

Null means that a field is not set, so that its default counts; where the default is not null, `null` or an empty list
may switch it off, and then the meaning says so. An empty object stands for an empty list, as Kong writes one. Numbers
may come as `3600.0`. Members of an object stand behind a dot, members of a list's objects behind `[].`. Every text may be
a reference `{vault://env/NAME}`, read from the environment of the filter's VM (a dash in NAME becomes an underscore, and
letters go upper case); a variable that is not there is an error.

`oidc-filter check FILE` names every mistake in a configuration with its path.
";

/// Prints the page.
pub fn run() -> ExitCode {
    print!("{}", page());
    ExitCode::SUCCESS
}

/// The page as Markdown.
pub fn page() -> String {
    let entries = entries();
    let mut page = String::from(BEGINNING);
    for (letter, title) in SECTIONS {
        // Writing into a text cannot fail.
        let _ = writeln!(page, "\n## {}\n", heading(letter, title));
        page.push_str("| field | type | default | meaning | state |\n|---|---|---|---|---|\n");
        for entry in entries.iter().filter(|entry| entry.section == letter) {
            page.push_str(&row(entry));
        }
    }
    page
}

fn heading(letter: &str, title: &str) -> String {
    match letter {
        "old" => title.to_owned(),
        letter => format!("{letter}. {title}"),
    }
}

fn row(entry: &Entry) -> String {
    let kind = match entry.unit {
        "" => entry.kind.clone(),
        unit => format!("{}, {unit}", entry.kind),
    };
    let default = match entry.default {
        "null" => "–".to_owned(),
        default => format!("`{default}`"),
    };
    let state = match entry.standing {
        Standing::Honoured => "honoured".to_owned(),
        Standing::Renamed(now) => format!("old name: read as `{now}`, with a warning"),
        Standing::Later => "not built yet".to_owned(),
        Standing::Instead(why) | Standing::Never(why) => format!("refused: {why}"),
    };
    let cells = [
        format!("`{}`", entry.path),
        kind,
        default,
        entry.meaning.to_owned(),
        state,
    ];
    let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    format!("| {} |\n", cells.join(" | "))
}
