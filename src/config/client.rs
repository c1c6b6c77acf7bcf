//! Who we are at the provider: one client, or several in step.

use std::rc::Rc;

use url::Url;

use super::client_auth::ClientAuth;
use super::issuer::http_url;
use super::login::without_fragment;
use super::names::header_name;
use super::reader::{Reader, one_of};
use super::secret::Secret;
use crate::jose::{Algorithm, PrivateJwk};

/// Our registrations at the provider (row C): never none, although the first may lack an id where no flow
/// needs one.
///
/// Kong's lists go in step: the first element of each is the first client's. Where a list is shorter,
/// its first element counts for those that have none of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clients {
    first: Client,
    others: Vec<Client>,
    /// Row C `client_arg`, default `client_id`: how a request names one of them.
    pub argument: ClientArgument,
}

/// One client, complete.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Client {
    /// Row C `client_id`: never empty.
    pub id: Option<String>,
    /// Row C `client_secret`: never empty. The first client's is also the key of HS256, HS384 and HS512
    /// signatures.
    pub secret: Option<Secret>,
    /// Row C `client_auth`: how it authenticates at the provider's endpoints.
    pub auth: Option<ClientAuth>,
    /// Row C `client_alg`: what it signs with.
    pub alg: Option<Algorithm>,
    /// Row C `client_jwk`: the key that it signs with.
    pub key: Option<Rc<PrivateJwk>>,
    /// Row E `redirect_uri`: where the provider sends the browser. `None`: to the request that began the
    /// login.
    pub redirect_uri: Option<Url>,
    /// Row J `login_redirect_uri`. `None`: to the URL that began the login.
    pub login_redirect: Option<Url>,
    /// Row I `logout_redirect_uri`: where the browser ends up.
    pub logout_redirect: Option<Url>,
    /// Row K `unauthorized_redirect_uri`: where to send the client instead of a 401.
    pub unauthorized_redirect: Option<Url>,
    /// Row K `forbidden_redirect_uri`: where to send the client instead of a 403.
    pub forbidden_redirect: Option<Url>,
    /// Row K `unexpected_redirect_uri`: where to send the client instead of a 500.
    pub unexpected_redirect: Option<Url>,
}

/// The name under which a request says which client it means, in its three spellings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientArgument {
    /// As in a query or a form.
    pub name: String,
    /// As headers: `x-client-id` and `client-id`, the first one wins.
    pub headers: [String; 2],
}

impl Clients {
    /// The client in force where a request names none.
    pub fn first(&self) -> &Client {
        &self.first
    }

    /// Whether there is a choice.
    pub fn are_several(&self) -> bool {
        !self.others.is_empty()
    }

    /// All of them, in the order of the configuration.
    pub fn iter(&self) -> impl Iterator<Item = &Client> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// The client at this place, 0 for the first.
    pub fn at(&self, index: usize) -> Option<&Client> {
        self.iter().nth(index)
    }

    /// The ids, in their order.
    pub fn ids(&self) -> Vec<String> {
        self.iter().filter_map(|client| client.id.clone()).collect()
    }

    /// The client that a request means, and its place: by its id, or by its number from 1 (specification
    /// section 5).
    pub fn named(&self, text: &str) -> Option<(usize, &Client)> {
        let by_id = self
            .iter()
            .position(|client| client.id.as_deref() == Some(text));
        let by_number = || {
            let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            let number: usize = plain.then(|| text.parse().ok()).flatten()?;
            number.checked_sub(1)
        };
        let index = by_id.or_else(by_number)?;
        Some((index, self.at(index)?))
    }

    pub(super) fn read(reader: &mut Reader) -> Clients {
        let ids = reader.names("client_id");
        let lists = Lists {
            secrets: reader.texts("client_secret"),
            auth: reader.list("client_auth", ClientAuth::parse),
            algs: reader.list("client_alg", algorithm),
            keys: keys(reader),
            redirect_uris: reader.list("redirect_uri", without_fragment),
            login: reader.list("login_redirect_uri", http_url),
            logout: reader.list("logout_redirect_uri", http_url),
            unauthorized: reader.list("unauthorized_redirect_uri", http_url),
            forbidden: reader.list("forbidden_redirect_uri", http_url),
            unexpected: reader.list("unexpected_redirect_uri", http_url),
        };
        lists.check(reader, ids.len());
        let mut ids = ids.into_iter();
        let first = lists.client(0, ids.next());
        let others = ids
            .enumerate()
            .map(|(before, id)| lists.client(before.saturating_add(1), Some(id)))
            .collect();
        Clients {
            first,
            others,
            argument: ClientArgument::read(reader),
        }
    }

    /// For flows that call the provider as one of these clients: each method must be one that is built, and
    /// go with what its client has to show. `endpoints` are the fields that name the method of one
    /// endpoint, which then counts for all clients.
    pub(super) fn check_authentication(
        &self,
        reader: &mut Reader,
        endpoints: &[(&str, Option<ClientAuth>)],
    ) {
        let configured = reader.texts("client_auth").len();
        for (index, client) in self.iter().enumerate() {
            let own = format!(
                "client_auth[{}]",
                if index < configured { index } else { 0 }
            );
            let methods = endpoints
                .iter()
                .map(|(name, method)| (*name, *method))
                .chain([(own.as_str(), client.auth)]);
            for (name, method) in methods {
                if let Some(method) = method {
                    client.check_method(reader, index, name, method);
                }
            }
        }
    }
}

impl Client {
    fn check_method(&self, reader: &mut Reader, index: usize, name: &str, method: ClientAuth) {
        let number = index.saturating_add(1);
        match method {
            ClientAuth::ClientSecretBasic
            | ClientAuth::ClientSecretPost
            | ClientAuth::ClientSecretJwt
                if self.secret.is_none() =>
            {
                if !reader.failed("client_secret") {
                    let text = format!(
                        "needs a `client_secret`, and client {number} has none; write it, or write `none` for a public client"
                    );
                    reader.error(name, text);
                }
            }
            ClientAuth::ClientSecretBasic | ClientAuth::ClientSecretPost => {}
            ClientAuth::ClientSecretJwt => self.check_secret_alg(reader, index, name),
            ClientAuth::PrivateKeyJwt => self.check_key(reader, index, name),
            ClientAuth::None if self.secret.is_some() => {
                let text = "`none`: the `client_secret` is not shown to the provider";
                reader.warn(name, text);
            }
            ClientAuth::None => {}
            ClientAuth::SelfSignedTlsClientAuth | ClientAuth::TlsClientAuth => {
                let text = "client certificates are not built yet in this version; write `private_key_jwt`, `client_secret_jwt`, `client_secret_basic`, `client_secret_post` or `none`";
                reader.error(name, text);
            }
        }
    }

    fn check_secret_alg(&self, reader: &mut Reader, index: usize, name: &str) {
        if let Some(alg) = self.alg
            && !alg.is_symmetric()
        {
            let text = format!(
                "`client_secret_jwt` (`{name}`) signs with `HS256`, `HS384` or `HS512`; write one of them"
            );
            reader.error(&format!("client_alg[{index}]"), text);
        }
        let length = self
            .secret
            .as_ref()
            .map_or(0, |secret| secret.expose().len());
        if length < 2 {
            // As for `enable_hs_signatures` (trap T2): a configuration that lost its secret.
            let text = "`client_secret_jwt` needs a `client_secret` longer than one character";
            reader.error(name, text);
        } else if length < 32 {
            // RFC 7518 section 3.2: a key as long as the hash, here that of HS256.
            let text = "`client_secret_jwt`: a `client_secret` of fewer than 32 bytes can be guessed from one assertion";
            reader.warn(name, text);
        }
    }

    fn check_key(&self, reader: &mut Reader, index: usize, name: &str) {
        let Some(key) = &self.key else {
            if !reader.failed("client_jwk") {
                let text = format!(
                    "needs a private key, and client {} has none; write it as a JWK in `client_jwk`",
                    index.saturating_add(1)
                );
                reader.error(name, text);
            }
            return;
        };
        if key.algorithm(self.alg).is_none() {
            let text = format!(
                "is not an algorithm for the key in `client_jwk`; write `{}`, or remove it",
                key.algorithm(None).map_or("RS256", Algorithm::name)
            );
            reader.error(&format!("client_alg[{index}]"), text);
        }
    }
}

impl ClientArgument {
    fn read(reader: &mut Reader) -> ClientArgument {
        let name = reader.text("client_arg").unwrap_or_default();
        // In a header underscores are hyphens (specification section 3).
        let header = match header_name(&name) {
            Ok(header) => header.replace('_', "-"),
            Err(_) => {
                let text = "is no argument's name; write letters, digits and underscores";
                reader.error("client_arg", text);
                String::new()
            }
        };
        ClientArgument {
            name,
            headers: [format!("x-{header}"), header],
        }
    }
}

/// The lists as they stand.
struct Lists {
    secrets: Vec<String>,
    auth: Vec<ClientAuth>,
    algs: Vec<Algorithm>,
    /// `None`: an empty object, which stands for a client without a key.
    keys: Vec<Option<Rc<PrivateJwk>>>,
    redirect_uris: Vec<Url>,
    login: Vec<Url>,
    logout: Vec<Url>,
    unauthorized: Vec<Url>,
    forbidden: Vec<Url>,
    unexpected: Vec<Url>,
}

impl Lists {
    fn client(&self, index: usize, id: Option<String>) -> Client {
        /// The element at this index, else the first.
        fn at<T: Clone>(list: &[T], index: usize) -> Option<T> {
            list.get(index).or_else(|| list.first()).cloned()
        }
        Client {
            id,
            // An empty one stands for a client without a secret.
            secret: at(&self.secrets, index)
                .filter(|secret| !secret.is_empty())
                .map(Secret::new),
            auth: at(&self.auth, index),
            alg: at(&self.algs, index),
            key: at(&self.keys, index).flatten(),
            redirect_uri: at(&self.redirect_uris, index),
            login_redirect: at(&self.login, index),
            logout_redirect: at(&self.logout, index),
            unauthorized_redirect: at(&self.unauthorized, index),
            forbidden_redirect: at(&self.forbidden, index),
            unexpected_redirect: at(&self.unexpected, index),
        }
    }

    /// Elements beyond the last client would have no effect.
    fn check(&self, reader: &mut Reader, named: usize) {
        let count = named.max(1);
        for (name, length) in [
            ("client_secret", self.secrets.len()),
            ("client_auth", self.auth.len()),
            ("client_alg", self.algs.len()),
            ("client_jwk", self.keys.len()),
        ] {
            if length <= count || reader.failed("client_id") {
                continue;
            }
            let text =
                format!("has {length} elements, and `client_id` names {named}; they go in step");
            // Where no client is named, none is missed: a secret may only be the key of signatures.
            match named {
                0 => reader.warn(name, format!("{text}: only the first is used")),
                _ => reader.error(name, text),
            }
        }
        for (name, length) in [
            ("redirect_uri", self.redirect_uris.len()),
            ("login_redirect_uri", self.login.len()),
            ("logout_redirect_uri", self.logout.len()),
            ("unauthorized_redirect_uri", self.unauthorized.len()),
            ("forbidden_redirect_uri", self.forbidden.len()),
            ("unexpected_redirect_uri", self.unexpected.len()),
        ] {
            if length > count {
                let text = format!(
                    "there is an address for each client, and `client_id` names {named}: the further ones are not used"
                );
                reader.warn(name, text);
            }
        }
        if self.secrets.len() == 1 && count > 1 {
            let text = "has one element: all clients show the same secret; write an empty text for a client that has none";
            reader.warn("client_secret", text);
        }
    }
}

fn algorithm(text: &str) -> Result<Algorithm, String> {
    let found = Algorithm::ALL.into_iter().find(|alg| alg.name() == text);
    found.ok_or_else(|| one_of(&Algorithm::ALL.map(|alg| (alg.name(), alg))))
}

fn keys(reader: &mut Reader) -> Vec<Option<Rc<PrivateJwk>>> {
    const NAME: &str = "client_jwk";
    let mut keys = Vec::new();
    for (index, members) in reader.objects(NAME) {
        let key = match members.is_empty() {
            true => None,
            false => match PrivateJwk::from_members(&members) {
                Ok(key) => Some(Rc::new(key)),
                Err(fault) => {
                    let at = format!("{NAME}[{index}].{}", fault.member);
                    reader.error(&at, fault.reason);
                    None
                }
            },
        };
        keys.push(key);
    }
    keys
}
