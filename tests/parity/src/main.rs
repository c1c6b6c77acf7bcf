//! `make parity`: a line for each field of the specification with its state, closing with their numbers.
//!
//! The exit status is 1 where a field is said to be done and its test does not show it.

use std::collections::BTreeSet;
use std::error::Error;
use std::process::ExitCode;

use oidc_filter::config::reference::entries;
use parity::prove::Programs;
use parity::{State, claims, fields, state};

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<bool, Box<dyn Error>> {
    let (entries, claims) = (entries(), claims());
    let mut states = Vec::new();
    for field in fields() {
        let entry = entries.iter().find(|entry| entry.path == field.path);
        let entry = entry.ok_or_else(|| format!("the filter does not know {}", field.path))?;
        states.push((field.path.clone(), state(&field, entry, &claims)));
    }
    let tests: BTreeSet<_> = states
        .iter()
        .filter_map(|(_, state)| match state {
            State::Done(test) => Some(test.clone()),
            _ => None,
        })
        .collect();
    let programs = Programs::build()?;
    let failing = programs.failing(&tests)?;
    let (mut done, mut inert, mut refused, mut open, mut good) = (0, 0, 0, 0, true);
    for (path, state) in states {
        match state {
            State::Done(test) => {
                let doubt = if failing.contains(&test) {
                    Some("the test fails as it is, or is not there".to_owned())
                } else {
                    programs.doubt(&test, &path)?
                };
                if let Some(doubt) = doubt {
                    println!("{path} open {test}: {doubt}");
                    eprintln!("error: {path} is said to be done, and {doubt}: {test}");
                    open += 1;
                    good = false;
                } else {
                    println!("{path} done {test}");
                    done += 1;
                }
            }
            State::Inert(why) => {
                println!("{path} inert {why}");
                inert += 1;
            }
            State::Refused(why) => {
                println!("{path} refused {why}");
                refused += 1;
            }
            State::Open(part) => {
                println!("{path} open {part}");
                open += 1;
            }
        }
    }
    println!("{done} done, {inert} inert, {refused} refused, {open} open");
    Ok(good)
}
