//! `oidc-filter convert`: a declarative file of Kong with `openid-connect` plugins becomes an Envoy bootstrap, or a
//! file with filter chains.
//!
//! - `source`: what stands in Kong's file: services, routes, and the plugin that rules each route
//! - `settings`: the plugin's `config`, divided between the filter and the host
//! - `envoy`, `kong`: the two outputs
//!
//! Nothing is dropped in silence: what cannot be carried over is named on standard error and at the top of the
//! output. The output passes `check`, or there is none, and the fields that stand in the way are named.

mod envoy;
mod kong;
mod settings;
mod source;

use std::path::Path;
use std::process::ExitCode;

use clap::ValueEnum;

use crate::check::{self, Kind};
use crate::yaml;
use source::Source;

/// What the file becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Target {
    /// An Envoy bootstrap with the filter's JSON in it.
    Envoy,
    /// A declarative file of Kong with filter chains in the plugins' places.
    Kong,
}

/// What could not be carried over, or was chosen for the user.
#[derive(Debug, Default)]
pub struct Notes(Vec<String>);

impl Notes {
    fn add(&mut self, place: &str, text: impl AsRef<str>) {
        let note = format!("{place}: {}", text.as_ref());
        if !self.0.contains(&note) {
            self.0.push(note);
        }
    }
}

/// Converts `file`, and prints what it becomes.
pub fn run(file: &Path, target: Target) -> ExitCode {
    let name = file.display();
    let converted = check::read(file)
        .map_err(|why| vec![format!("cannot be read: {why}")])
        .and_then(|text| convert(&text, target));
    match converted {
        Ok((output, notes)) => {
            for note in &notes.0 {
                eprintln!("{name}: note: {note}");
            }
            print!("{output}");
            ExitCode::SUCCESS
        }
        Err(errors) => {
            for error in errors {
                eprintln!("{name}: {error}");
            }
            ExitCode::FAILURE
        }
    }
}

/// The output with what has to be known of it; or why there is none.
fn convert(text: &[u8], target: Target) -> Result<(String, Notes), Vec<String>> {
    let tree = yaml::parse(text).map_err(|why| vec![why])?;
    let mut notes = Notes::default();
    let source = Source::read(&tree, target, &mut notes)?;
    let (tree, kind) = match target {
        Target::Envoy => (envoy::bootstrap(&source, &mut notes)?, Kind::Envoy),
        Target::Kong => (kong::file(&tree, &source, &mut notes)?, Kind::Kong),
    };
    let body = yaml::write(&tree).map_err(|why| vec![why])?;
    let report = check::check(body.as_bytes(), Some(kind));
    if !report.is_good() {
        let errors = report.errors().into_iter();
        return Err(errors
            .map(|error| format!("cannot be converted: {error}"))
            .collect());
    }
    let mut output =
        String::from("# Written by `oidc-filter convert`. Read it before you use it.\n");
    for note in &notes.0 {
        output.push_str(&format!("# - {note}\n"));
    }
    output.push_str(&body);
    Ok((output, notes))
}
