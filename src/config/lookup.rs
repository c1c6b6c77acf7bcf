//! Where credentials other than sessions and bearer tokens are looked for (row D).

use super::bearer::{PLACES, Place};
use super::client::Clients;
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
    /// Row D `id_token_param_name` and `id_token_param_type`: an ID token beside an access token. `None`: it has
    /// no name, so it is looked for nowhere.
    pub id_token: Option<Named>,
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
    pub(super) fn read(reader: &mut Reader, clients: &Clients) -> Lookup {
        let places = |reader: &mut Reader, name: &'static str| {
            let named = reader.choices(name, &PLACES[..3]);
            let empty = "names no place, so that nothing could be found";
            named.resolve(reader, empty)
        };
        let named = |reader: &mut Reader, name: &'static str, places: Vec<Place>| {
            let argument = reader.text(name);
            let header = reader.checked(name, mapped_header_name);
            argument.zip(header).map(|(argument, header)| Named {
                argument,
                header,
                places,
            })
        };
        let refresh_places = places(reader, "refresh_token_param_type");
        let refresh_token = named(reader, "refresh_token_param_name", refresh_places);
        let id_places = places(reader, "id_token_param_type");
        let id_token = named(reader, "id_token_param_name", id_places);
        let name = |named: &Option<Named>| named.as_ref().map(|named| named.header.clone());
        if id_token.is_some() && name(&id_token) == name(&refresh_token) {
            let text = "is the name of the refresh token as well; choose another";
            reader.error("id_token_param_name", text);
        }
        if id_token.is_some() && clients.first().id.is_none() && !reader.failed("client_id") {
            let text = "is required, since an ID token is for a client of ours (`id_token_param_name`); write the client's id";
            reader.error("client_id", text);
        }
        Lookup {
            client_credentials: places(reader, "client_credentials_param_type"),
            password: places(reader, "password_param_type"),
            refresh_token,
            id_token,
        }
    }
}
