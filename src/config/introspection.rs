//! The introspection endpoint: what is asked there, and what counts as an answer.

use url::Url;

use super::client_auth::{ClientAuth, METHODS};
use super::extras::{ExtraArguments, ExtraHeaders};
use super::login::without_fragment;
use super::reader::Reader;

/// How the introspection endpoint is called (row G).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntrospectionSettings {
    /// `introspection_endpoint`: replaces the discovered one.
    pub endpoint: Option<Url>,
    /// `introspection_endpoint_auth_method`: how we authenticate there. `None`: as `client_auth` says.
    pub auth: Option<ClientAuth>,
    /// `introspection_token_param_name`, default `token`: the argument that carries the token.
    pub token_param: String,
    /// `introspection_hint`, default `access_token`: the value of `token_type_hint`.
    pub hint: String,
    /// `introspection_accept`, default JSON: which answer is asked for.
    pub accept: IntrospectionAccept,
    /// `introspection_check_active`, default true: whether `active: true` must be in the answer.
    pub check_active: bool,
    /// `introspect_jwt_tokens`, default false: whether JWTs are introspected, too.
    pub jwt_tokens: bool,
    /// `introspection_headers_names`, `_values` and `_client`.
    pub headers: ExtraHeaders,
    /// `introspection_post_args_names`, `_values`, `_client` and `_client_headers`.
    pub arguments: ExtraArguments,
}

/// Which answer is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntrospectionAccept {
    /// A JSON object (RFC 7662 section 2.2).
    Json,
    /// A signed JWT, under its general name.
    Jwt,
    /// A signed JWT (RFC 9701 section 4).
    IntrospectionJwt,
}

const ACCEPTS: [(&str, IntrospectionAccept); 3] = [
    ("application/json", IntrospectionAccept::Json),
    ("application/jwt", IntrospectionAccept::Jwt),
    (
        "application/token-introspection+jwt",
        IntrospectionAccept::IntrospectionJwt,
    ),
];

impl IntrospectionAccept {
    /// The media type.
    pub fn name(self) -> &'static str {
        let found = ACCEPTS.iter().find(|(_, accept)| *accept == self);
        found.map_or("application/json", |(name, _)| name)
    }
}

const ACCEPT_HEADER: (&str, &str) = ("accept", "write `introspection_accept`");
const AUTHORIZATION_HEADER: (&str, &str) = (
    "authorization",
    "a token for this endpoint goes with `introspection_endpoint_auth_method` `none`",
);

impl IntrospectionSettings {
    pub(super) fn read(reader: &mut Reader) -> IntrospectionSettings {
        let auth = reader.choice("introspection_endpoint_auth_method", &METHODS);
        let token_param = reader
            .text("introspection_token_param_name")
            .unwrap_or_default();
        if token_param.is_empty() {
            let text = "is empty; write the argument's name, like `token`";
            reader.error("introspection_token_param_name", text);
        }
        // RFC 7662 section 2.1 lets a bearer token authorize the call: with `none` the header is free.
        let own: &[(&str, &str)] = match auth {
            Some(ClientAuth::None) => &[ACCEPT_HEADER],
            _ => &[ACCEPT_HEADER, AUTHORIZATION_HEADER],
        };
        let own_arguments = [
            "client_assertion",
            "client_assertion_type",
            "client_id",
            "client_secret",
            "token_type_hint",
            token_param.as_str(),
        ];
        let settings = IntrospectionSettings {
            endpoint: reader.checked("introspection_endpoint", without_fragment),
            auth,
            hint: reader
                .checked("introspection_hint", hint)
                .unwrap_or_default(),
            accept: reader
                .choice("introspection_accept", &ACCEPTS)
                .unwrap_or(IntrospectionAccept::Json),
            check_active: reader.flag("introspection_check_active"),
            jwt_tokens: reader.flag("introspect_jwt_tokens"),
            headers: ExtraHeaders::read(reader, "introspection", own),
            arguments: ExtraArguments::read(reader, "introspection_post_args", &own_arguments),
            token_param,
        };
        if own_arguments_hold_the_token(&settings.token_param) {
            let text = "is written by the call for something else; choose another name";
            reader.error("introspection_token_param_name", text);
        }
        if !settings.check_active {
            let text = "false: an answer that does not say `active: true` counts, too; one that says anything else there is refused";
            reader.warn("introspection_check_active", text);
        }
        settings
    }
}

fn own_arguments_hold_the_token(name: &str) -> bool {
    matches!(
        name,
        "client_assertion"
            | "client_assertion_type"
            | "client_id"
            | "client_secret"
            | "token_type_hint"
    )
}

fn hint(text: &str) -> Result<String, String> {
    match text {
        "" => Err("is empty; write the kind of token, like `access_token`".to_owned()),
        text => Ok(text.to_owned()),
    }
}
