//! What the upstream gets to see: headers to strip, headers to set, the credential hidden.

mod names;
mod told;

pub use names::{OwnedNames, response_names};
pub use told::{Identity, Told};

use std::rc::Rc;

use crate::account::Account;
use crate::config::{Config, Place as Where, TokenHeader};
use crate::failure::{Kind, Refusal};
use crate::flow::{Credential, Place, bearer};
use crate::host::Abilities;
use crate::http::{
    Downstream, Request, arguments, cookie_names, strip_controls, without_arguments,
    without_cookies,
};

pub use crate::http::Pair;

/// The changes that a forwarded request gets.
pub struct Edits {
    /// Names, as the client spelt them, whose every copy goes.
    pub strip: Vec<Vec<u8>>,
    /// The claim headers, shared with the verdict.
    claims: Rc<[Pair]>,
    /// The token's header and what is left of Cookie.
    own: Vec<Pair>,
    /// What happens to the query.
    pub query: QueryEdit,
    /// It arrives as a GET without a body: the callback of a login that goes on.
    pub as_get: bool,
    /// The body that it gets instead of its own: the credential was cut out of it.
    pub body: Option<Vec<u8>>,
    /// What the client gets beside the upstream's response.
    pub downstream: Downstream,
    /// What the operator learns of it.
    pub account: Account,
}

/// What happens to the request's query.
#[derive(Debug, PartialEq, Eq)]
pub enum QueryEdit {
    /// It stays.
    Keep,
    /// The credential was cut out of it.
    Replace {
        /// The whole target with the new query.
        target: Vec<u8>,
        /// The new query alone; `None` when nothing was left.
        query: Option<Vec<u8>>,
    },
}

impl Edits {
    /// The headers to write, after the stripping.
    pub fn set(&self) -> impl Iterator<Item = &Pair> {
        self.claims.iter().chain(&self.own)
    }

    /// Edits for a request that goes on without an identity: everything that is ours is stripped.
    pub fn anonymous(
        request: &Request,
        names: &OwnedNames,
        abilities: Abilities,
    ) -> Result<Edits, Refusal> {
        let mut edits = Edits {
            strip: strip(request, names, None, abilities)?,
            claims: Rc::from([]),
            own: Vec::new(),
            query: QueryEdit::Keep,
            as_get: false,
            body: None,
            downstream: Downstream::default(),
            account: Account::default(),
        };
        edits.hide_cookies(request, &|name| names.owns_cookie(name), abilities)?;
        Ok(edits)
    }

    /// Edits for a request that was admitted on `credential`.
    pub fn authenticated(
        request: &Request,
        credential: Option<&Credential<'_>>,
        claims: &Rc<[Pair]>,
        config: &Config,
        names: &OwnedNames,
        abilities: Abilities,
    ) -> Result<Edits, Refusal> {
        let hidden = credential
            .filter(|_| config.methods.hide_credentials)
            .map(|credential| &credential.place);
        let mut own = Vec::new();
        // Another route may own the name; here it is what the client showed, and it was verified.
        let mut keep = match credential.map(|credential| &credential.place) {
            Some(Place::Header(name))
                if hidden.is_none() && !config.upstream.header_names().any(|own| own == name) =>
            {
                Some(name.as_bytes())
            }
            _ => None,
        };
        if let Some((header, credential)) =
            config.upstream.access_token_header.as_ref().zip(credential)
        {
            // Most clients send just what the upstream gets: then there is nothing to write.
            if header.is_written(request, &credential.token) {
                keep = Some(header.name.as_bytes());
            } else {
                own.push((
                    header.name.clone().into_bytes(),
                    header.value(&credential.token),
                ));
            }
        }
        let mut edits = Edits {
            strip: strip(request, names, keep, abilities)?,
            claims: claims.clone(),
            own,
            query: QueryEdit::Keep,
            as_get: false,
            body: None,
            downstream: Downstream::default(),
            account: Account::default(),
        };
        match hidden {
            Some(Place::Header(name)) => {
                let name = name.as_bytes();
                let stays = keep.is_some_and(|kept| kept == name);
                let goes_already = edits.strip.iter().any(|stripped| stripped == name);
                if !stays && !goes_already {
                    edits.strip.push(name.to_vec());
                }
            }
            Some(Place::Query(names)) => edits.query = without_credential(request, names),
            Some(Place::Body(names)) => edits.body = request.body().without(names),
            Some(Place::Session) => edits.hide_unused(request, config, abilities)?,
            Some(Place::Cookie(_)) | None => {}
        }
        let hidden_cookie = match hidden {
            Some(Place::Cookie(name)) => Some(name.as_bytes()),
            Some(Place::Session) => config.bearer.cookie_name.as_deref().map(str::as_bytes),
            _ => None,
        };
        let goes = |name: &[u8]| Some(name) == hidden_cookie || names.owns_cookie(name);
        edits.hide_cookies(request, &goes, abilities)?;
        Ok(edits)
    }

    /// Takes out what stands where a bearer token may: a session was used instead, and nobody looked at it.
    /// An upstream might.
    fn hide_unused(
        &mut self,
        request: &Request,
        config: &Config,
        abilities: Abilities,
    ) -> Result<(), Refusal> {
        if !config.methods.take_tokens() {
            return Ok(());
        }
        for name in bearer::header_names(config) {
            if request.headers.first(name).is_none() || self.writes(name) {
                continue;
            }
            if !abilities.removes_headers && request.headers.only(name).is_none() {
                return Err(Refusal::new(
                    Kind::BadRequest,
                    "credential_repeated",
                    format!("this host cannot hide `{name}` in several copies"),
                ));
            }
            self.strip.push(name.as_bytes().to_vec());
        }
        let query = request.query().unwrap_or_default();
        if config.bearer.looks_in(Where::Query)
            && arguments(query, bearer::ARGUMENT).next().is_some()
        {
            self.query = without_credential(request, &[bearer::ARGUMENT]);
        }
        Ok(())
    }

    /// Sets these headers as well. What is set already stays: it came from who is believed first.
    pub fn add(&mut self, headers: Vec<Pair>) {
        for pair in headers {
            if !self.set().any(|(own, _)| *own == pair.0) {
                self.own.push(pair);
            }
        }
    }

    /// Hides what stood in `place` as well as the credential that stood in `first`. A header is hidden by its name
    /// ([`OwnedNames`]).
    pub fn hide_as_well(&mut self, request: &Request, first: &Place, place: &Place) {
        match place {
            Place::Query(names) => {
                let mut all = names.clone();
                if let Place::Query(before) = first {
                    all.extend(before.iter().cloned());
                }
                self.query = without_credential(request, &all);
            }
            Place::Body(names) => {
                let mut all = names.clone();
                if let Place::Body(before) = first {
                    all.extend(before.iter().cloned());
                }
                self.body = request.body().without(&all);
            }
            Place::Header(_) | Place::Cookie(_) | Place::Session => {}
        }
    }

    /// Whether a header of this name is set or goes already.
    fn writes(&self, name: &str) -> bool {
        let name = name.as_bytes();
        self.strip.iter().any(|own| own == name) || self.set().any(|(own, _)| own == name)
    }

    /// Makes an ordinary request of a login's callback: a GET with this query, and nothing of a form.
    pub fn replace_callback(&mut self, request: &Request, query: Option<Vec<u8>>) {
        let path = request.path().unwrap_or(b"/");
        let target = match &query {
            Some(query) => [path, b"?", query].concat(),
            None => path.to_vec(),
        };
        self.query = QueryEdit::Replace { target, query };
        self.as_get = request.method() == b"POST";
    }

    /// Takes cookies out of the request: the credential's, and all of our own.
    fn hide_cookies(
        &mut self,
        request: &Request,
        goes: &dyn Fn(&[u8]) -> bool,
        abilities: Abilities,
    ) -> Result<(), Refusal> {
        if !cookie_names(&request.headers).any(goes) {
            return Ok(());
        }
        if !abilities.removes_headers && request.headers.only("cookie").is_none() {
            return Err(Refusal::new(
                Kind::BadRequest,
                "cookie_lines_repeated",
                "this host cannot hide a cookie among several Cookie lines",
            ));
        }
        self.strip.push(b"cookie".to_vec());
        if let Some(left) = without_cookies(&request.headers, goes) {
            self.own.push((b"cookie".to_vec(), left));
        }
        Ok(())
    }
}

impl TokenHeader {
    /// Whether the request's only header of this name is the one that the upstream gets. Not looked at
    /// byte by byte: it is, when the token was taken from there.
    fn is_written(&self, request: &Request, token: &str) -> bool {
        let sent = request.headers.only(&self.name);
        let sent = if self.bearer {
            sent.and_then(|value| value.strip_prefix(b"Bearer "))
        } else {
            sent
        };
        sent.is_some_and(|sent| std::ptr::eq(sent, token.as_bytes()))
    }

    /// The header's value for a token: with or without the word Bearer.
    pub fn value(&self, token: &str) -> Vec<u8> {
        if self.bearer {
            format!("Bearer {token}").into_bytes()
        } else {
            token.as_bytes().to_vec()
        }
    }
}

/// The headers that tell who somebody is in Kong (specification section 9.1). What is not there sets nothing.
pub fn consumer_headers(id: &str, username: Option<&str>, custom_id: Option<&str>) -> Vec<Pair> {
    [
        ("x-consumer-id", Some(id)),
        ("x-consumer-username", username),
        ("x-consumer-custom-id", custom_id),
    ]
    .into_iter()
    .filter_map(|(name, value)| text_header(name, value?))
    .collect()
}

/// A header with this text. An empty one is none.
pub fn text_header(name: &str, text: &str) -> Option<Pair> {
    let value = strip_controls(text.as_bytes());
    (!value.is_empty()).then(|| (name.as_bytes().to_vec(), value))
}

/// The client's copies of headers that only we may set, in every spelling.
///
/// Kong cannot remove a header, only overwrite the single copy of a name: there a repetition of a
/// protected name is refused, and so is any spelling with another separator than a hyphen.
fn strip(
    request: &Request,
    names: &OwnedNames,
    keep: Option<&[u8]>,
    abilities: Abilities,
) -> Result<Vec<Vec<u8>>, Refusal> {
    let mut strip: Vec<Vec<u8>> = Vec::new();
    for (name, _) in request.headers.iter() {
        if !names.owns(name) || keep == Some(name) {
            continue;
        }
        let repeated = strip.iter().any(|stripped| stripped == name);
        let plain = name
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-');
        if !abilities.removes_headers && (repeated || !plain) {
            return Err(Refusal::new(
                Kind::BadRequest,
                "protected_header_repeated",
                format!(
                    "the header `{}` is ours to set, and this host cannot remove a second copy or \
                     another spelling of it",
                    name.escape_ascii()
                ),
            ));
        }
        if !repeated {
            strip.push(name.to_vec());
        }
    }
    Ok(strip)
}

fn without_credential(request: &Request, names: &[impl AsRef<str>]) -> QueryEdit {
    let (Some(target), Some(query)) = (request.target(), request.query()) else {
        return QueryEdit::Keep;
    };
    let query = without_arguments(query, names);
    let mut edited: Vec<u8> = target
        .split(|byte| *byte == b'?')
        .next()
        .unwrap_or_default()
        .to_vec();
    if let Some(query) = &query {
        edited.push(b'?');
        edited.extend_from_slice(query);
    }
    QueryEdit::Replace {
        target: edited,
        query,
    }
}
