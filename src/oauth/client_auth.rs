//! How we authenticate at the provider's endpoints (RFC 6749 section 2.3, OpenID Connect Core 1.0
//! section 9).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::form::{Form, encode};
use crate::config::{Client, ClientAuth, Secret};

/// The methods that show a secret and that this version has, the preferred one first.
const WITH_SECRET: [ClientAuth; 2] = [ClientAuth::ClientSecretBasic, ClientAuth::ClientSecretPost];

/// Who we say we are at one endpoint, and how we prove it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials<'a> {
    /// The client's id.
    pub id: &'a str,
    /// Its secret; none for a public client.
    pub secret: Option<&'a Secret>,
    /// How the two are shown.
    pub method: ClientAuth,
}

impl<'a> Credentials<'a> {
    /// Those of the client in force (index 0). `None` where the configuration names no client.
    ///
    /// The method (specification section 6): that of the endpoint, else the client's, else the first
    /// of ours that the provider lists in `supported`, else `client_secret_basic`. A client without a
    /// secret has nothing to show but its id, so where nothing is configured it is public.
    pub fn of(
        client: &'a Client,
        at_endpoint: Option<ClientAuth>,
        supported: Option<&[String]>,
    ) -> Option<Credentials<'a>> {
        let id = client.ids.first()?;
        let secret = client.secrets.first();
        let method = at_endpoint
            .or_else(|| client.auth.first().copied())
            .unwrap_or_else(|| match secret {
                None => ClientAuth::None,
                Some(_) => announced(supported.unwrap_or_default()),
            });
        Some(Credentials { id, secret, method })
    }

    /// Adds to a call's headers and to its form what the method wants.
    #[must_use]
    pub fn apply(&self, headers: &mut Vec<(String, String)>, form: Form) -> Form {
        match (self.method, self.secret) {
            (ClientAuth::ClientSecretPost, Some(secret)) => form
                .with("client_id", self.id)
                .with("client_secret", secret.expose()),
            (ClientAuth::ClientSecretBasic, Some(secret)) => {
                headers.push(("authorization".to_owned(), basic(self.id, secret)));
                form
            }
            // The configuration refuses methods that are not built, and those that lack a secret.
            _ => form.with("client_id", self.id),
        }
    }
}

/// Both parts are form-encoded before they are joined (RFC 6749 section 2.3.1): a colon in the id
/// would otherwise move into the secret.
fn basic(id: &str, secret: &Secret) -> String {
    let pair = format!("{}:{}", encode(id), encode(secret.expose()));
    format!("Basic {}", STANDARD.encode(pair))
}

/// The first of our methods that the provider lists. `none` is not taken from a list: there is a
/// secret, and to leave it out because a document says so would be a downgrade.
fn announced(supported: &[String]) -> ClientAuth {
    WITH_SECRET
        .into_iter()
        .find(|method| supported.iter().any(|listed| listed == method.name()))
        .unwrap_or(ClientAuth::ClientSecretBasic)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(auth: &[ClientAuth], secret: Option<&str>) -> Client {
        Client {
            ids: vec!["an id:1".to_owned()],
            secrets: secret.into_iter().map(Secret::new).collect(),
            auth: auth.to_vec(),
            token_endpoint_auth: None,
        }
    }

    fn chosen(
        auth: &[ClientAuth],
        secret: Option<&str>,
        at_endpoint: Option<ClientAuth>,
        supported: Option<&[&str]>,
    ) -> Option<ClientAuth> {
        let listed: Option<Vec<String>> =
            supported.map(|list| list.iter().map(|&name| name.to_owned()).collect());
        Credentials::of(&client(auth, secret), at_endpoint, listed.as_deref())
            .map(|credentials| credentials.method)
    }

    #[test]
    fn endpoint_then_client_then_metadata_then_basic() {
        use ClientAuth::{ClientSecretBasic as Basic, ClientSecretPost as Post, None as Public};
        let lists_post = Some(&["private_key_jwt", "client_secret_post"][..]);
        assert_eq!(chosen(&[Basic], Some("s"), Some(Post), None), Some(Post));
        assert_eq!(chosen(&[Post], Some("s"), None, None), Some(Post));
        assert_eq!(chosen(&[Basic], Some("s"), None, lists_post), Some(Basic));
        assert_eq!(chosen(&[], Some("s"), None, lists_post), Some(Post));
        let lists_both = Some(&["client_secret_post", "client_secret_basic"][..]);
        assert_eq!(chosen(&[], Some("s"), None, lists_both), Some(Basic));
        for other in [None, Some(&["private_key_jwt", "none"][..]), Some(&[][..])] {
            assert_eq!(chosen(&[], Some("s"), None, other), Some(Basic));
        }
        assert_eq!(chosen(&[], None, None, lists_post), Some(Public));
        assert_eq!(chosen(&[Public], Some("s"), None, lists_post), Some(Public));
    }

    #[test]
    fn without_an_id_there_are_no_credentials() {
        let nobody = Client {
            ids: Vec::new(),
            ..client(&[], Some("s"))
        };
        assert_eq!(Credentials::of(&nobody, None, None), None);
    }

    #[test]
    fn basic_encodes_both_parts_before_joining_them() {
        let (mut headers, client) = (Vec::new(), client(&[], Some("s %&+:\u{a3}")));
        let form = Credentials::of(&client, None, None)
            .map(|credentials| credentials.apply(&mut headers, Form::new()));
        assert_eq!(form, Some(Form::new()), "one method at a time");
        let expected = STANDARD.encode("an+id%3A1:s+%25%26%2B%3A%C2%A3");
        assert_eq!(
            headers,
            [("authorization".to_owned(), format!("Basic {expected}"))]
        );
    }

    #[test]
    fn post_and_none_go_into_the_body() {
        for (auth, expected) in [
            (
                ClientAuth::ClientSecretPost,
                "client_id=an+id%3A1&client_secret=s%26",
            ),
            (ClientAuth::None, "client_id=an+id%3A1"),
        ] {
            let (mut headers, client) = (Vec::new(), client(&[auth], Some("s&")));
            let form = Credentials::of(&client, None, None)
                .map(|credentials| credentials.apply(&mut headers, Form::new()).encoded());
            assert_eq!(form.as_deref(), Some(expected));
            assert!(headers.is_empty());
        }
    }

    #[test]
    fn the_secret_is_not_printed() {
        let client = client(&[], Some("hunter2"));
        assert!(!format!("{:?}", Credentials::of(&client, None, None)).contains("hunter2"));
    }
}
