//! The command beside the filter: what can be said about a configuration without a proxy.

mod check;
mod convert;
mod keys;
mod reference;
mod schema;
mod yaml;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use check::Kind;
use convert::Target;
use keys::New;

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
    /// Of an Envoy bootstrap the clusters that lead to the provider are checked as well, and what Envoy is told
    /// about the filter. References to the environment are read from this command's environment.
    Check {
        /// The filter's JSON, an Envoy bootstrap, or a declarative file of Kong; `-` reads the standard input.
        file: PathBuf,
        /// What the file is; without it that is seen from the file.
        #[arg(long)]
        kind: Option<Kind>,
    },
    /// Turn a declarative file of Kong with `openid-connect` plugins into an Envoy bootstrap, or into filter chains.
    ///
    /// What cannot be carried over is named on standard error and at the top of the output. The output passes
    /// `check`; where it would not, there is none, and the fields that stand in the way are named.
    Convert {
        /// A declarative file of Kong; `-` reads the standard input.
        file: PathBuf,
        /// What it becomes.
        #[arg(long)]
        to: Target,
    },
    /// Print the reference of all fields, as Markdown.
    Reference,
    /// Make secrets and keys for a configuration.
    Keys {
        #[command(subcommand)]
        command: Keys,
    },
}

#[derive(Subcommand)]
enum Keys {
    /// Print a new secret or key: keep it where only the host can read it.
    New {
        #[command(subcommand)]
        what: New,
    },
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Schema { kong } => schema::run(kong),
        Command::Check { file, kind } => check::run(&file, kind),
        Command::Convert { file, to } => convert::run(&file, to),
        Command::Reference => reference::run(),
        Command::Keys {
            command: Keys::New { what },
        } => keys::run(&what),
    }
}
