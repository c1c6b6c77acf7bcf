//! `make scenarios`: the acceptance scenarios, a line each; see [`support::scenarios`].
//!
//! The plain command runs the tests against the filter and against both controls and folds the three runs;
//! `--control open` or `closed` prints that run alone.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use support::scenarios::{Height, Results, Scenario, State, Subject, list};
use support::testrun::Run;

#[derive(Parser)]
struct Arguments {
    /// Only what concerns this host.
    #[arg(long)]
    host: Option<Host>,
    /// Only the run against this control.
    #[arg(long)]
    control: Option<Control>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Host {
    Envoy,
    Kong,
}

#[derive(Clone, Copy, ValueEnum)]
enum Control {
    Open,
    Closed,
}

/// Names of scenario tests begin with one of these.
const FAMILIES: &[&str] = &["ht_", "ex_", "oh_", "dx_"];

const PACKAGES: [(&str, Height); 4] = [
    ("flow", Height::Native),
    ("module-host", Height::Module),
    ("acceptance", Height::Envoy),
    ("browser", Height::Browser),
];

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<bool, Box<dyn Error>> {
    let subjects = match arguments.control {
        None => vec![Subject::Filter, Subject::Open, Subject::Closed],
        Some(Control::Open) => vec![Subject::Open],
        Some(Control::Closed) => vec![Subject::Closed],
    };
    let mut results = Results::default();
    for subject in subjects {
        for (package, height) in PACKAGES {
            if arguments.host == Some(Host::Kong) && height != Height::Module {
                continue;
            }
            for test in execute(package, subject)? {
                let of_kong = test.name.contains("kong");
                let wanted = match arguments.host {
                    None => true,
                    Some(Host::Kong) => of_kong,
                    Some(Host::Envoy) => !of_kong,
                };
                if wanted {
                    results.add(&test.name, height, subject, test.passed);
                }
            }
        }
    }
    Ok(print(&results, arguments.control))
}

fn execute(
    package: &'static str,
    subject: Subject,
) -> Result<Vec<support::testrun::Outcome>, Box<dyn Error>> {
    let mut run = Run {
        package,
        filters: FAMILIES,
        ..Run::default()
    };
    if subject != Subject::Filter {
        let module = control_module(subject)?;
        run.env = vec![
            (
                "OIDC_FILTER_WASM".into(),
                module.to_string_lossy().into_owned(),
            ),
            ("OIDC_FILTER_CONTROL".into(), subject.name().into()),
        ];
    }
    let report = run.execute()?;
    if let Some(reason) = &report.broken {
        let end = report.output.len().saturating_sub(40);
        eprintln!("{}", report.output[end..].join("\n"));
        return Err(format!("{package} ({}): {reason}", subject.name()).into());
    }
    Ok(report.tests)
}

fn control_module(subject: Subject) -> Result<PathBuf, String> {
    let module = support::workspace().join(format!("dist/modules/{}.wasm", subject.name()));
    if module.exists() {
        Ok(module)
    } else {
        Err(format!(
            "{} is not there: run `make modules`",
            module.display()
        ))
    }
}

/// Prints the lines; `false` when a scenario that is not open fails.
fn print(results: &Results, control: Option<Control>) -> bool {
    let list = list();
    let (mut passed, mut failed, mut good) = (0, 0, true);
    for scenario in &list {
        let (state, height) = judge(results, scenario, control);
        if state == State::Passed {
            passed += 1;
        } else {
            failed += 1;
        }
        good &= state != State::Failed;
        line(&scenario.id, state, height, &scenario.title);
        for case in results.cases(scenario) {
            let (state, height) = match control {
                None => results.judge_case(scenario, Some(case)),
                Some(control) => alone(results.judge_case(scenario, Some(case)), control),
            };
            let title = scenario
                .cases
                .get(&case)
                .map_or(scenario.title.as_str(), String::as_str);
            line(&format!("{}{case}", scenario.id), state, height, title);
        }
        if state == State::Failed {
            for reason in results.blame(scenario) {
                eprintln!("  {}: {reason}", scenario.id);
            }
        }
    }
    for id in results.unknown(&list) {
        eprintln!("error: a test carries {id}, which tests/scenarios.tsv does not have");
        good = false;
    }
    println!("{passed} passed, {failed} failed");
    good
}

fn judge(
    results: &Results,
    scenario: &Scenario,
    control: Option<Control>,
) -> (State, Option<Height>) {
    let judged = results.judge(scenario);
    match control {
        None => judged,
        Some(control) => alone(judged, control),
    }
}

/// The run against a control alone: there `passed` means that a test could not tell it from the filter.
fn alone(judged: (State, Option<Height>), _: Control) -> (State, Option<Height>) {
    let state = match judged.0 {
        State::Passed => State::Failed,
        State::Failed => State::Passed,
        State::Open => State::Open,
    };
    (state, judged.1)
}

fn line(id: &str, state: State, height: Option<Height>, title: &str) {
    let height = height.map_or_else(|| "-".to_owned(), |height| height.to_string());
    println!("{id} {state} {height} {title}");
}
