//! Our own paths: requests that the filter answers itself, whoever sends them.

use super::reader::Reader;
use crate::http::readings;

/// The paths, each off while it is not set. They are looked for before anything else, by the client's path,
/// letter by letter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnPaths {
    /// Our `jwks_path`: the public half of the keys in `client_jwk`.
    pub jwks: Option<String>,
    /// Our `status_path`: tells a probe that the filter is there.
    pub status: Option<String>,
}

impl OwnPaths {
    pub(super) fn read(reader: &mut Reader) -> OwnPaths {
        let mut taken: Vec<String> = Vec::new();
        let mut own = |reader: &mut Reader, name: &str| {
            let path = reader.checked(name, plain_path)?;
            if taken.contains(&path) {
                reader.error(
                    name,
                    "is another of our own paths already; choose another one",
                );
            }
            taken.push(path.clone());
            Some(path)
        };
        OwnPaths {
            jwks: own(reader, "jwks_path"),
            status: own(reader, "status_path"),
        }
    }
}

/// A path that nobody reads otherwise.
fn plain_path(text: &str) -> Result<String, String> {
    let one = readings(text.as_bytes()).is_some_and(|all| all.len() == 1);
    if !text.starts_with('/') || !one || text.contains('?') {
        return Err("is no plain path; write one like `/oidc/name`".to_owned());
    }
    Ok(text.to_owned())
}
