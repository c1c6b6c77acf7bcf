//! Where credentials other than sessions and bearer tokens are looked for (row D).

use super::bearer::{PLACES, Place};
use super::names::mapped_header_name;
use super::reader::Reader;

/// The places of these credentials, in search order: header, query, body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// Row D `client_credentials_param_type`, default all three.
    pub client_credentials: Vec<Place>,
    /// Row D `password_param_type`, default all three.
    pub password: Vec<Place>,
    /// Row D `refresh_token_param_name` and `refresh_token_param_type`. `None`: it has no name, so it is
    /// looked for nowhere.
    pub refresh_token: Option<Named>,
}

/// A credential with a name of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// As in a query, a form or JSON.
    pub argument: String,
    /// As a header: in lower case, hyphens for underscores.
    pub header: String,
    /// Where it is looked for.
    pub places: Vec<Place>,
}

impl Lookup {
    pub(super) fn read(reader: &mut Reader) -> Lookup {
        let places = |reader: &mut Reader, name: &'static str| {
            let named = reader.choices(name, &PLACES[..3]);
            let empty = "names no place, so that nothing could be found";
            named.resolve(reader, empty)
        };
        let refresh_places = places(reader, "refresh_token_param_type");
        let refresh_name = reader.text("refresh_token_param_name");
        let header = reader.checked("refresh_token_param_name", mapped_header_name);
        Lookup {
            client_credentials: places(reader, "client_credentials_param_type"),
            password: places(reader, "password_param_type"),
            refresh_token: refresh_name.zip(header).map(|(argument, header)| Named {
                argument,
                header,
                places: refresh_places,
            }),
        }
    }
}
