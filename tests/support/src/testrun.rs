//! Runs the project's tests with cargo, and reads what came of each.

use std::io::{self, BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// A test, or a whole run, that hangs ends after this time. No run of ours takes a fourth of it.
const PATIENCE: Duration = Duration::from_secs(30 * 60);

/// What to run.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// Package.
    pub package: &'static str,
    /// Further arguments of `cargo test`, such as features.
    pub cargo: &'static [&'static str],
    /// Only tests whose path holds one of these; all where empty.
    pub filters: &'static [&'static str],
    /// Variables of the environment.
    pub env: Vec<(String, String)>,
    /// Print what cargo prints, as it comes.
    pub verbose: bool,
}

/// One test and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Its path in its package.
    pub name: String,
    /// Whether it passed.
    pub passed: bool,
}

/// All that a run told.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The tests, in the order of their ends.
    pub tests: Vec<Outcome>,
    /// The runner itself failed: the code does not compile, a test process died, or time ran out.
    pub broken: Option<String>,
    /// All lines.
    pub output: Vec<String>,
}

impl Report {
    /// How many passed.
    #[must_use]
    pub fn passed(&self) -> usize {
        self.tests.iter().filter(|test| test.passed).count()
    }

    /// How many failed; a runner that broke counts as one.
    #[must_use]
    pub fn failed(&self) -> usize {
        let failed = self.tests.iter().filter(|test| !test.passed).count();
        failed + usize::from(self.broken.is_some())
    }
}

impl Run {
    /// Runs the tests to their end.
    ///
    /// # Errors
    /// When cargo cannot be started.
    pub fn execute(&self) -> io::Result<Report> {
        let mut command = Command::new("cargo");
        command
            .args(["test", "--no-fail-fast", "-p", self.package])
            .args(self.cargo)
            .arg("--")
            .args(self.filters)
            .envs(self.env.iter().cloned())
            .current_dir(crate::workspace())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(if self.verbose {
                Stdio::inherit()
            } else {
                Stdio::piped()
            })
            .process_group(0);
        let mut child = command.spawn()?;
        let group = Pid::from_raw(i32::try_from(child.id()).map_err(io::Error::other)?);
        let (ended, watched) = mpsc::channel::<()>();
        let watchdog = thread::spawn(move || {
            let late = watched.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout);
            if late {
                let _ = killpg(group, Signal::SIGKILL);
            }
            late
        });
        // Both pipes are read, or cargo would wait for ever at a full one.
        let errors = child.stderr.take().map(|pipe| {
            thread::spawn(move || BufReader::new(pipe).lines().map_while(Result::ok).collect())
        });
        let mut report = Report::default();
        let stdout = child
            .stdout
            .take()
            .into_iter()
            .flat_map(|pipe| BufReader::new(pipe).lines());
        for line in stdout.map_while(Result::ok) {
            if self.verbose {
                println!("{line}");
            }
            report.tests.extend(outcome(&line));
            report.output.push(line);
        }
        let status = child.wait()?;
        drop(ended);
        let late = watchdog.join().unwrap_or(false);
        let errors: Vec<String> = errors
            .and_then(|thread| thread.join().ok())
            .unwrap_or_default();
        report.output.extend(errors);
        if late {
            report.broken = Some(format!("not done after {} s", PATIENCE.as_secs()));
        } else if !status.success() && report.tests.iter().all(|test| test.passed) {
            report.broken = Some(format!("cargo ended with {status}"));
        }
        Ok(report)
    }
}

/// A line of the test runner: `test path::of::test ... ok`.
fn outcome(line: &str) -> Option<Outcome> {
    let (name, result) = line.strip_prefix("test ")?.split_once(" ... ")?;
    let passed = match result.split(' ').next()? {
        "ok" => true,
        "FAILED" => false,
        _ => return None,
    };
    // Documentation tests: `src/lib.rs - item (line 3)`, and `name - should panic`.
    Some(Outcome {
        name: name.split(" - ").next()?.to_owned(),
        passed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_lines_of_the_test_runner() {
        let read = |line| outcome(line).map(|test| (test.name, test.passed));
        assert_eq!(
            read("test a::dx_11_b ... ok"),
            Some(("a::dx_11_b".to_owned(), true))
        );
        assert_eq!(
            read("test a - should panic ... FAILED"),
            Some(("a".to_owned(), false))
        );
        assert_eq!(read("test result: ok. 3 passed; 0 failed"), None);
        assert_eq!(read("running 3 tests"), None);
    }
}
