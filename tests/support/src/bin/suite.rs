//! `make test`: runs all tests, or a part of them, and closes with `N passed, N failed`.

use std::process::{Command, ExitCode};
use std::time::Instant;

use clap::{Parser, ValueEnum};
use support::testrun::Run;

#[derive(Parser)]
struct Arguments {
    /// All parts where none is named.
    parts: Vec<Part>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Needs no host.
    Native,
    /// The compiled module in hosts of ours.
    Module,
    /// The module in a real Envoy, with a real Keycloak, and with a real Chromium before it.
    Hosts,
    /// Providers and clients that misbehave.
    Hostile,
    /// The acceptance scenarios with their controls.
    Scenarios,
}

const FEATURES: &[&str] = &["--all-features"];

impl Part {
    const ALL: [Part; 5] = [
        Part::Native,
        Part::Module,
        Part::Hosts,
        Part::Hostile,
        Part::Scenarios,
    ];

    fn packages(self) -> &'static [(&'static str, &'static [&'static str])] {
        match self {
            Part::Native => &[
                ("oidc-filter", FEATURES),
                ("oidc-filter-tools", &[]),
                ("flow", &[]),
                ("parity", &[]),
            ],
            Part::Module => &[("module-host", &[])],
            Part::Hosts => &[("support", &[]), ("acceptance", &[]), ("browser", &[])],
            Part::Hostile => &[("hostile", &[])],
            Part::Scenarios => &[],
        }
    }
}

fn main() -> ExitCode {
    let mut parts = Arguments::parse().parts;
    if parts.is_empty() {
        parts = Part::ALL.to_vec();
    }
    let start = Instant::now();
    let (mut passed, mut failed, mut blame) = (0, 0, Vec::new());
    for part in parts {
        if part == Part::Scenarios {
            let good = scenarios();
            passed += usize::from(good);
            failed += usize::from(!good);
            if !good {
                blame.push("scenarios".to_owned());
            }
        }
        for (package, cargo) in part.packages() {
            println!("--- {package}");
            let run = Run {
                package,
                cargo,
                verbose: true,
                ..Run::default()
            };
            match run.execute() {
                Ok(report) => {
                    passed += report.passed();
                    failed += report.failed();
                    let tests = report.tests.iter().filter(|test| !test.passed);
                    blame.extend(tests.map(|test| format!("{package}: {}", test.name)));
                    blame.extend(report.broken.map(|reason| format!("{package}: {reason}")));
                }
                Err(error) => {
                    failed += 1;
                    blame.push(format!("{package}: {error}"));
                }
            }
        }
    }
    println!("--- after {} s", start.elapsed().as_secs());
    for name in &blame {
        println!("failed: {name}");
    }
    println!("{passed} passed, {failed} failed");
    // A run of no test at all has shown nothing.
    if failed == 0 && passed > 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Runs the scenarios beside this program; they count as one test. Their own closing line counts open ones as failed, so
/// it is not to stand alone on a line here.
fn scenarios() -> bool {
    println!("--- scenarios");
    let program = std::env::current_exe()
        .ok()
        .map(|suite| suite.with_file_name("scenarios"));
    let output = program.and_then(|program| Command::new(program).output().ok());
    let Some(output) = output else {
        println!("scenarios: the program was not built");
        return false;
    };
    for bytes in [&output.stdout, &output.stderr] {
        for line in String::from_utf8_lossy(bytes).lines() {
            println!("scenarios: {line}");
        }
    }
    output.status.success()
}
