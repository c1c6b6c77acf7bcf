//! What is wrong with a configuration, and where.

use std::fmt;

/// The most errors of one report. Further ones are not looked for: the work is bounded.
pub(super) const MOST_ERRORS: usize = 64;

/// One mistake: where it is, what is wrong, and what to write instead.
///
/// The message never repeats a configured value: any string may come from the environment and be a
/// secret that landed in the wrong member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The member, as in `config.upstream_headers[1].path`.
    pub path: String,
    /// What is wrong and what to write instead.
    pub message: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

impl std::error::Error for ConfigError {}

/// Something that works, but that the operator should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The member, as in `config.auth_methods`.
    pub path: String,
    /// What happens, and how to say it plainly.
    pub message: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}
