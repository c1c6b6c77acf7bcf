//! The names of the ways in which a client authenticates.

use super::reader::one_of;

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

/// All of them, with their registered names.
pub(super) const METHODS: [(&str, ClientAuth); 7] = [
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

    pub(super) fn parse(text: &str) -> Result<ClientAuth, String> {
        let found = METHODS.iter().find(|(name, _)| *name == text);
        found
            .map(|(_, method)| *method)
            .ok_or_else(|| one_of(&METHODS))
    }
}
