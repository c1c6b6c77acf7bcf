//! `oidc-filter check`: everything that can be said about a configuration before a proxy reads it.
//!
//! - `envoy`: the filters in a bootstrap, and what stands around each
//! - `capabilities`: what the module may call there
//! - `cluster`: the clusters that lead to the provider
//! - `kong`: the filters in a declarative file
//! - `filter`: the filter's own JSON, alone or found in one of the others
//! - `tree`: walking through YAML with a path in hand

mod capabilities;
mod cluster;
mod envoy;
pub mod filter;
mod kong;
pub mod tree;

use std::fmt;
use std::fs;
use std::io::{self, Read as _};
use std::path::Path;
use std::process::ExitCode;

use clap::ValueEnum;
use serde_json::Value;

use crate::yaml;

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// The filter's own JSON.
    Filter,
    /// An Envoy bootstrap, as YAML or JSON.
    Envoy,
    /// A declarative configuration of Kong, as YAML or JSON.
    Kong,
}

/// What was found in a file.
#[derive(Debug, Default)]
pub struct Report {
    errors: Vec<Finding>,
    warnings: Vec<Finding>,
    good: Vec<String>,
}

/// Something about a place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Finding {
    /// The way to it, as in `static_resources.clusters[1].transport_socket`.
    place: String,
    /// What is wrong, and what to write instead.
    message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.place.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "{}: {}", self.place, self.message)
        }
    }
}

impl Report {
    fn error(&mut self, place: impl Into<String>, message: impl Into<String>) {
        push(&mut self.errors, place, message);
    }

    fn warn(&mut self, place: impl Into<String>, message: impl Into<String>) {
        push(&mut self.warnings, place, message);
    }

    /// Notes a filter whose own configuration is good.
    fn good(&mut self, summary: impl Into<String>) {
        self.good.push(summary.into());
    }

    /// Whether there is no error.
    pub fn is_good(&self) -> bool {
        self.errors.is_empty()
    }

    /// The errors, as they are printed.
    pub fn errors(&self) -> Vec<String> {
        self.errors.iter().map(ToString::to_string).collect()
    }
}

/// Two filters often lead to the same cluster: it is told about once.
fn push(findings: &mut Vec<Finding>, place: impl Into<String>, message: impl Into<String>) {
    let finding = Finding {
        place: place.into(),
        message: message.into(),
    };
    if !findings.contains(&finding) {
        findings.push(finding);
    }
}

/// Checks `file`, and prints what was found: errors on standard error, the rest on standard output.
pub fn run(file: &Path, kind: Option<Kind>) -> ExitCode {
    let name = file.display();
    let text = match read(file) {
        Ok(text) => text,
        Err(why) => {
            eprintln!("{name}: cannot be read: {why}");
            return ExitCode::FAILURE;
        }
    };
    let report = check(&text, kind);
    for warning in &report.warnings {
        println!("{name}: warning: {warning}");
    }
    for error in &report.errors {
        eprintln!("{name}: {error}");
    }
    if !report.is_good() {
        return ExitCode::FAILURE;
    }
    for summary in &report.good {
        println!("{name}: good: {summary}");
    }
    ExitCode::SUCCESS
}

/// Checks the text of a file.
pub fn check(text: &[u8], kind: Option<Kind>) -> Report {
    let mut report = Report::default();
    // The filter reads JSON and nothing else: what is told to be its configuration goes to it as it is.
    let looks_like_json = text.trim_ascii_start().starts_with(b"{");
    if kind == Some(Kind::Filter) {
        filter::alone(text, &mut report);
        return report;
    }
    let tree = match yaml::parse(text) {
        Ok(tree) => tree,
        Err(_) if kind.is_none() && looks_like_json => {
            filter::alone(text, &mut report);
            return report;
        }
        Err(why) => {
            report.error("", why);
            return report;
        }
    };
    match kind.unwrap_or_else(|| detect(&tree)) {
        Kind::Filter => filter::alone(text, &mut report),
        Kind::Envoy => envoy::check(&tree, &mut report),
        Kind::Kong => kong::check(&tree, &mut report),
    }
    report
}

/// What a tree is, by members that the others do not have.
fn detect(tree: &Value) -> Kind {
    let has = |name| tree::member(tree, name).is_some();
    // Files of other programs have services, too.
    let lists = |name| tree.get(name).is_some_and(Value::is_array);
    if has("static_resources") || has("dynamic_resources") {
        Kind::Envoy
    } else if has("_format_version")
        || ["filter_chains", "services", "plugins"]
            .into_iter()
            .any(lists)
    {
        Kind::Kong
    } else {
        Kind::Filter
    }
}

/// Reads a file; `-` is the standard input.
pub fn read(file: &Path) -> io::Result<Vec<u8>> {
    if file == Path::new("-") {
        let mut text = Vec::new();
        io::stdin().read_to_end(&mut text)?;
        return Ok(text);
    }
    fs::read(file)
}
