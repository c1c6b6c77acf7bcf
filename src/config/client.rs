//! Who we are at the provider.

use super::reader::{Reader, one_of};
use super::secret::Secret;

/// Our registration at the provider (row C). Index 0 is the client in force; the further ones wait
/// for the flows that can choose among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// Row C `client_id`.
    pub ids: Vec<String>,
    /// Row C `client_secret`. Index 0 is also the key of HS256, HS384 and HS512 signatures.
    pub secrets: Vec<Secret>,
    /// Row C `client_auth`: how a client authenticates at the provider's endpoints.
    pub auth: Vec<ClientAuth>,
    /// Row F `token_endpoint_auth_method`: the same for the token endpoint alone.
    pub token_endpoint_auth: Option<ClientAuth>,
}

/// A client authentication method (OpenID Connect Core 1.0 section 9, RFC 8705 section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(
    missing_docs,
    reason = "the names are registered ones and explain themselves"
)]
pub enum ClientAuth {
    ClientSecretBasic,
    ClientSecretJwt,
    ClientSecretPost,
    None,
    PrivateKeyJwt,
    SelfSignedTlsClientAuth,
    TlsClientAuth,
}

const METHODS: [(&str, ClientAuth); 7] = [
    ("client_secret_basic", ClientAuth::ClientSecretBasic),
    ("client_secret_jwt", ClientAuth::ClientSecretJwt),
    ("client_secret_post", ClientAuth::ClientSecretPost),
    ("none", ClientAuth::None),
    ("private_key_jwt", ClientAuth::PrivateKeyJwt),
    (
        "self_signed_tls_client_auth",
        ClientAuth::SelfSignedTlsClientAuth,
    ),
    ("tls_client_auth", ClientAuth::TlsClientAuth),
];

impl ClientAuth {
    /// The registered name.
    pub fn name(self) -> &'static str {
        let found = METHODS.iter().find(|(_, method)| *method == self);
        found.map_or("none", |(name, _)| name)
    }
}

impl Client {
    pub(super) fn read(reader: &mut Reader) -> Client {
        Client {
            ids: reader.texts("client_id"),
            secrets: reader
                .texts("client_secret")
                .into_iter()
                .map(Secret::new)
                .collect(),
            auth: reader.list("client_auth", |text| {
                let found = METHODS.iter().find(|(name, _)| *name == text);
                found
                    .map(|(_, method)| *method)
                    .ok_or_else(|| one_of(&METHODS))
            }),
            token_endpoint_auth: reader.choice("token_endpoint_auth_method", &METHODS),
        }
    }

    /// For flows that call the token endpoint: the method must be one that is built, and go with what
    /// there is to show.
    pub(super) fn check_authentication(&self, reader: &mut Reader) {
        let first = self.secrets.first();
        let has_secret = first.is_some_and(|secret| !secret.expose().is_empty());
        let configured = [
            ("token_endpoint_auth_method", self.token_endpoint_auth),
            ("client_auth[0]", self.auth.first().copied()),
        ];
        for (name, method) in configured {
            let shows_secret = match method {
                None => continue,
                Some(ClientAuth::ClientSecretBasic | ClientAuth::ClientSecretPost) => true,
                Some(ClientAuth::None) => false,
                Some(_) => {
                    let text = "not built yet in this version; write `client_secret_basic`, `client_secret_post` or `none`";
                    reader.error(name, text);
                    continue;
                }
            };
            if shows_secret && !has_secret && !reader.failed("client_secret") {
                let text = "needs a `client_secret`, and there is none; write it, or write `none` for a public client";
                reader.error(name, text);
            }
            if !shows_secret && has_secret {
                reader.warn(
                    name,
                    "`none`: the `client_secret` is not shown to the provider",
                );
            }
        }
    }
}
