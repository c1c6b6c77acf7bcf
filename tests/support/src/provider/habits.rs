//! How a provider may differ from the plain one: the switches that `quirks.rs` turns for each real provider.

use serde_json::{Value, json};

/// The habits of a provider. [`Habits::default`] is the plain one.
#[derive(Clone, Debug)]
pub struct Habits {
    /// The issuer's path behind the host. The discovery document is there.
    pub issuer: &'static str,
    /// What the metadata name as the issuer's path, where that is another one.
    pub named: Option<&'static str>,
    /// `iss` of ID tokens: a path behind the host, or the whole with `{host}` in it.
    pub id_issuer: Option<&'static str>,
    /// `iss` of access tokens.
    pub access_issuer: Option<&'static str>,
    /// Another authorization server at the bare host, with keys of its own.
    pub neighbour: bool,
    /// The endpoints' own paths.
    pub paths: Vec<(&'static str, &'static str)>,
    /// Endpoints that another host serves.
    pub elsewhere: Vec<&'static str>,
    /// Members that the metadata do not have.
    pub untold: Vec<&'static str>,
    /// The secret of the client. `None`: it is public, and has to use PKCE.
    pub secret: Option<&'static str>,
    /// What names an API of the client's own, for which access tokens are [`Habits::access`].
    pub api: Api,
    /// Access tokens for an API of the client's own.
    pub access: Access,
    /// Access tokens where no API was named: for the provider itself.
    pub otherwise: Access,
    /// Whether only tokens that name no API are good at the userinfo endpoint.
    pub userinfo_is_another_api: bool,
    /// How access tokens say what was granted.
    pub scopes: Scopes,
    /// Members of ID tokens; null takes one out.
    pub id_claims: Value,
    /// Members of access tokens; null takes one out.
    pub access_claims: Value,
    /// Members of access tokens that a client got for itself, in the place of those.
    pub client_claims: Option<Value>,
    /// The claim of access tokens that names the client.
    pub client_claim: &'static str,
    /// Whether ID tokens have a key of their own.
    pub two_keys: bool,
    /// When there is a refresh token.
    pub refresh: Refresh,
    /// Whether a client that asks for itself may not ask for a person's scopes.
    pub openid_needs_a_person: bool,
    /// Whether callbacks must be `https`, but at localhost.
    pub https_callbacks: bool,
    /// A logout of the provider's own, which leads back by this argument.
    pub own_logout: Option<&'static str>,
}

/// What makes an access token one for the client's own API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    /// Nothing has to.
    Always,
    /// A scope that begins with the client's id, or with `api://` and that.
    ByScope,
    /// The argument `audience`; a client that asks for itself gets nothing without.
    ByAudience,
}

/// What an access token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// A JWT under a published key.
    Jwt,
    /// A text that only the provider understands.
    Opaque,
    /// A JWT under a key that is not published.
    Unpublished,
    /// A JWT with a `nonce` in its header that was hashed before signing: nobody else can verify it.
    Nonce,
    /// A JWE for the provider itself.
    Encrypted,
}

/// The claim with the scopes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scopes {
    /// `scope`, the same text always.
    Fixed,
    /// What was granted, as one text.
    Text(&'static str),
    /// What was granted, as a list.
    List(&'static str),
}

/// When there is a refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refresh {
    /// With every login.
    Always,
    /// With this scope.
    Scope(&'static str),
    /// With this argument of the authorization request.
    Argument(&'static str, &'static str),
}

impl Default for Habits {
    fn default() -> Self {
        Self {
            issuer: "",
            named: None,
            id_issuer: None,
            access_issuer: None,
            neighbour: false,
            paths: Vec::new(),
            elsewhere: Vec::new(),
            untold: Vec::new(),
            secret: Some(super::CLIENT.1),
            api: Api::Always,
            access: Access::Jwt,
            otherwise: Access::Jwt,
            userinfo_is_another_api: false,
            scopes: Scopes::Fixed,
            id_claims: json!({}),
            access_claims: json!({}),
            client_claims: None,
            client_claim: "azp",
            two_keys: false,
            refresh: Refresh::Always,
            openid_needs_a_person: false,
            https_callbacks: false,
            own_logout: None,
        }
    }
}

impl Habits {
    /// The path of an endpoint.
    pub(super) fn path(&self, endpoint: &'static str) -> String {
        if endpoint == super::DISCOVERY {
            return format!("{}{endpoint}", self.issuer.trim_end_matches('/'));
        }
        let own = self.paths.iter().find(|(own, _)| *own == endpoint);
        own.map_or(endpoint, |(_, path)| path).to_owned()
    }

    /// The endpoint at this path.
    pub(super) fn endpoint(&self, path: &str) -> Option<&'static str> {
        let mut endpoints = super::ENDPOINTS.into_iter();
        endpoints.find(|endpoint| self.path(endpoint) == path)
    }

    /// An issuer that tokens name: `text` is a path behind the host, or the whole.
    pub(super) fn issuer_of(text: &str, port: u16) -> String {
        let host = format!("127.0.0.1:{port}");
        match text {
            "" => format!("http://{host}"),
            text if text.starts_with('/') => format!("http://{host}{text}"),
            text => text.replace("{host}", &host),
        }
    }
}
