//! The end-session endpoint (OpenID Connect RP-Initiated Logout 1.0 section 2).

use url::Url;

use super::form::Form;

/// Where the browser goes to end the login at the provider.
///
/// `client_id` is always sent: without it a provider does not know us once the hint has expired or is
/// missing, and refuses `post_logout_redirect_uri`. `state` comes back with the browser, and is sent
/// only where it can come back at all.
pub fn url(
    endpoint: &Url,
    id_token_hint: Option<&str>,
    client_id: Option<&str>,
    post_logout_redirect_uri: Option<&Url>,
    state: Option<&str>,
) -> String {
    let back = post_logout_redirect_uri.map(Url::as_str);
    Form::new()
        .with_some("id_token_hint", id_token_hint)
        .with_some("client_id", client_id)
        .with_some("post_logout_redirect_uri", back)
        .with_some("state", state.filter(|_| back.is_some()))
        .as_query_of(endpoint)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail loudly")]
mod tests {
    use super::*;

    #[test]
    fn says_who_logs_out_and_where_to_go() {
        let endpoint = Url::parse("https://idp.example/logout?tenant=1").unwrap();
        let back = Url::parse("https://app.example/bye?a=1&b=2").unwrap();
        assert_eq!(
            url(&endpoint, Some("h.i.d"), Some("me"), Some(&back), Some("s")),
            "https://idp.example/logout?tenant=1&id_token_hint=h.i.d&client_id=me\
             &post_logout_redirect_uri=https%3A%2F%2Fapp.example%2Fbye%3Fa%3D1%26b%3D2&state=s"
        );
        assert_eq!(
            url(&endpoint, None, Some("me"), None, Some("s")),
            "https://idp.example/logout?tenant=1&client_id=me"
        );
        assert_eq!(
            url(&endpoint, None, None, None, None),
            "https://idp.example/logout?tenant=1"
        );
    }
}
