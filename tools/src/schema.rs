//! `oidc-filter schema`.

use std::io::{self, Write};
use std::process::ExitCode;

use oidc_filter::config::schema::draft4;
use serde_json::{Value, json};

/// Prints the schema, or Kong's meta file around it.
pub fn run(kong: bool) -> ExitCode {
    let document = if kong { meta() } else { draft4() };
    match writeln!(io::stdout(), "{document:#}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("cannot write: {why}");
            ExitCode::FAILURE
        }
    }
}

/// What Kong reads beside the module: `<name>.meta.json`.
fn meta() -> Value {
    json!({ "config_schema": draft4() })
}
