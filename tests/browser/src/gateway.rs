//! A gateway that logs browsers in at a real Keycloak.

use std::sync::OnceLock;

use acceptance::{Gateway, merged};
use serde_json::{Value, json};
use support::envoy::EnvoyOptions;
use support::keycloak::{CLIENT, CLIENT_SECRET, Keycloak, REALM, demo_realm};
use support::ports;
use support::upstream::Seen;

use crate::webdriver::Browser;

/// A client like the demo's whose access tokens last five seconds.
pub const SHORT_CLIENT: &str = "short";

/// The Keycloak of this test process: the realm of the demo, and [`SHORT_CLIENT`] in it. Any `redirect_uri` is good.
///
/// # Panics
/// With its log, when it does not start.
pub fn keycloak() -> &'static Keycloak {
    static SHARED: OnceLock<Keycloak> = OnceLock::new();
    SHARED.get_or_init(|| {
        let mut realm = demo_realm();
        let mut client = realm["clients"][0].clone();
        client["redirectUris"] = json!(["*"]);
        let mut short = client.clone();
        short["clientId"] = SHORT_CLIENT.into();
        short["attributes"]["access.token.lifespan"] = "5".into();
        realm["clients"] = json!([client, short]);
        Keycloak::start(&[realm], ports::free()).unwrap_or_else(|error| panic!("{error}"))
    })
}

/// A gateway, and the way of browsers into it.
pub struct Entrance {
    /// Envoy with the filter, and the API behind it.
    pub gateway: Gateway,
    scheme: &'static str,
}

impl Entrance {
    /// A gateway with sessions and logins by authorization code, which lead to the wanted page; these members are added.
    #[must_use]
    pub fn new(members: Value) -> Self {
        Self::with(members, |_| {})
    }

    /// The same, with a change to what is in Envoy.
    #[must_use]
    pub fn with(members: Value, change: impl FnOnce(&mut EnvoyOptions)) -> Self {
        let keycloak = keycloak();
        let config = json!({
            "issuer": keycloak.issuer(REALM),
            "client_id": [CLIENT],
            "client_secret": [CLIENT_SECRET],
            "auth_methods": ["session", "authorization_code"],
            "session_secret": "a secret of this test, 32 bytes.",
            "login_action": "redirect",
            "login_tokens": [],
            "preserve_query_args": true,
            "clusters": {"*": "provider"},
            "upstream_headers": [{"header": "x-user", "path": ["preferred_username"]}],
        });
        let mut scheme = "http";
        let config = merged(config, members);
        let gateway = Gateway::of(config, keycloak.address(), |options| {
            // The session's cookie comes with the API's answers, too.
            let capabilities = options.filter().capabilities.as_mut();
            if let Some(Value::Object(names)) = capabilities {
                names.insert("proxy_on_response_headers".to_owned(), json!({}));
            }
            change(options);
            if options.listener().transport_socket.is_some() {
                scheme = "https";
            }
        });
        Self { gateway, scheme }
    }

    /// The URL of a path at the gateway: `localhost`, while the provider is `127.0.0.1`.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        let port = self.gateway.address().port();
        format!("{}://localhost:{port}{path}", self.scheme)
    }

    /// Goes to a page as a stranger: the provider's form comes.
    ///
    /// # Panics
    /// When it does not.
    pub fn is_sent_to_log_in(&self, browser: &Browser, path: &str) {
        browser.open(&self.url(path));
        let (url, issuer) = (browser.url(), keycloak().issuer(REALM));
        assert!(url.starts_with(&issuer), "{url}: {}", browser.text());
        let seen = self.gateway.upstream.take();
        assert!(seen.is_empty(), "reached the upstream: {seen:?}");
    }

    /// Goes to a page as a stranger, logs in, and gets there; gives what the API got.
    ///
    /// # Panics
    /// When any of this fails.
    pub fn enter(&self, browser: &Browser, path: &str) -> Seen {
        self.is_sent_to_log_in(browser, path);
        log_in(browser);
        browser.wait_for_url(&self.url(path));
        self.page_of_alex(path)
    }

    /// The API got one request for this page since the last look, as one of alex, and nothing of ours with it.
    ///
    /// # Panics
    /// When it did not.
    pub fn page_of_alex(&self, path: &str) -> Seen {
        self.gateway.upstream.wait_for(1);
        let mut seen = self.gateway.upstream.take();
        // Chromium asks for an icon by itself.
        seen.retain(|seen| seen.target != "/favicon.ico");
        assert_eq!(seen.len(), 1, "{seen:?}");
        let page = seen.remove(0);
        assert_eq!(page.target, path);
        assert_eq!(page.header("x-user").as_deref(), Some("alex"), "{page:?}");
        let cookies = page.all("cookie").join(";");
        assert!(
            !cookies.contains("session") && !cookies.contains("authorization"),
            "{page:?}"
        );
        page
    }
}

/// Fills Keycloak's form in as alex, and sends it.
pub fn log_in(browser: &Browser) {
    browser.fill("#username", "alex");
    browser.fill("#password", "doe");
    browser.click("#kc-login");
}
