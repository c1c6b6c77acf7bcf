//! `oidc-filter check`.

use std::fs;
use std::io::{self, Read};
use std::path::Path;
use std::process::ExitCode;

use oidc_filter::config::Config;

/// Checks the configuration in `file`.
pub fn run(file: &Path) -> ExitCode {
    let json = match read(file) {
        Ok(json) => json,
        Err(why) => {
            eprintln!("{}: {why}", file.display());
            return ExitCode::FAILURE;
        }
    };
    match Config::parse(&json, &|name| std::env::var(name).ok()) {
        Ok((config, warnings)) => {
            for warning in warnings {
                println!("warning: {warning}");
            }
            println!("good: {}", config.summary());
            ExitCode::SUCCESS
        }
        Err(errors) => {
            for error in errors {
                eprintln!("{error}");
            }
            ExitCode::FAILURE
        }
    }
}

fn read(file: &Path) -> io::Result<Vec<u8>> {
    if file == Path::new("-") {
        let mut json = Vec::new();
        io::stdin().read_to_end(&mut json)?;
        return Ok(json);
    }
    fs::read(file)
}
