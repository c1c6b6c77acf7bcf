//! Running the command, and comparing what it says with what it said.

#![allow(dead_code, reason = "each test uses a part")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// What a run of the command left.
pub struct Ran {
    pub good: bool,
    pub stdout: String,
    pub stderr: String,
}

/// Runs the command in `folder`, with these variables and without those of the tests' own environment.
pub fn run(arguments: &[&str], folder: &Path, variables: &[(&str, &str)]) -> Ran {
    let output = Command::new(env!("CARGO_BIN_EXE_oidc-filter"))
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .envs(variables.iter().copied())
        .output()
        .expect("the command runs");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    Ran {
        good: output.status.success(),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

/// An empty folder of this name.
pub fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder");
    folder
}

/// A file of `tools/tests/`.
pub fn own(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(name)
}

/// Compares `text` with the file. `OIDC_FILTER_UPDATE=1` writes it: read the difference before you commit it.
#[track_caller]
pub fn snapshot(file: &Path, text: &str) {
    if env::var_os("OIDC_FILTER_UPDATE").is_some() {
        fs::write(file, text).expect("writable");
    }
    let expected = fs::read_to_string(file).unwrap_or_default();
    if expected == text {
        return;
    }
    let mut lines = expected.lines().zip(text.lines()).enumerate();
    let difference = lines.find(|(_, (old, new))| old != new);
    panic!(
        "{} is out of date at {difference:?}; look, then run with OIDC_FILTER_UPDATE=1",
        file.display()
    );
}
