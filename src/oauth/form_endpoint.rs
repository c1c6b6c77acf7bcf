//! The endpoints that take a form and ask who we are: token and introspection.

use url::Url;

use super::answer::USER_AGENT;
use super::client_auth::Proof;
use super::extra::Extra;
use super::form::Form;
use crate::http::Call;

/// Such an endpoint, and who we are there.
#[derive(Clone, Debug)]
pub struct FormEndpoint<'a> {
    /// Its address.
    pub url: &'a Url,
    /// The Envoy cluster that leads there.
    pub cluster: String,
    /// How long to wait for the answer, in milliseconds.
    pub timeout_ms: u32,
    /// How we prove who we are.
    pub proof: Proof<'a>,
    /// What the configuration and a request add.
    pub extra: Extra,
}

impl FormEndpoint<'_> {
    /// The call with this form.
    pub(super) fn post(&self, accept: &str, form: Form) -> Call {
        let mut headers: Vec<(String, String)> = [
            ("content-type", "application/x-www-form-urlencoded"),
            ("accept", accept),
            ("user-agent", USER_AGENT),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        self.extra.add_headers(&mut headers);
        // The proof comes last: nothing that is added can replace it.
        let form = self
            .proof
            .apply(&mut headers, self.extra.add_arguments(form));
        Call {
            method: "POST",
            url: self.url.clone(),
            cluster: self.cluster.clone(),
            headers,
            body: form.encoded().into_bytes(),
            timeout: self.timeout_ms,
        }
    }
}
