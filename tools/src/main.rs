//! The command beside the filter: what can be said about a configuration without a proxy.

mod check;
mod schema;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// OpenID Connect for Envoy and Kong: the command beside the filter.
#[derive(Parser)]
#[command(name = "oidc-filter", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Print the JSON Schema (draft 4) of the filter's configuration.
    Schema {
        /// Print Kong's `oidc-filter.meta.json`, which contains the schema.
        #[arg(long)]
        kong: bool,
    },
    /// Check a configuration; every mistake is printed with its path, and the exit status is 1.
    ///
    /// References to the environment are read from this command's environment.
    Check {
        /// The filter's JSON; `-` reads the standard input.
        file: PathBuf,
    },
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Schema { kong } => schema::run(kong),
        Command::Check { file } => check::run(&file),
    }
}
