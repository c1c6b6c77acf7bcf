//! What real providers do that the plain one does not: a list for each, with its source. A test of
//! `tests/acceptance/tests/providers` has the name of each quirk, and fails where filter or configuration ignore it.

use serde_json::json;

use crate::provider::{
    AUTHORIZE, Access, Api, END_SESSION, Habits, INTROSPECT, JWKS, Provider, Refresh, Scopes,
    TOKEN, USERINFO,
};

/// One of them.
pub struct Quirk {
    /// Its name.
    pub name: &'static str,
    /// What the provider does.
    pub what: &'static str,
    /// Where that is said.
    pub source: &'static str,
    /// Whether everybody meets it, or only who set up or asked for something.
    pub usual: bool,
    /// How the scripted provider does it.
    pub habit: fn(&mut Habits),
}

/// A real provider.
pub struct Like {
    /// Its name.
    pub name: &'static str,
    /// Its quirks.
    pub quirks: &'static [Quirk],
}

impl Like {
    /// A provider with the usual quirks.
    #[must_use]
    pub fn start(&self) -> Provider {
        self.start_with(&[])
    }

    /// A provider with the usual quirks, and these.
    ///
    /// # Panics
    /// When there is none of such a name.
    #[must_use]
    pub fn start_with(&self, more: &[&str]) -> Provider {
        for name in more {
            let known = self.quirks.iter().any(|quirk| quirk.name == *name);
            assert!(known, "{} has no quirk {name}", self.name);
        }
        let mut habits = Habits::default();
        for quirk in self.quirks {
            if quirk.usual || more.contains(&quirk.name) {
                (quirk.habit)(&mut habits);
            }
        }
        Provider::start_with(habits)
    }
}

/// All of them.
pub const ALL: [&Like; 5] = [&OKTA, &ENTRA, &GOOGLE, &COGNITO, &AUTH0];

/// The tenant of [`ENTRA`].
pub const TENANT: &str = "8eaef023-2b34-4da1-9baa-8bc8c9d6a490";
/// The secret of the client at [`ENTRA`].
pub const ENTRA_SECRET: &str = "a~secret+with/reserved=letters%41";

const fn usual(
    name: &'static str,
    what: &'static str,
    source: &'static str,
    habit: fn(&mut Habits),
) -> Quirk {
    Quirk {
        name,
        what,
        source,
        usual: true,
        habit,
    }
}

const fn sometimes(
    name: &'static str,
    what: &'static str,
    source: &'static str,
    habit: fn(&mut Habits),
) -> Quirk {
    Quirk {
        usual: false,
        ..usual(name, what, source, habit)
    }
}

/// Okta, with its authorization server `default`.
pub const OKTA: Like = Like {
    name: "okta",
    quirks: &[
        usual(
            "path_issuer",
            "an authorization server has an issuer with a path; that of the bare host is another one, with other keys",
            "https://developer.okta.com/docs/guides/customize-authz-server/main/ (Create an authorization server), https://support.okta.com/help/s/article/okta-authorization-error-occurs-stating-custom-scopes-are-not-allowed-for-this-request",
            |habits| {
                habits.issuer = "/oauth2/default";
                habits.neighbour = true;
                habits.paths = vec![
                    (AUTHORIZE, "/oauth2/default/v1/authorize"),
                    (TOKEN, "/oauth2/default/v1/token"),
                    (JWKS, "/oauth2/default/v1/keys"),
                    (INTROSPECT, "/oauth2/default/v1/introspect"),
                    (USERINFO, "/oauth2/default/v1/userinfo"),
                    (END_SESSION, "/oauth2/default/v1/logout"),
                ];
            },
        ),
        usual(
            "scopes_in_scp",
            "access tokens have the scopes as a list in `scp`, and no `scope`",
            "https://developer.okta.com/docs/reference/api/oidc/ (Access token payload: scp), seen in https://groups.google.com/g/rabbitmq-users/c/O3GdCKf8soM/m/ZsjMcizrAgAJ",
            |habits| habits.scopes = Scopes::List("scp"),
        ),
        usual(
            "client_in_cid",
            "access tokens name the client in `cid`, and have neither `azp` nor `client_id`",
            "https://developer.okta.com/docs/reference/api/oidc/ (Access token payload: cid)",
            |habits| habits.client_claim = "cid",
        ),
        usual(
            "audience_of_the_server",
            "`aud` of access tokens is the audience of the authorization server, never the client",
            "https://developer.okta.com/docs/guides/customize-authz-server/main/ (Audience: the default audience for access tokens)",
            |habits| habits.access_claims = json!({"aud": "api://default"}),
        ),
        usual(
            "openid_needs_a_person",
            "client credentials with `openid` are refused: a custom scope is needed",
            "https://support.okta.com/help/s/article/cannot-request-openid-scopes-using-client-credentials",
            |habits| habits.openid_needs_a_person = true,
        ),
        usual(
            "refresh_by_scope",
            "a refresh token comes only with the scope `offline_access`",
            "https://developer.okta.com/standards/OIDC/ (Scope values: offline_access)",
            |habits| habits.refresh = Refresh::Scope("offline_access"),
        ),
        usual(
            "keys_rotate",
            "keys are changed at any time; the new one is published when it begins to sign",
            "https://developer.okta.com/code/dotnet/jwt-validation (Get the signing keys: rotated on a regular basis)",
            // Every provider can: `Provider::rotate`.
            |_| {},
        ),
        sometimes(
            "opaque_to_all",
            "access tokens of the bare host's server look like JWTs, but are for Okta alone: their keys are not published",
            "https://developer.okta.com/docs/guides/validate-access-tokens/dotnet/overview/ (Note: consider these access tokens as opaque strings)",
            |habits| {
                habits.issuer = "";
                habits.neighbour = false;
                habits.paths = vec![
                    (AUTHORIZE, "/oauth2/v1/authorize"),
                    (TOKEN, "/oauth2/v1/token"),
                    (JWKS, "/oauth2/v1/keys"),
                    (INTROSPECT, "/oauth2/v1/introspect"),
                    (USERINFO, "/oauth2/v1/userinfo"),
                    (END_SESSION, "/oauth2/v1/logout"),
                ];
                habits.access = Access::Unpublished;
            },
        ),
    ],
};

const ENTRA_TOKENS: &str =
    "https://learn.microsoft.com/en-us/entra/identity-platform/access-tokens";
const ENTRA_CLAIMS: &str =
    "https://learn.microsoft.com/en-us/entra/identity-platform/access-token-claims-reference";

/// Microsoft Entra ID (Azure AD), with version 2.0 of its endpoints.
pub const ENTRA: Like = Like {
    name: "entra",
    quirks: &[
        usual(
            "tenant_issuer",
            "the issuer is `<host>/<tenant>/v2.0`, and the endpoints are not below it",
            "https://learn.microsoft.com/en-us/entra/identity-platform/v2-protocols-oidc (Find your app's OpenID configuration document URI)",
            |habits| {
                habits.issuer = "/8eaef023-2b34-4da1-9baa-8bc8c9d6a490/v2.0";
                habits.paths = vec![
                    (AUTHORIZE, "/8eaef023/oauth2/v2.0/authorize"),
                    (TOKEN, "/8eaef023/oauth2/v2.0/token"),
                    (JWKS, "/8eaef023/discovery/v2.0/keys"),
                    (END_SESSION, "/8eaef023/oauth2/v2.0/logout"),
                    (USERINFO, "/oidc/userinfo"),
                ];
                habits.id_claims = json!({"tid": TENANT, "ver": "2.0", "oid": "alex-oid", "azp": null, "scope": null});
                habits.access_claims =
                    json!({"tid": TENANT, "ver": "2.0", "oid": "alex-oid", "aud": "kong"});
                habits.untold = vec!["introspection_endpoint", "code_challenge_methods_supported"];
            },
        ),
        usual(
            "scopes_in_scp",
            "access tokens have the scopes in `scp`, as a text",
            ENTRA_CLAIMS,
            |habits| habits.scopes = Scopes::Text("scp"),
        ),
        usual(
            "roles_of_programs",
            "tokens that a program got for itself have `roles`, and no `scp`",
            ENTRA_CLAIMS,
            |habits| {
                habits.client_claims = Some(json!({
                    "tid": TENANT, "ver": "2.0", "aud": "kong", "scp": null, "roles": ["Reader"],
                }));
            },
        ),
        usual(
            "graph_without_a_scope",
            "an access token is for the client's own API only with a scope of that (`<client id>/.default`); otherwise it is for Microsoft Graph, with a `nonce` in its header, and nobody else can verify it",
            "https://learn.microsoft.com/en-us/troubleshoot/entra/entra-id/app-integration/troubleshooting-signature-validation-errors, https://github.com/AzureAD/microsoft-authentication-library-for-js/issues/521#issuecomment-577400515",
            |habits| {
                habits.api = Api::ByScope;
                habits.otherwise = Access::Nonce;
            },
        ),
        usual(
            "userinfo_of_graph",
            "the userinfo endpoint is Graph's, at another host, and takes tokens for Graph alone",
            "https://learn.microsoft.com/en-us/entra/identity-platform/userinfo",
            |habits| {
                habits.elsewhere = vec![USERINFO];
                habits.userinfo_is_another_api = true;
            },
        ),
        usual(
            "no_hd",
            "no token has `hd`: the tenant is in `tid`",
            "https://learn.microsoft.com/en-us/entra/identity-platform/id-token-claims-reference",
            // The plain provider has none either.
            |_| {},
        ),
        usual(
            "refresh_by_scope",
            "a refresh token comes only with the scope `offline_access`",
            "https://learn.microsoft.com/en-us/entra/identity-platform/scopes-oidc (offline_access)",
            |habits| habits.refresh = Refresh::Scope("offline_access"),
        ),
        usual(
            "secret_with_reserved_letters",
            "client secrets hold letters that have to be encoded for Basic authentication",
            "https://learn.microsoft.com/en-us/entra/identity-platform/v2-oauth2-auth-code-flow (client_secret: must be URL-encoded; Basic auth per RFC 6749)",
            |habits| habits.secret = Some(ENTRA_SECRET),
        ),
        sometimes(
            "version_1_tokens",
            "an API that was not switched to version 2 gets access tokens whose `iss` is that of version 1, at another host, and whose `aud` is its URI",
            ENTRA_TOKENS,
            |habits| {
                habits.access_issuer =
                    Some("https://sts.windows.net/8eaef023-2b34-4da1-9baa-8bc8c9d6a490/");
                habits.client_claim = "appid";
                habits.access_claims =
                    json!({"tid": TENANT, "ver": "1.0", "oid": "alex-oid", "aud": "api://kong"});
            },
        ),
        sometimes(
            "issuer_template",
            "the metadata for many tenants (`common`, `organizations`) name the issuer `<host>/{tenantid}/v2.0`; tokens name their tenant's",
            "https://learn.microsoft.com/en-us/entra/identity-platform/access-tokens (Validate the issuer), https://github.com/MicrosoftDocs/azure-docs/issues/38427",
            |habits| {
                habits.id_issuer = Some("/8eaef023-2b34-4da1-9baa-8bc8c9d6a490/v2.0");
                habits.access_issuer = habits.id_issuer;
                habits.issuer = "/organizations/v2.0";
                habits.named = Some("/{tenantid}/v2.0");
            },
        ),
    ],
};

const GOOGLE_OIDC: &str = "https://developers.google.com/identity/openid-connect/openid-connect";
const GOOGLE_REFERENCE: &str = "https://developers.google.com/identity/openid-connect/reference";

/// Google.
pub const GOOGLE: Like = Like {
    name: "google",
    quirks: &[
        usual(
            "endpoints_at_other_hosts",
            "token, keys and userinfo are not at the issuer's host",
            GOOGLE_REFERENCE,
            |habits| habits.elsewhere = vec![TOKEN, JWKS, USERINFO],
        ),
        usual(
            "opaque_access_tokens",
            "access tokens are no JWTs",
            "https://docs.cloud.google.com/docs/authentication/token-types (Access tokens)",
            |habits| {
                habits.access = Access::Opaque;
                habits.otherwise = Access::Opaque;
            },
        ),
        usual(
            "no_introspection",
            "there is no introspection endpoint",
            GOOGLE_REFERENCE,
            |habits| {
                habits.untold = vec!["introspection_endpoint", "end_session_endpoint"];
            },
        ),
        usual(
            "keys_of_all_clients",
            "the same keys sign the ID tokens of all clients of all customers: only `aud` tells whose one is",
            GOOGLE_OIDC,
            // So it is with every provider; few have strangers among their clients.
            |_| {},
        ),
        usual(
            "refresh_by_argument",
            "a refresh token comes only with `access_type=offline` in the authorization request",
            "https://developers.google.com/identity/openid-connect/reference (access_type), https://cloud.google.com/nodejs/docs/reference/google-auth-library/latest/google-auth-library/credentialrequest (refresh_token)",
            |habits| habits.refresh = Refresh::Argument("access_type", "offline"),
        ),
        sometimes(
            "issuer_without_scheme",
            "`iss` of ID tokens may be `accounts.google.com`, without `https://`",
            GOOGLE_REFERENCE,
            |habits| habits.id_issuer = Some("{host}"),
        ),
        sometimes(
            "hd",
            "an account of an organisation has its domain in `hd`; other accounts have no such claim",
            GOOGLE_OIDC,
            |habits| habits.id_claims = json!({"hd": "example.test"}),
        ),
    ],
};

const COGNITO_ACCESS: &str = "https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-the-access-token.html";

/// Amazon Cognito, a user pool with a domain.
pub const COGNITO: Like = Like {
    name: "cognito",
    quirks: &[
        usual(
            "endpoints_of_the_domain",
            "the issuer and the keys are at one host, all other endpoints at the domain of the user pool",
            "https://docs.aws.amazon.com/cognito/latest/developerguide/federation-endpoints.html",
            |habits| {
                habits.issuer = "/eu-central-1_Pool";
                habits.elsewhere = vec![AUTHORIZE, TOKEN, USERINFO, END_SESSION];
                habits.paths = vec![
                    (JWKS, "/eu-central-1_Pool/.well-known/jwks.json"),
                    (AUTHORIZE, "/oauth2/authorize"),
                    (TOKEN, "/oauth2/token"),
                    (USERINFO, "/oauth2/userInfo"),
                    (END_SESSION, "/logout"),
                ];
            },
        ),
        usual(
            "no_audience",
            "access tokens have no `aud`: the client is in `client_id`",
            "https://repost.aws/questions/QU4wv0qKIMSk2O64Wk5P4jdg/why-do-cognito-access-tokens-not-have-an-audience-claim",
            |habits| {
                habits.client_claim = "client_id";
                habits.access_claims = json!({"aud": null, "token_use": "access"});
            },
        ),
        usual(
            "token_use",
            "ID tokens and access tokens differ in `token_use` alone, not in `typ`",
            "https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-tokens-verifying-a-jwt.html",
            |habits| habits.id_claims = json!({"token_use": "id", "azp": null, "scope": null}),
        ),
        usual(
            "two_keys",
            "ID tokens and access tokens are signed with different keys",
            COGNITO_ACCESS,
            |habits| habits.two_keys = true,
        ),
        usual(
            "own_logout",
            "the metadata have no end-session endpoint that OpenID Connect would know: `/logout` wants `client_id` and `logout_uri`",
            "https://docs.aws.amazon.com/cognito/latest/developerguide/logout-endpoint.html",
            |habits| {
                habits.own_logout = Some("logout_uri");
                habits.untold = vec![
                    "end_session_endpoint",
                    "introspection_endpoint",
                    "code_challenge_methods_supported",
                ];
            },
        ),
        sometimes(
            "https_callbacks",
            "a callback has to be `https`, but at localhost",
            "https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_CreateUserPoolClient.html (CallbackURLs: HTTPS except for http://localhost)",
            |habits| habits.https_callbacks = true,
        ),
        sometimes(
            "public_client",
            "an app client may have no secret",
            "https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-settings-client-apps.html (Public client)",
            |habits| habits.secret = None,
        ),
    ],
};

/// Auth0.
pub const AUTH0: Like = Like {
    name: "auth0",
    quirks: &[
        usual(
            "trailing_slash",
            "the issuer ends with a slash",
            "https://github.com/auth0/omniauth-auth0/pull/89 (the iss claim is in the format of https://...com/)",
            |habits| {
                habits.issuer = "/";
                habits.paths = vec![
                    (AUTHORIZE, "/authorize"),
                    (TOKEN, "/oauth/token"),
                    (JWKS, "/.well-known/jwks.json"),
                    (END_SESSION, "/v2/logout"),
                ];
                habits.untold = vec!["introspection_endpoint", "end_session_endpoint"];
            },
        ),
        usual(
            "audience_makes_a_jwt",
            "only a request with `audience` brings a JWT for the API; a client that asks for itself gets nothing without",
            "https://auth0.com/docs/tokens/set-access-token-format, http://community.auth0.com/t/why-is-my-access-token-not-a-jwt/31028/2",
            |habits| {
                habits.api = Api::ByAudience;
                habits.scopes = Scopes::Text("scope");
            },
        ),
        usual(
            "encrypted_without_audience",
            "without `audience` the access token is encrypted for Auth0 itself, and good at its userinfo endpoint",
            "https://auth0.com/docs/secure/tokens/access-tokens/json-web-encryption, https://auth0.com/docs/tokens/access-token-formats",
            |habits| habits.otherwise = Access::Encrypted,
        ),
        usual(
            "own_logout",
            "`/v2/logout` wants `client_id` and `returnTo`, and knows nothing of OpenID Connect's arguments",
            "https://auth0.com/docs/authenticate/login/logout/redirect-users-after-logout",
            |habits| habits.own_logout = Some("returnTo"),
        ),
        usual(
            "refresh_by_scope",
            "a refresh token comes only with the scope `offline_access`",
            "https://auth0.com/docs/secure/tokens/refresh-tokens/get-refresh-tokens",
            |habits| habits.refresh = Refresh::Scope("offline_access"),
        ),
    ],
};
