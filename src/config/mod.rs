//! The configuration: the filter's JSON in, a [`Config`] or every error at once out.
//!
//! The JSON is the `config` object of Kong's `openid-connect` plugin, unchanged (row letters in the
//! comments, as in "row L `leeway`", are the sections of the reference). It passes through three rooms:
//!
//! 1. `document`: the text becomes a tree, references to the environment are resolved, nulls go;
//! 2. `fields`: one table knows every field, its type, its default, and whether it is honoured yet;
//!    the rest of the configuration reads its defaults there, and so does the JSON Schema;
//! 3. one file per subject turns the members into types that cannot hold a wrong value.
//!
//! Nobody after this point checks the configuration again.

mod authorization;
mod bearer;
mod caching;
mod cidr;
mod client;
mod client_auth;
mod document;
mod error;
mod extras;
mod failure;
mod fields;
mod host;
mod introspection;
mod issuer;
mod kong_admin;
mod login;
mod logout;
mod lookup;
mod methods;
mod names;
mod own_paths;
mod provider;
mod reader;
mod routes;
mod secret;
mod session;
mod table;
mod token;
mod upstream;
mod userinfo;
mod verification;

#[cfg(feature = "schema")]
pub mod reference;
#[cfg(feature = "schema")]
pub mod schema;

#[cfg(test)]
mod tests;

pub use authorization::{Authorization, ClaimRule};
pub use bearer::{Bearer, JwtSession, Place};
pub use caching::Caching;
pub use cidr::{Cidr, TrustedIps};
pub use client::{Client, ClientArgument, Clients};
pub use client_auth::ClientAuth;
pub use error::{ConfigError, Warning};
pub use extras::{ExtraArguments, ExtraHeaders};
pub use failure::Failures;
pub use host::{Clusters, HostSettings, RequestBody, SharedData};
pub use introspection::{IntrospectionAccept, IntrospectionSettings};
pub use issuer::{Issuer, TENANT, issuer_means, same_issuer};
pub use kong_admin::KongAdmin;
pub use login::{
    AuthorizationArguments, LoginAction, LoginCookie, LoginSettings, LoginToken, RedirectMode,
    ResponseMode, ResponseType,
};
pub use logout::{LogoutMethod, LogoutSettings};
pub use lookup::{Lookup, Named};
pub use methods::{AuthMethod, Methods};
pub use own_paths::OwnPaths;
pub use provider::{IssuerCheck, Provider};
pub use routes::{Ambiguous, Route, Routes, Then};
pub use secret::Secret;
pub use session::{Bind, SameSite, SessionFact, SessionSettings, Timeouts};
pub use token::{Grant, Replay, TokenSettings};
use upstream::Side;
pub use upstream::{ClaimHeader, Fact, IdentityHeaders, TokenHeader};
pub use userinfo::{UserinfoAccept, UserinfoSettings};
pub use verification::Verification;

use url::Url;

use crate::http::Request;

use reader::Reader;

/// What calls the provider as our client, and so needs one. By default all methods are on, so those are left
/// out there that lack theirs; where one is named, its client is missing.
fn check_clients(
    reader: &mut Reader,
    methods: &mut Methods,
    clients: &Clients,
    token: &TokenSettings,
    introspection: &IntrospectionSettings,
) {
    methods.leave_out_without(reader, clients);
    let at_token = ("token_endpoint_auth_method", token.auth);
    let at_introspection = ("introspection_endpoint_auth_method", introspection.auth);
    let asks_for_tokens = AuthMethod::WITH_TOKEN_ENDPOINT
        .into_iter()
        .any(|method| methods.has(method));
    let mut endpoints = Vec::new();
    if asks_for_tokens {
        endpoints.push(at_token);
    }
    if introspection.jwt_tokens && clients.first().id.is_none() && !reader.failed("client_id") {
        let text = "is required, since `introspect_jwt_tokens` asks the provider as a client; write the client's id";
        reader.error("client_id", text);
    } else if methods.has(AuthMethod::Introspection) || introspection.jwt_tokens {
        endpoints.push(at_introspection);
    }
    if !endpoints.is_empty() {
        clients.check_authentication(reader, &endpoints);
    }
}

/// What the filter was told to do: complete, checked, and with every default filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Whom to trust and where to find it: issuer, keys, discovery (rows A, V).
    pub provider: Provider,
    /// Who we are at the provider (row C, and the addresses that each client has of its own).
    pub clients: Clients,
    /// The ways in, and what applies to all of them (row B).
    pub methods: Methods,
    /// Where a bearer token is looked for (row D).
    pub bearer: Bearer,
    /// Where other credentials are looked for (row D).
    pub lookup: Lookup,
    /// How the token endpoint is called (row F).
    pub token: TokenSettings,
    /// How the introspection endpoint is called (row G).
    pub introspection: IntrospectionSettings,
    /// How the userinfo endpoint is called (row H).
    pub userinfo: UserinfoSettings,
    /// How a browser logs in (rows E, J).
    pub login: LoginSettings,
    /// How a browser logs out (row I).
    pub logout: LogoutSettings,
    /// What a token must be (row L).
    pub verification: Verification,
    /// What a token must say (row M).
    pub authorization: Authorization,
    /// How a refusal looks (row K).
    pub failures: Failures,
    /// What the upstream gets to see (row O).
    pub upstream: IdentityHeaders,
    /// What the client gets to see beside the upstream's response (row P).
    pub downstream: IdentityHeaders,
    /// How sessions are kept (row Q).
    pub session: SessionSettings,
    /// How long things are kept (row S).
    pub caching: Caching,
    /// Kong's Admin API, for its own tokens (our `kong_admin`). There, where `kong_oauth2` is open.
    pub kong_admin: Option<KongAdmin>,
    /// What concerns the host: clusters, shared data, bodies, trusted peers.
    pub host: HostSettings,
    /// Our own paths.
    pub own_paths: OwnPaths,
    /// Other rules for a part of the requests; a route has none itself.
    pub routes: Routes,
}

impl Config {
    /// Reads the filter's configuration.
    ///
    /// `env` answers `{vault://env/NAME}`. The result depends on `json` and `env` only: all workers
    /// of a host come to the same one. Warnings are for the start log; errors are complete, so that
    /// one round is enough to mend a configuration.
    pub fn parse(
        json: &[u8],
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<(Config, Vec<Warning>), Vec<ConfigError>> {
        let mut document = document::read(json, env)?;
        let (sketches, mut errors) = routes::sketch(&mut document);
        let members = document.members.clone();
        let (outer, mut warnings, found) = match Config::of(document) {
            Ok((config, warnings)) => (Some(config), warnings, Vec::new()),
            Err(errors) => (None, Vec::new(), errors),
        };
        let routes = routes::lay(&members, sketches, &found, &mut errors, &mut warnings);
        match outer {
            Some(mut config) if errors.is_empty() => {
                config.routes = routes;
                Ok((config, warnings))
            }
            _ => Err(found.into_iter().chain(errors).collect()),
        }
    }

    /// Reads one level: the outer members, or those that a route puts in their place.
    fn of(document: document::Document) -> Result<(Config, Vec<Warning>), Vec<ConfigError>> {
        let mut reader = Reader::new(document);
        let mut methods = Methods::read(&mut reader);
        let kong_admin = KongAdmin::read(&mut reader, &mut methods);
        let clients = Clients::read(&mut reader);
        let token = TokenSettings::read(&mut reader);
        let introspection = IntrospectionSettings::read(&mut reader);
        let userinfo = UserinfoSettings::read(&mut reader);
        let login = LoginSettings::read(&mut reader, &methods, &clients);
        check_clients(&mut reader, &mut methods, &clients, &token, &introspection);
        let logout = LogoutSettings::read(&mut reader);
        // A provider of plain OAuth 2.0 with opaque tokens signs nothing.
        let needs_keys = methods.has(AuthMethod::Bearer) || login.asks_openid();
        let provider = Provider::read(&mut reader, needs_keys);
        let bearer = Bearer::read(&mut reader);
        let lookup = Lookup::read(&mut reader, &clients);
        let verification = Verification::read(&mut reader, &clients);
        let authorization = Authorization::read(&mut reader);
        let failures = Failures::read(&mut reader);
        let upstream = IdentityHeaders::read(&mut reader, Side::Upstream);
        let downstream = IdentityHeaders::read(&mut reader, Side::Downstream);
        let session = SessionSettings::read(&mut reader);
        let caching = Caching::read(&mut reader);
        let host = HostSettings::read(&mut reader);
        let own_paths = OwnPaths::read(&mut reader);
        let (provider, warnings) = reader.finish(provider)?;
        let config = Config {
            provider,
            clients,
            methods,
            bearer,
            lookup,
            token,
            introspection,
            userinfo,
            login,
            logout,
            verification,
            authorization,
            failures,
            upstream,
            downstream,
            session,
            caching,
            kong_admin,
            host,
            own_paths,
            routes: Routes::default(),
        };
        Ok((config, warnings))
    }

    /// This configuration, and those of its routes.
    pub fn all(&self) -> impl Iterator<Item = &Config> {
        let overlaid = self.routes.iter().filter_map(|route| match &route.then {
            Then::Overlay(config) => Some(&**config),
            Then::Disabled => None,
        });
        std::iter::once(self).chain(overlaid)
    }

    /// The client of ours that a request means.
    pub fn client(&self, request: &Request) -> &Client {
        let chosen = self.clients.at(request.client);
        chosen.unwrap_or(self.clients.first())
    }

    /// The Envoy cluster that leads to `url` (our `clusters`).
    pub fn cluster_for(&self, url: &Url) -> String {
        self.host.clusters.for_url(url)
    }

    /// One line for the start log: what is switched on, for which issuer. No secrets.
    pub fn summary(&self) -> String {
        let names = |list: &[AuthMethod]| {
            let names: Vec<&str> = list.iter().map(|method| method.name()).collect();
            names.join(", ")
        };
        let left_out = if self.methods.left_out.is_empty() {
            String::new()
        } else {
            format!(" (left out: {})", names(&self.methods.left_out))
        };
        let routes = match self.routes.iter().count() {
            0 => String::new(),
            1 => ", 1 route".to_owned(),
            many => format!(", {many} routes"),
        };
        format!(
            "issuer {}, methods: {}{left_out}{routes}",
            self.provider.issuer.identifier,
            names(&self.methods.enabled),
        )
    }
}
