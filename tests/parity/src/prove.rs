//! Whether a test notices that a field was put back to its default.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::{Test, workspace};

/// The programs of `tests/flow`, by the names of their files.
pub struct Programs(BTreeMap<String, PathBuf>);

/// What `tests/flow` prints: the configuration had the field.
const DROPPED: &str = "neutralised: ";
/// The rest was refused, so that nothing was seen.
const REFUSED: &str = "neutralised configuration refused: ";

impl Programs {
    /// Builds the tests.
    ///
    /// # Errors
    /// When cargo cannot build them.
    pub fn build() -> Result<Programs, Box<dyn Error>> {
        let arguments = [
            "test",
            "-q",
            "-p",
            "flow",
            "--no-run",
            "--message-format=json",
        ];
        let output = Command::new("cargo")
            .args(arguments)
            .current_dir(workspace())
            .stderr(Stdio::inherit())
            .output()?;
        if !output.status.success() {
            return Err("the tests do not build".into());
        }
        let mut programs = BTreeMap::new();
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            let message: Value = serde_json::from_str(line).unwrap_or_default();
            let target = &message["target"];
            let is_test = target["kind"]
                .as_array()
                .is_some_and(|kinds| kinds.contains(&"test".into()));
            if let (true, Some(name), Some(program)) = (
                is_test,
                target["name"].as_str(),
                message["executable"].as_str(),
            ) {
                programs.insert(name.to_owned(), PathBuf::from(program));
            }
        }
        Ok(Programs(programs))
    }

    /// Those of these tests that do not pass as they are, or are not there.
    ///
    /// # Errors
    /// When a program cannot be started.
    pub fn failing(&self, tests: &BTreeSet<Test>) -> Result<BTreeSet<Test>, Box<dyn Error>> {
        let mut failing = BTreeSet::new();
        for test in tests {
            let Some((passed, output)) = self.run(test, None)? else {
                failing.insert(test.clone());
                continue;
            };
            if !passed || !output.contains("1 passed") {
                failing.insert(test.clone());
            }
        }
        Ok(failing)
    }

    /// Why this test does not show the effect of the field; `None` where it does.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn doubt(&self, test: &Test, field: &str) -> Result<Option<String>, Box<dyn Error>> {
        let Some((passed, output)) = self.run(test, Some(field))? else {
            return Ok(Some("the test is not there".to_owned()));
        };
        let doubt = if passed {
            "the test passes without the field"
        } else if output.contains(REFUSED) {
            "without the field the configuration is refused, so that no effect is seen"
        } else if !output.contains(DROPPED) {
            "the test does not set the field"
        } else {
            return Ok(None);
        };
        Ok(Some(doubt.to_owned()))
    }

    fn run(
        &self,
        test: &Test,
        field: Option<&str>,
    ) -> Result<Option<(bool, String)>, Box<dyn Error>> {
        let Some(program) = self.0.get(&test.target) else {
            return Ok(None);
        };
        let mut command = Command::new(program);
        command
            .args(["--exact", &test.name])
            .current_dir(workspace().join("tests/flow"))
            .env_remove("OIDC_FILTER_CONTROL")
            .env_remove("OIDC_FILTER_NEUTRALISE")
            .stdin(Stdio::null());
        command.envs(field.map(|field| ("OIDC_FILTER_NEUTRALISE", field)));
        let output = command.output()?;
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        Ok(Some((output.status.success(), text)))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// A program in the place of a test, which does this where a field is taken away.
    fn doubt(name: &str, without: &str) -> Option<String> {
        let program = std::env::temp_dir().join(format!("parity-{name}-{}", std::process::id()));
        let text = format!("#!/bin/sh\n[ -z \"$OIDC_FILTER_NEUTRALISE\" ] && exit 0\n{without}\n");
        fs::write(&program, text).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let programs = Programs(BTreeMap::from([("target".to_owned(), program.clone())]));
        let test = Test {
            target: "target".to_owned(),
            name: "test".to_owned(),
        };
        let doubt = programs.doubt(&test, "leeway").unwrap();
        fs::remove_file(program).unwrap();
        doubt
    }

    #[test]
    fn only_a_test_that_fails_because_the_field_is_gone_proves_it() {
        let gone = "echo 'neutralised: leeway'";
        assert_eq!(doubt("notices", &format!("{gone}; exit 1")), None);
        let not = |name: &str, without: &str, why: &str| {
            let doubt = doubt(name, without).unwrap_or_else(|| panic!("{name} is believed"));
            assert!(doubt.contains(why), "{name}: {doubt}");
        };
        not("passes", gone, "passes without the field");
        let refused = format!("{gone}; echo 'neutralised configuration refused: leeway'; exit 1");
        not("refused", &refused, "is refused");
        not("elsewhere", "exit 1", "does not set the field");
        let absent = Test {
            target: "absent".to_owned(),
            name: "test".to_owned(),
        };
        let programs = Programs(BTreeMap::new());
        assert!(programs.doubt(&absent, "leeway").unwrap().is_some());
        assert_eq!(
            programs.failing(&BTreeSet::from([absent])).unwrap().len(),
            1
        );
    }
}
