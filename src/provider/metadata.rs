//! What a provider says about itself (OpenID Connect Discovery 1.0 section 3, RFC 8414 section 2).

use serde::Deserialize;
use serde_json::Value;
use url::Url;

/// A metadata document as it came. Providers add members of their own: those are theirs. Whoever only
/// needs the keys must not fail because another member is odd, hence the values without a type.
#[derive(Deserialize)]
pub(super) struct Document {
    pub(super) issuer: Option<String>,
    pub(super) jwks_uri: Option<String>,
    authorization_endpoint: Option<Value>,
    token_endpoint: Option<Value>,
    userinfo_endpoint: Option<Value>,
    introspection_endpoint: Option<Value>,
    revocation_endpoint: Option<Value>,
    end_session_endpoint: Option<Value>,
    pushed_authorization_request_endpoint: Option<Value>,
    code_challenge_methods_supported: Option<Value>,
    token_endpoint_auth_methods_supported: Option<Value>,
    introspection_endpoint_auth_methods_supported: Option<Value>,
    id_token_signing_alg_values_supported: Option<Value>,
    response_modes_supported: Option<Value>,
    response_types_supported: Option<Value>,
    grant_types_supported: Option<Value>,
    scopes_supported: Option<Value>,
    authorization_response_iss_parameter_supported: Option<Value>,
}

/// The metadata that flows use. An explicit field of the configuration wins over each of these:
/// [`crate::oauth::endpoint`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// The provider's name for itself.
    pub issuer: Option<String>,
    /// Where a login begins.
    pub authorization_endpoint: Option<Url>,
    /// Where codes and refresh tokens are redeemed.
    pub token_endpoint: Option<Url>,
    /// Where a login's claims can be had (OpenID Connect Core 1.0 section 5.3).
    pub userinfo_endpoint: Option<Url>,
    /// Where an opaque token's meaning can be had (RFC 7662).
    pub introspection_endpoint: Option<Url>,
    /// Where tokens are withdrawn (RFC 7009).
    pub revocation_endpoint: Option<Url>,
    /// Where a login ends (OpenID Connect RP-Initiated Logout 1.0 section 2.1).
    pub end_session_endpoint: Option<Url>,
    /// Where authorization requests are pushed (RFC 9126 section 5).
    pub pushed_authorization_request_endpoint: Option<Url>,
    /// PKCE methods. `None`: the provider does not speak of PKCE.
    pub code_challenge_methods_supported: Option<Vec<String>>,
    /// How clients may authenticate at the token endpoint. `None`: not said.
    pub token_endpoint_auth_methods_supported: Option<Vec<String>>,
    /// How clients may authenticate at the introspection endpoint. `None`: not said.
    pub introspection_endpoint_auth_methods_supported: Option<Vec<String>>,
    /// What ID tokens are signed with. `None`: not said.
    pub id_token_signing_alg_values_supported: Option<Vec<String>>,
    /// How answers may come back. `None`: not said.
    pub response_modes_supported: Option<Vec<String>>,
    /// What a login may ask for. `None`: not said.
    pub response_types_supported: Option<Vec<String>>,
    /// What may be exchanged for tokens. `None`: not said.
    pub grant_types_supported: Option<Vec<String>>,
    /// Scopes; a provider need not list all. `None`: not said.
    pub scopes_supported: Option<Vec<String>>,
    /// Whether every callback has `iss` (RFC 9207 section 3).
    pub authorization_response_iss_parameter_supported: bool,
}

impl Metadata {
    /// The members of a document that can be used, and the names of those that cannot, with the
    /// reason. `https`: the document came over TLS, and must not send us out of it.
    pub(super) fn read(
        document: Document,
        https: bool,
    ) -> (Metadata, Vec<(&'static str, &'static str)>) {
        let mut unusable = Vec::new();
        let mut endpoint = |name, value: Option<Value>| match usable(&value?, https) {
            Ok(url) => Some(url),
            Err(why) => {
                unusable.push((name, why));
                None
            }
        };
        let metadata = Metadata {
            issuer: document.issuer,
            authorization_endpoint: endpoint(
                "authorization_endpoint",
                document.authorization_endpoint,
            ),
            token_endpoint: endpoint("token_endpoint", document.token_endpoint),
            userinfo_endpoint: endpoint("userinfo_endpoint", document.userinfo_endpoint),
            introspection_endpoint: endpoint(
                "introspection_endpoint",
                document.introspection_endpoint,
            ),
            revocation_endpoint: endpoint("revocation_endpoint", document.revocation_endpoint),
            end_session_endpoint: endpoint("end_session_endpoint", document.end_session_endpoint),
            pushed_authorization_request_endpoint: endpoint(
                "pushed_authorization_request_endpoint",
                document.pushed_authorization_request_endpoint,
            ),
            code_challenge_methods_supported: texts(document.code_challenge_methods_supported),
            token_endpoint_auth_methods_supported: texts(
                document.token_endpoint_auth_methods_supported,
            ),
            introspection_endpoint_auth_methods_supported: texts(
                document.introspection_endpoint_auth_methods_supported,
            ),
            id_token_signing_alg_values_supported: texts(
                document.id_token_signing_alg_values_supported,
            ),
            response_modes_supported: texts(document.response_modes_supported),
            response_types_supported: texts(document.response_types_supported),
            grant_types_supported: texts(document.grant_types_supported),
            scopes_supported: texts(document.scopes_supported),
            authorization_response_iss_parameter_supported: document
                .authorization_response_iss_parameter_supported
                == Some(Value::Bool(true)),
        };
        (metadata, unusable)
    }
}

/// An absolute `http` or `https` URL without user and password; over TLS if the document was.
fn usable(value: &Value, https: bool) -> Result<Url, &'static str> {
    let url = value
        .as_str()
        .and_then(|text| Url::parse(text).ok())
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.host_str().is_some())
        .filter(|url| url.username().is_empty() && url.password().is_none())
        .ok_or("is no absolute http or https URL")?;
    if https && url.scheme() != "https" {
        return Err("leaves TLS, and the metadata came over https");
    }
    Ok(url)
}

/// A list of texts; what else is in it is skipped.
fn texts(value: Option<Value>) -> Option<Vec<String>> {
    let list = value?;
    let texts = list.as_array()?.iter().filter_map(Value::as_str);
    Some(texts.map(str::to_owned).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail loudly")]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(document: Value, https: bool) -> (Metadata, Vec<(&'static str, &'static str)>) {
        Metadata::read(serde_json::from_value(document).unwrap(), https)
    }

    #[test]
    fn reads_what_flows_need() {
        let (metadata, unusable) = read(
            json!({
                "issuer": "https://idp.example",
                "authorization_endpoint": "https://idp.example/auth?p=1",
                "token_endpoint": "https://tokens.example/token",
                "end_session_endpoint": "https://idp.example/bye",
                "code_challenge_methods_supported": ["plain", 5, "S256"],
                "introspection_endpoint_auth_methods_supported": ["client_secret_post"],
                "authorization_response_iss_parameter_supported": true,
                "mtls_endpoint_aliases": {},
            }),
            true,
        );
        assert!(unusable.is_empty());
        assert_eq!(metadata.issuer.as_deref(), Some("https://idp.example"));
        assert_eq!(
            metadata.authorization_endpoint.unwrap().as_str(),
            "https://idp.example/auth?p=1"
        );
        assert_eq!(
            metadata.token_endpoint.unwrap().host_str(),
            Some("tokens.example")
        );
        assert!(metadata.userinfo_endpoint.is_none());
        assert_eq!(
            metadata.code_challenge_methods_supported.unwrap(),
            ["plain", "S256"]
        );
        assert_eq!(
            metadata
                .introspection_endpoint_auth_methods_supported
                .unwrap(),
            ["client_secret_post"]
        );
        assert!(metadata.authorization_response_iss_parameter_supported);
    }

    #[test]
    fn odd_members_are_left_out_and_named() {
        let (metadata, unusable) = read(
            json!({
                "authorization_endpoint": "javascript:alert(1)",
                "token_endpoint": ["https://idp.example"],
                "userinfo_endpoint": "/relative",
                "end_session_endpoint": "https://u:p@idp.example/",
                "revocation_endpoint": null,
                "code_challenge_methods_supported": "S256",
                "authorization_response_iss_parameter_supported": "true",
            }),
            false,
        );
        let names: Vec<&str> = unusable.iter().map(|(name, _)| *name).collect();
        assert_eq!(
            names,
            [
                "authorization_endpoint",
                "token_endpoint",
                "userinfo_endpoint",
                "end_session_endpoint"
            ]
        );
        assert_eq!(metadata, Metadata::default());
    }

    #[test]
    fn a_document_that_came_over_tls_does_not_lead_out_of_it() {
        let document = || json!({ "token_endpoint": "http://idp.example/token" });
        let (metadata, unusable) = read(document(), true);
        assert_eq!((metadata.token_endpoint, unusable.len()), (None, 1));
        let (metadata, unusable) = read(document(), false);
        assert!(metadata.token_endpoint.is_some() && unusable.is_empty());
    }
}
