//! Our `routes`: other rules for a part of the requests.
//!
//! Each route is a whole configuration: the outer members, with its own in their place. So nobody after this
//! point knows where a member came from, and every rule of the reader holds for a route as it does outside.

use std::rc::Rc;

use serde_json::{Map, Value};

use super::document::{self, Document};
use super::error::{ConfigError, MOST_ERRORS, Warning};
use super::reader::Reader;
use super::{Config, fields};
use crate::http::{Request, readings};

/// The most routes: each is a configuration with caches of its own.
const MOST_ROUTES: usize = 256;

/// What every route shares: the host's settings, the secret that seals cookies, and our own paths, which are
/// looked for before any route is chosen.
const FIXED: [&str; 15] = [
    "clusters",
    "trusted_ips",
    "consumers",
    "session_secret",
    "session_secrets_previous",
    "routes",
    "request_body",
    "shared_data",
    "login_path",
    "session_info_path",
    "backchannel_logout_path",
    "frontchannel_logout_path",
    "jwks_path",
    "resource_metadata_path",
    "status_path",
];

/// Whether a route cannot have a member of its own.
pub(super) fn is_fixed(name: &str) -> bool {
    FIXED.contains(&name)
}

/// All routes, in order: the first that matches counts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Routes {
    list: Vec<Route>,
}

/// One route.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    matches: Match,
    /// What holds for its requests.
    pub then: Then,
}

/// What holds for the requests of a route.
#[derive(Clone, Debug, PartialEq)]
pub enum Then {
    /// This configuration.
    Overlay(Rc<Config>),
    /// Nothing is asked of them.
    Disabled,
}

/// Which requests a route is for. A list that is not there holds for all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Match {
    hosts: Vec<Host>,
    paths: Vec<Path>,
    methods: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    Exact(String),
    /// `*.example.com`, without the asterisk: any name that ends so.
    Below(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Path {
    Exact(String),
    /// `/a/*`, without what follows `/a`: this path, and all below it.
    Below(String),
}

impl Route {
    /// What names it in the `state` of a login, through changes of the configuration: a hash of what it
    /// matches.
    pub fn id(&self) -> String {
        use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
        use sha2::{Digest, Sha256};
        let hash = Sha256::digest(format!("{:?}", self.matches));
        BASE64_URL_SAFE_NO_PAD.encode(hash.first_chunk::<9>().unwrap_or(&[0; 9]))
    }
}

/// Why no route can be chosen: what the filter and the upstream might read differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ambiguous {
    /// The path.
    Path,
    /// The host.
    Host,
    /// The method.
    Method,
}

impl Ambiguous {
    /// The stable code of the refusal.
    pub fn code(self) -> &'static str {
        match self {
            Ambiguous::Path => "path_ambiguous",
            Ambiguous::Host => "host_ambiguous",
            Ambiguous::Method => "method_ambiguous",
        }
    }

    /// Why it is refused.
    pub fn reason(self) -> &'static str {
        match self {
            Ambiguous::Path => {
                "servers could read the path differently, and other rules would hold then"
            }
            Ambiguous::Host => "`routes` name hosts, and the request's is no plain name",
            Ambiguous::Method => "the method is not in capitals, and other rules would hold then",
        }
    }
}

impl Routes {
    /// Whether nothing is asked of this request.
    pub fn disable(&self, request: &Request) -> bool {
        let chosen = self.choose(request).ok().flatten();
        let route = chosen.and_then(|number| self.list.get(number));
        route.is_some_and(|route| route.then == Then::Disabled)
    }

    /// The routes.
    pub fn iter(&self) -> impl Iterator<Item = &Route> {
        self.list.iter()
    }

    /// The number of the route that this request is one of; `None` for the outer configuration.
    ///
    /// Where the request could be read in several ways, all of them must come to the same.
    pub fn choose(&self, request: &Request) -> Result<Option<usize>, Ambiguous> {
        if self.list.is_empty() {
            return Ok(None);
        }
        let any = |looks: fn(&Match) -> bool| self.list.iter().any(|route| looks(&route.matches));
        let host = if any(|matches| !matches.hosts.is_empty()) {
            host_of(request).ok_or(Ambiguous::Host)?
        } else {
            String::new()
        };
        let method = request.method();
        let path = request.path().unwrap_or_default();
        let first = self.first(&host, method, path);
        if any(|matches| !matches.methods.is_empty()) {
            let loud = method.to_ascii_uppercase();
            if self.first(&host, &loud, path) != first {
                return Err(Ambiguous::Method);
            }
        }
        if any(|matches| !matches.paths.is_empty()) {
            // `*` is the whole server (RFC 9110 section 7.1); anything else would be a URL.
            if !path.starts_with(b"/") && path != b"*" {
                return Err(Ambiguous::Path);
            }
            let all = readings(path).ok_or(Ambiguous::Path)?;
            let all = all
                .iter()
                .map(Vec::as_slice)
                .chain(request.host_path.as_deref());
            for reading in all {
                if self.first(&host, method, reading) != first {
                    return Err(Ambiguous::Path);
                }
            }
        }
        Ok(first)
    }

    fn first(&self, host: &str, method: &[u8], path: &[u8]) -> Option<usize> {
        let mut list = self.list.iter();
        list.position(|route| route.matches.holds(host, method, path))
    }
}

impl Match {
    fn holds(&self, host: &str, method: &[u8], path: &[u8]) -> bool {
        let hosts = &self.hosts;
        let methods = &self.methods;
        (self.paths.is_empty() || self.paths.iter().any(|one| one.holds(path)))
            && (methods.is_empty() || methods.iter().any(|one| one.as_bytes() == method))
            && (hosts.is_empty() || hosts.iter().any(|one| one.holds(host)))
    }
}

impl Path {
    fn holds(&self, path: &[u8]) -> bool {
        match self {
            Path::Exact(own) => own.as_bytes() == path,
            Path::Below(own) => path
                .strip_prefix(own.as_bytes())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/")),
        }
    }

    fn parse(text: &str) -> Result<Path, String> {
        let (bare, below) = match text.strip_suffix("/*") {
            Some(bare) => (bare, true),
            None => (text, false),
        };
        if !text.starts_with('/') {
            return Err(
                "begins with no slash; write a path like `/exact` or `/below/*`".to_owned(),
            );
        }
        let plain = |byte: u8| byte.is_ascii_graphic() && !b"%;\\?#*".contains(&byte);
        let segments = bare.strip_prefix('/').unwrap_or(bare).split('/');
        let last = segments.clone().count().saturating_sub(1);
        let strange = segments.enumerate().any(|(at, segment)| {
            matches!(segment, "." | "..")
                || segment.is_empty() && (at < last || below && !bare.is_empty())
        });
        if !bare.bytes().all(plain) || strange {
            return Err(
                "can be read in several ways, so that no request could match it; write a path of plain \
                 letters like `/exact` or `/below/*`, without `%`, `;`, `\\`, `//`, dot segments or a query"
                    .to_owned(),
            );
        }
        let bare = bare.to_owned();
        Ok(if below {
            Path::Below(bare)
        } else {
            Path::Exact(bare)
        })
    }
}

impl Host {
    fn holds(&self, host: &str) -> bool {
        match self {
            Host::Exact(own) => own == host,
            // With its dot: `evil-example.com` is not below `example.com`.
            Host::Below(own) => host.len() > own.len() && host.ends_with(own),
        }
    }

    fn parse(text: &str) -> Result<Host, String> {
        let lower = text.to_ascii_lowercase();
        let (name, below) = match lower.strip_prefix('*') {
            Some(rest) if rest.starts_with('.') => (rest, true),
            _ => (lower.as_str(), false),
        };
        let bare = name.strip_prefix('.').filter(|_| below).unwrap_or(name);
        let fits = is_name(bare) || !below && is_v6(bare);
        if !fits || bare.ends_with('.') {
            return Err("is no host; write a name without a port, like `api.example.com` or `*.example.com`".to_owned());
        }
        Ok(if below {
            Host::Below(name.to_owned())
        } else {
            Host::Exact(name.to_owned())
        })
    }
}

fn is_name(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    !text.is_empty() && text.bytes().all(fits)
}

fn is_v6(text: &str) -> bool {
    let inner = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let fits = |byte: u8| byte.is_ascii_hexdigit() || b":.".contains(&byte);
    inner.is_some_and(|inner| !inner.is_empty() && inner.bytes().all(fits))
}

/// The host that a request is for, in lower case and without its port; empty where it names none, `None`
/// where that is no plain host. `X-Forwarded-Host` is never looked at.
fn host_of(request: &Request) -> Option<String> {
    let Some(authority) = request.headers.first(":authority") else {
        return Some(String::new());
    };
    let text = std::str::from_utf8(authority).ok()?;
    let digits = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    let bare = match text.rsplit_once(':') {
        Some((bare, port)) if digits(port) && (is_v6(bare) || !bare.contains(':')) => bare,
        _ => text,
    };
    let bare = bare.strip_suffix('.').unwrap_or(bare);
    (is_name(bare) || is_v6(bare)).then(|| bare.to_ascii_lowercase())
}

/// What `routes` says before it is laid over the outer members.
pub(super) struct Sketch {
    index: usize,
    matches: Match,
    /// `None`: disabled.
    own: Option<Map<String, Value>>,
}

/// Reads the list itself.
pub(super) fn sketch(document: &mut Document) -> (Vec<Sketch>, Vec<ConfigError>) {
    let mut members = Map::new();
    members.insert("routes".to_owned(), document.routes.take());
    let mut reader = Reader::of_members(members);
    let mut sketches: Vec<Sketch> = Vec::new();
    let entries = reader.objects("routes");
    if entries.len() > MOST_ROUTES {
        reader.error("routes", format!("has more than {MOST_ROUTES} elements"));
    }
    for (index, mut route) in entries.into_iter().take(MOST_ROUTES) {
        let at = format!("routes[{index}]");
        let matches = Match::read(&mut reader, &at, route.remove("match"));
        let disabled = match route.remove("disabled") {
            None => None,
            Some(Value::Bool(flag)) => Some(flag),
            Some(_) => {
                reader.error(&format!("{at}.disabled"), "write true or false");
                continue;
            }
        };
        let own = match (route.remove("config"), disabled) {
            (Some(Value::Object(own)), None | Some(false)) => Some(own),
            // So Kong may write an empty object.
            (Some(Value::Array(list)), None | Some(false)) if list.is_empty() => Some(Map::new()),
            (Some(_), None | Some(false)) => {
                reader.error(
                    &format!("{at}.config"),
                    "write an object with the members that differ here",
                );
                continue;
            }
            (None, Some(true)) => None,
            // As outside: an exception from the routes behind it.
            (None, Some(false)) => Some(Map::new()),
            (Some(_), Some(true)) => {
                reader.error(&at, "has a `config` and is disabled; remove one of them");
                continue;
            }
            (None, None) => {
                reader.error(
                    &at,
                    "says nothing; write a `config`, or `\"disabled\": true`",
                );
                continue;
            }
        };
        for name in own.iter().flat_map(Map::keys).filter(|name| is_fixed(name)) {
            let text = "holds for all routes; write it outside of `routes`";
            reader.error(&format!("{at}.config.{name}"), text);
        }
        if sketches.iter().any(|before| before.matches == matches) {
            let text = "is the same as that of a route before it, so this one is never chosen";
            reader.error(&format!("{at}.match"), text);
        }
        sketches.push(Sketch {
            index,
            matches,
            own,
        });
    }
    let errors = reader.finish(Some(())).err().unwrap_or_default();
    (sketches, errors)
}

impl Match {
    fn read(reader: &mut Reader, at: &str, value: Option<Value>) -> Match {
        let at = format!("{at}.match");
        let Some(Value::Object(mut members)) = value else {
            reader.error(
                &at,
                "is required; write an object with `hosts`, `paths` or `methods`",
            );
            return Match::default();
        };
        if members.is_empty() {
            reader.error(
                &at,
                "would match every request; name `hosts`, `paths` or `methods`",
            );
        }
        let mut list = |name: &str| {
            let at = format!("{at}.{name}");
            members.remove(name).map(|value| (at, value))
        };
        let (hosts, paths, methods) = (list("hosts"), list("paths"), list("methods"));
        Match {
            hosts: named(reader, hosts, Host::parse),
            paths: named(reader, paths, Path::parse),
            methods: named(reader, methods, method),
        }
    }
}

/// A list that names something, if it is there at all.
fn named<T>(
    reader: &mut Reader,
    list: Option<(String, Value)>,
    parse: fn(&str) -> Result<T, String>,
) -> Vec<T> {
    let Some((at, value)) = list else {
        return Vec::new();
    };
    let read = reader.list_of(&at, value, parse);
    if read.is_empty() {
        reader.error(
            &at,
            "is an empty list; name at least one value, or remove it",
        );
    }
    read
}

/// RFC 9110 section 9.1: methods are told apart by case, and all that are registered are in capitals.
fn method(text: &str) -> Result<String, String> {
    let fits = |byte: u8| byte.is_ascii_uppercase() || byte == b'-';
    if text.is_empty() || !text.bytes().all(fits) {
        return Err("is no method; write it in capital letters, like `GET`".to_owned());
    }
    Ok(text.to_owned())
}

/// Lays the routes over the outer members.
pub(super) fn lay(
    members: &Map<String, Value>,
    sketches: Vec<Sketch>,
    outer: &[ConfigError],
    errors: &mut Vec<ConfigError>,
    warnings: &mut Vec<Warning>,
) -> Routes {
    let mut routes = Routes::default();
    for Sketch {
        index,
        matches,
        own,
    } in sketches
    {
        let Some(own) = own else {
            let then = Then::Disabled;
            routes.list.push(Route { matches, then });
            continue;
        };
        if errors.len() >= MOST_ERRORS {
            break;
        }
        let (own, document) = overlaid(members, own);
        let place = |path: &str| {
            let rest = path.strip_prefix("config").unwrap_or(path);
            format!("config.routes[{index}].config{rest}")
        };
        let is_own = |path: &str| {
            let rest = path.strip_prefix("config.").unwrap_or(path);
            let name = rest.split(['.', '[']).next().unwrap_or_default();
            path == "config" || own.contains_key(name)
        };
        match Config::of(document) {
            Ok((config, found)) => {
                let then = Then::Overlay(Rc::new(config));
                let found = found.into_iter().filter(|warning| is_own(&warning.path));
                warnings.extend(found.map(|warning| Warning {
                    path: place(&warning.path),
                    message: warning.message,
                }));
                routes.list.push(Route { matches, then });
            }
            Err(found) => errors.extend(
                found
                    .into_iter()
                    // What is wrong outside is told there.
                    .filter(|error| is_own(&error.path) || !outer.contains(error))
                    .map(|error| ConfigError {
                        path: place(&error.path),
                        message: error.message,
                    }),
            ),
        }
    }
    routes
}

/// Whole members at a time; a null puts the default in force (or switches it off, where a null does). Gives the
/// route's own members under the names that they have now.
fn overlaid(
    members: &Map<String, Value>,
    mut own: Map<String, Value>,
) -> (Map<String, Value>, Document) {
    let mut errors = Vec::new();
    let warnings = document::rename(&mut own, &mut errors);
    fields::judge("", "config.", &own, &mut errors);
    let mut whole = members.clone();
    // What cannot be overlaid was told already.
    let laid = own.iter().filter(|(name, _)| !is_fixed(name));
    whole.extend(laid.map(|(name, value)| (name.clone(), value.clone())));
    let document = Document {
        members: whole,
        routes: Value::Null,
        errors,
        warnings,
    };
    (own, document)
}
