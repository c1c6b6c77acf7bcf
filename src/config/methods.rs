//! The ways in.

use super::client::Clients;
use super::fields;
use super::reader::Reader;

/// Which ways in are open, and what applies to all of them (row B).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Methods {
    /// Row B `auth_methods`: the enabled ones, in order of precedence, without repetition. Never
    /// empty. Default: those that have what they need.
    pub enabled: Vec<AuthMethod>,
    /// Members of the default that lack what they need: for the start log.
    pub left_out: Vec<AuthMethod>,
    /// Row B `refresh_tokens`, default true: whether a session gets new tokens with its refresh token.
    pub refresh_tokens: bool,
    /// Row B `run_on_preflight`, default true: whether a CORS preflight needs a credential, too.
    pub run_on_preflight: bool,
    /// Row B `hide_credentials`, default true: remove the credential that was used from the request.
    pub hide_credentials: bool,
    /// Row B `search_user_info`, default false: claims are looked for in the userinfo, too.
    pub search_user_info: bool,
}

/// A way to authenticate, in order of precedence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "the names are Kong's and explain themselves")]
pub enum AuthMethod {
    Session,
    Bearer,
    KongOauth2,
    Introspection,
    Userinfo,
    RefreshToken,
    Password,
    ClientCredentials,
    AuthorizationCode,
}

impl AuthMethod {
    /// All of them, in order of precedence.
    pub const ALL: [AuthMethod; 9] = [
        AuthMethod::Session,
        AuthMethod::Bearer,
        AuthMethod::KongOauth2,
        AuthMethod::Introspection,
        AuthMethod::Userinfo,
        AuthMethod::RefreshToken,
        AuthMethod::Password,
        AuthMethod::ClientCredentials,
        AuthMethod::AuthorizationCode,
    ];

    /// The name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            AuthMethod::Session => "session",
            AuthMethod::Bearer => "bearer",
            AuthMethod::KongOauth2 => "kong_oauth2",
            AuthMethod::Introspection => "introspection",
            AuthMethod::Userinfo => "userinfo",
            AuthMethod::RefreshToken => "refresh_token",
            AuthMethod::Password => "password",
            AuthMethod::ClientCredentials => "client_credentials",
            AuthMethod::AuthorizationCode => "authorization_code",
        }
    }

    /// The one of this name.
    pub fn named(name: &str) -> Option<AuthMethod> {
        AuthMethod::ALL
            .into_iter()
            .find(|method| method.name() == name)
    }

    /// The names of those that this version has: its feature set.
    pub fn built() -> String {
        AuthMethod::ALL.map(AuthMethod::name).join(", ")
    }

    /// Those that take what stands in the places of a bearer token.
    pub const WITH_TOKEN: [AuthMethod; 4] = [
        AuthMethod::Bearer,
        AuthMethod::KongOauth2,
        AuthMethod::Introspection,
        AuthMethod::Userinfo,
    ];

    /// Those that ask the token endpoint as our client.
    pub const WITH_TOKEN_ENDPOINT: [AuthMethod; 3] = [
        AuthMethod::RefreshToken,
        AuthMethod::Password,
        AuthMethod::AuthorizationCode,
    ];

    /// Whether it calls the provider as our client.
    fn needs_a_client(self) -> bool {
        self == AuthMethod::Introspection || AuthMethod::WITH_TOKEN_ENDPOINT.contains(&self)
    }
}

impl Methods {
    /// Whether this way in is open.
    pub fn has(&self, method: AuthMethod) -> bool {
        self.enabled.contains(&method)
    }

    /// Whether a token in the places of a bearer token is looked at.
    pub fn take_tokens(&self) -> bool {
        AuthMethod::WITH_TOKEN
            .into_iter()
            .any(|method| self.has(method))
    }

    /// Takes the methods out that need a client where there is none, or says that it is missing.
    pub(super) fn leave_out_without(&mut self, reader: &mut Reader, clients: &Clients) {
        if clients.first().id.is_some() || reader.failed("client_id") {
            return;
        }
        let needs_one = |method: &AuthMethod| method.needs_a_client();
        self.leave_out(reader, needs_one, "client_id", "write the client's id");
    }

    /// Takes the methods out that need the field `missing`, which is not there: by default all are on. Where
    /// one was named, its field is missing.
    pub(super) fn leave_out(
        &mut self,
        reader: &mut Reader,
        needs_it: impl Fn(&AuthMethod) -> bool,
        missing: &str,
        advice: &str,
    ) {
        let lacking: Vec<AuthMethod> = self.enabled.iter().copied().filter(needs_it).collect();
        let Some(first) = lacking.first() else {
            return;
        };
        let named = serde_json::Value::from(reader.texts("auth_methods"));
        let by_default =
            fields::find("auth_methods").is_some_and(|field| fields::is_default(field, &named));
        if by_default {
            self.enabled.retain(|method| !lacking.contains(method));
            let names: Vec<&str> = lacking.iter().map(|method| method.name()).collect();
            let text = format!("left out for want of a `{missing}`: {}", names.join(", "));
            reader.warn("auth_methods", text);
            self.left_out.extend(lacking);
        } else {
            let text = format!(
                "is required, since `auth_methods` names `{}`; {advice}",
                first.name()
            );
            reader.error(missing, text);
        }
    }

    pub(super) fn read(reader: &mut Reader) -> Methods {
        let named = reader.choices(
            "auth_methods",
            &AuthMethod::ALL.map(|method| (method.name(), method)),
        );
        let empty = "names no method, so that nobody could get in";
        Methods {
            enabled: named.resolve(reader, empty),
            left_out: Vec::new(),
            refresh_tokens: reader.flag("refresh_tokens"),
            run_on_preflight: reader.flag("run_on_preflight"),
            hide_credentials: reader.flag("hide_credentials"),
            search_user_info: reader.flag("search_user_info"),
        }
    }
}
