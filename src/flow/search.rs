//! What a request shows beside sessions and bearer tokens (specification section 3): a refresh token, a name
//! with a password, a client's id with its secret, an assertion. The first hit ends the search; whether it is any good is
//! not asked here.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Place;
use crate::config::{AuthMethod, Config, Named, Place as Where, Secret};
use crate::http::{Request, arguments};
use crate::oauth::token::ASSERTION_GRANT;

/// A credential that the token endpoint has to judge.
pub enum Shown {
    /// A refresh token.
    RefreshToken {
        /// The token.
        token: Secret,
        /// Where it was found.
        place: Place,
    },
    /// A name and its secret: a person's, a client's, or either.
    Pair {
        /// The name.
        name: String,
        /// The password, or the client's secret.
        secret: Secret,
        /// It may be a person's.
        is_password: bool,
        /// It may be a client's.
        is_client: bool,
        /// Where it was found.
        place: Place,
    },
    /// An assertion (RFC 7523 section 2.1).
    Assertion {
        /// The JWT: the provider judges it.
        assertion: Secret,
        /// Who shows it, with the secret of a client that has one, where it says so.
        client: Option<(String, Option<Secret>)>,
        /// Where it was found.
        place: Place,
    },
}

impl Shown {
    /// The way in that it means. A pair that may be either is a person's first.
    pub fn method(&self) -> AuthMethod {
        match self {
            Shown::RefreshToken { .. } => AuthMethod::RefreshToken,
            Shown::Pair {
                is_password: true, ..
            } => AuthMethod::Password,
            Shown::Pair { .. } | Shown::Assertion { .. } => AuthMethod::ClientCredentials,
        }
    }

    /// Whether a part of it is empty: what could not be read is, too. Nobody is asked about it.
    pub fn is_empty(&self) -> bool {
        match self {
            Shown::RefreshToken { token, .. } => token.expose().is_empty(),
            Shown::Pair { name, secret, .. } => name.is_empty() || secret.expose().is_empty(),
            Shown::Assertion {
                assertion, client, ..
            } => {
                let secret = |secret: &Secret| secret.expose().is_empty();
                let client = client
                    .as_ref()
                    .is_some_and(|(id, own)| id.is_empty() || own.as_ref().is_some_and(secret));
                client || secret(assertion)
            }
        }
    }
}

/// Whether one of these may stand in the body.
pub fn looks_in_body(config: &Config) -> bool {
    let lookup = &config.lookup;
    let pairs = [
        (AuthMethod::Password, &lookup.password),
        (AuthMethod::ClientCredentials, &lookup.client_credentials),
    ];
    let refresh = lookup.refresh_token.as_ref();
    pairs
        .iter()
        .any(|(method, places)| config.methods.has(*method) && places.contains(&Where::Body))
        || config.methods.has(AuthMethod::RefreshToken)
            && refresh.is_some_and(|named| named.places.contains(&Where::Body))
}

/// The first of these that the request shows.
pub fn find(config: &Config, request: &Request) -> Option<Shown> {
    let lookup = &config.lookup;
    let refresh = lookup
        .refresh_token
        .as_ref()
        .filter(|_| config.methods.has(AuthMethod::RefreshToken));
    if let Some((token, place)) = refresh.and_then(|named| token(named, request)) {
        return Some(Shown::RefreshToken { token, place });
    }
    let has_password = config.methods.has(AuthMethod::Password);
    let has_client = config.methods.has(AuthMethod::ClientCredentials);
    if has_password && let Some(shown) = pair(&lookup.password, ["username", "password"], request) {
        let in_header = matches!(shown.2, Place::Header(_));
        // The Basic header is read by both (HT-09b).
        let is_client =
            has_client && in_header && lookup.client_credentials.contains(&Where::Header);
        return Some(of_pair(shown, true, is_client));
    }
    let places = lookup.client_credentials.iter();
    places
        .filter(|_| has_client)
        .find_map(|place| client(*place, request))
}

/// What a client shows in one place: an assertion, or its id and secret.
fn client(place: Where, request: &Request) -> Option<Shown> {
    let by_assertion = match place {
        Where::Query => assertion(&|name| in_query(request, name), Place::Query),
        Where::Body => assertion(&|name| request.body().arguments(name), Place::Body),
        Where::Header | Where::Cookie => None,
    };
    by_assertion.or_else(|| {
        let shown = pair(&[place], ["client_id", "client_secret"], request)?;
        Some(of_pair(shown, false, true))
    })
}

/// An assertion, named as such: `assertion` alone may be the upstream's own argument. Whose it is may stand
/// beside it, and nowhere else.
fn assertion(
    values: &dyn Fn(&str) -> Vec<Vec<u8>>,
    place: fn(Vec<String>) -> Place,
) -> Option<Shown> {
    let one = |name: &str| one_of(values(name).iter().map(Vec::as_slice)).map(text);
    one("grant_type").filter(|grant| grant == ASSERTION_GRANT)?;
    let assertion = Secret::new(one("assertion")?);
    let client = one("client_id").map(|id| (id, one("client_secret").map(Secret::new)));
    let names = ["grant_type", "assertion", "client_id", "client_secret"];
    Some(Shown::Assertion {
        assertion,
        client,
        place: place(names.map(str::to_owned).into()),
    })
}

fn of_pair(
    (name, secret, place): (String, Secret, Place),
    is_password: bool,
    is_client: bool,
) -> Shown {
    Shown::Pair {
        name,
        secret,
        is_password,
        is_client,
        place,
    }
}

/// An ID token that accompanies an access token.
pub struct IdToken {
    /// The token.
    pub token: Secret,
    /// Where it was found.
    pub place: Place,
}

/// The ID token that the request shows (row D `id_token_param_name`): never a credential by itself.
pub fn id_token(config: &Config, request: &Request) -> Option<IdToken> {
    let (token, place) = token(config.lookup.id_token.as_ref()?, request)?;
    Some(IdToken { token, place })
}

/// Whether one may stand in the body.
pub fn id_token_in_body(config: &Config) -> bool {
    let named = config.lookup.id_token.as_ref();
    named.is_some_and(|named| named.places.contains(&Where::Body))
}

/// A token with a name of its own.
fn token(named: &Named, request: &Request) -> Option<(Secret, Place)> {
    let in_header = || {
        let value = one_of(request.headers.all(&named.header))?;
        let (word, rest) = value.split_at_checked(7).unwrap_or_default();
        let token = if word.eq_ignore_ascii_case(b"bearer ") {
            rest.trim_ascii()
        } else {
            value
        };
        Some((text(token), Place::Header(named.header.clone().into())))
    };
    let in_arguments = |values: Vec<Vec<u8>>, place: fn(Vec<String>) -> Place| {
        let token = one_of(values.iter().map(Vec::as_slice))?;
        Some((text(token), place(vec![named.argument.clone()])))
    };
    let found = named.places.iter().find_map(|place| match place {
        Where::Header => in_header(),
        Where::Query => in_arguments(in_query(request, &named.argument), Place::Query),
        Where::Body => in_arguments(request.body().arguments(&named.argument), Place::Body),
        Where::Cookie => None,
    });
    let (token, place) = found?;
    Some((Secret::new(token), place))
}

/// A pair in the first of these places that shows both its parts.
fn pair(places: &[Where], names: [&str; 2], request: &Request) -> Option<(String, Secret, Place)> {
    places.iter().find_map(|place| match place {
        Where::Header => {
            let (name, secret) = basic(request)?;
            Some((name, secret, Place::Header("authorization".into())))
        }
        Where::Query => of_arguments(&names, &|name| in_query(request, name), Place::Query),
        Where::Body => of_arguments(&names, &|name| request.body().arguments(name), Place::Body),
        Where::Cookie => None,
    })
}

fn of_arguments(
    names: &[&str; 2],
    values: &dyn Fn(&str) -> Vec<Vec<u8>>,
    place: fn(Vec<String>) -> Place,
) -> Option<(String, Secret, Place)> {
    let one = |name: &str| {
        let values = values(name);
        one_of(values.iter().map(Vec::as_slice)).map(text)
    };
    let [name, secret] = names;
    let (name, secret) = (one(name)?, one(secret)?);
    let names = names.map(str::to_owned).into();
    Some((name, Secret::new(secret), place(names)))
}

/// The pair in a Basic header (RFC 7617 section 2). What cannot be read is a pair that is no good: nobody
/// gets to log in by sending one.
fn basic(request: &Request) -> Option<(String, Secret)> {
    let value = one_of(request.headers.all("authorization"))?;
    let (word, rest) = value.split_at_checked(6)?;
    if !word.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let decoded = STANDARD.decode(rest.trim_ascii()).unwrap_or_default();
    let decoded = String::from_utf8(decoded).unwrap_or_default();
    let (name, secret) = decoded.split_once(':').unwrap_or_default();
    Some((name.to_owned(), Secret::new(secret.to_owned())))
}

fn in_query(request: &Request, name: &str) -> Vec<Vec<u8>> {
    let query = request.query().unwrap_or_default();
    arguments(query, name).take(2).collect()
}

/// The only value; of several none is believed, yet something was shown: a credential that fails.
fn one_of<'a>(mut values: impl Iterator<Item = &'a [u8]>) -> Option<&'a [u8]> {
    match (values.next(), values.next()) {
        (first, None) => first,
        (_, Some(_)) => Some(b""),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
