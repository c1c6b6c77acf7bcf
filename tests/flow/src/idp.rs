//! The provider where people log in: authorization, token and end-session endpoints that hold a client to
//! the rules, and lie where a test says so.

use std::cell::{Cell, Ref, RefCell};
use std::collections::HashMap;

use aws_lc_rs::digest::{SHA256, digest};
use oidc_filter::http::Call;
use serde_json::{Value, json};
use support::issuer::b64;

use crate::assertion;
use crate::form::{only, pairs};
use crate::random::Random;
use crate::stage::{ISSUER, key, merged};

/// Where people log in.
pub const AUTHORIZE: &str = "https://idp.test/realm/authorize";
/// Where codes and refresh tokens are redeemed.
pub const TOKEN: &str = "https://idp.test/realm/token";
/// Where people log out.
pub const END_SESSION: &str = "https://idp.test/realm/logout";
/// Where tokens are asked about.
pub const INTROSPECT: &str = "https://idp.test/realm/introspect";
/// Where it says who somebody is.
pub const USERINFO: &str = "https://idp.test/realm/userinfo";
/// A client that asks for itself, and its secret.
pub const ROBOT: [&str; 2] = ["robot", "the-secret-of-robot"];
/// The client's name.
pub const CLIENT: &str = "me";
/// The client's secret: one that has to be encoded.
pub const SECRET: &str = "the secret+of=me";
/// Its `client_secret_basic` (RFC 6749 section 2.3.1), made with `printf 'me:the+secret%%2Bof%%3Dme' | base64`.
const BASIC: &str = "Basic bWU6dGhlK3NlY3JldCUyQm9mJTNEbWU=";

/// Another client of the same gateway, and its secret.
pub const SECOND: [&str; 2] = ["second", "the-secret-of-second"];
/// Its `client_secret_basic`, made with `printf second:the-secret-of-second | base64`.
const SECOND_BASIC: &str = "Basic c2Vjb25kOnRoZS1zZWNyZXQtb2Ytc2Vjb25k";

/// The grant for an assertion (RFC 7523 section 2.1).
pub const ASSERTION_GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// The kind of assertion (RFC 7523 section 2.2).
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// `client_secret_basic` of [`ROBOT`], made with `printf robot:the-secret-of-robot | base64`.
const ROBOT_BASIC: &str = "Basic cm9ib3Q6dGhlLXNlY3JldC1vZi1yb2JvdA==";

fn state_of(fields: &[(String, String)]) -> String {
    only(fields, "state").unwrap_or_default().to_owned()
}

fn header<'a>(call: &'a Call, name: &str) -> Option<&'a str> {
    let found = call.headers.iter().find(|(own, _)| own == name);
    found.map(|(_, value)| value.as_str())
}

/// How the provider behaves.
#[derive(Clone, Debug)]
pub struct Behaves {
    /// Changes to the claims of ID tokens; a null removes a claim.
    pub id_claims: Value,
    /// What stands in for an ID token with these claims.
    pub forge: Option<fn(&Value) -> String>,
    /// Whether there is an ID token at all.
    pub id_token: bool,
    /// Changes to the claims of access tokens.
    pub access_claims: Value,
    /// Whether access tokens are opaque.
    pub opaque: bool,
    /// How long access tokens live, in seconds.
    pub lifetime: u64,
    /// Whether there are refresh tokens.
    pub refresh: bool,
    /// Whether a refresh token is good for one use.
    pub rotates: bool,
    /// Whether a refresh brings a new ID token.
    pub refreshed_id_token: bool,
    /// How many letters that do not compress an access token carries beside its claims.
    pub padding: usize,
    /// Changes to what is said of a token when asked; a null removes a claim.
    pub said: Value,
    /// Whether what is said of a token is signed, where a JWT is asked for.
    pub signs: bool,
    /// Changes to the claims of ID tokens that go through the browser; `None`: there is none.
    pub front_claims: Option<Value>,
    /// Whether callbacks name the issuer (RFC 9207), and as what.
    pub iss: Option<&'static str>,
}

impl Default for Behaves {
    fn default() -> Self {
        Self {
            id_claims: json!({}),
            forge: None,
            id_token: true,
            access_claims: json!({}),
            opaque: false,
            lifetime: 300,
            refresh: true,
            rotates: true,
            refreshed_id_token: true,
            padding: 0,
            said: json!({}),
            signs: false,
            front_claims: Some(json!({})),
            iss: None,
        }
    }
}

/// A login, from the form to its last refresh.
#[derive(Clone, Debug)]
struct Grant {
    user: String,
    client: String,
    nonce: String,
    openid: bool,
    redirect_uri: String,
    challenge: Option<String>,
    since: u64,
}

impl Grant {
    fn of(user: &str, now: u64) -> Grant {
        Grant {
            user: user.to_owned(),
            client: CLIENT.to_owned(),
            nonce: String::new(),
            openid: true,
            redirect_uri: String::new(),
            challenge: None,
            since: now,
        }
    }
}

/// The provider's memory.
#[derive(Default)]
pub struct Idp {
    behaves: RefCell<Behaves>,
    codes: RefCell<HashMap<String, Grant>>,
    refreshable: RefCell<HashMap<String, Grant>>,
    issued: RefCell<Vec<String>>,
    id_tokens: RefCell<Vec<String>>,
    /// The claims behind access tokens that are not withdrawn.
    access: RefCell<HashMap<String, Value>>,
    asked: RefCell<Vec<String>>,
    proofs: RefCell<Vec<&'static str>>,
    /// Assertions that are good, and until when.
    grantable: RefCell<HashMap<String, u64>>,
    assertions: RefCell<Vec<String>>,
    count: Cell<u64>,
}

/// What a person brings back from the provider.
#[derive(Clone, Debug)]
pub(crate) struct Back {
    pub(crate) uri: String,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) posts: bool,
}

impl Idp {
    /// Changes how it behaves.
    pub fn set(&self, change: impl FnOnce(&mut Behaves)) {
        change(&mut self.behaves.borrow_mut());
    }

    /// All tokens that it gave out.
    pub(crate) fn issued(&self) -> Vec<String> {
        self.issued.borrow().clone()
    }

    /// The URLs that people came to it with, in their order.
    pub fn asked(&self) -> Ref<'_, Vec<String>> {
        self.asked.borrow()
    }

    /// How the client proved itself at the token endpoint: `basic`, `post`, `none`, or by which assertion.
    pub fn proofs(&self) -> Vec<&'static str> {
        self.proofs.borrow().clone()
    }

    /// The ID token that came last.
    #[must_use]
    pub fn id_token(&self) -> Option<String> {
        self.id_tokens.borrow().last().cloned()
    }

    /// All refresh tokens that it gave out.
    #[must_use]
    pub fn refresh_tokens(&self) -> Vec<String> {
        let issued = self.issued.borrow();
        let refresh = issued.iter().filter(|token| token.starts_with("refresh-"));
        refresh.cloned().collect()
    }

    /// An assertion that this provider takes until then (RFC 7523 section 2.1): of [`ROBOT`], about itself.
    pub fn assertion(&self, exp: u64) -> String {
        let claims = json!({"iss": ROBOT[0], "sub": ROBOT[0], "aud": ISSUER, "exp": exp});
        let assertion = key("robot").token(&claims);
        let mut grantable = self.grantable.borrow_mut();
        grantable.insert(assertion.clone(), exp);
        assertion
    }

    /// Forgets all refresh tokens: somebody logged out there.
    pub fn forget(&self) {
        self.refreshable.borrow_mut().clear();
    }

    /// Withdraws all access tokens.
    pub fn withdraw(&self) {
        self.access.borrow_mut().clear();
    }

    /// An access token for this person, as another client would have got it.
    pub fn token_for(&self, user: &str, now: u64) -> String {
        let tokens = self.tokens(&Grant::of(user, now), now, false);
        tokens["access_token"].as_str().expect("a token").to_owned()
    }

    /// The introspection endpoint (RFC 7662 section 2).
    pub(crate) fn introspect(&self, call: &Call, now: u64) -> (u16, Value) {
        let form = pairs(&String::from_utf8_lossy(&call.body));
        let basic = header(call, "authorization");
        let known = match (
            basic,
            only(&form, "client_id"),
            only(&form, "client_secret"),
        ) {
            (Some(BASIC | SECOND_BASIC), None, None) => true,
            (None, Some(CLIENT), Some(secret)) => secret == SECRET,
            _ => false,
        };
        if !known {
            return (401, json!({"error": "invalid_client"}));
        }
        let token = only(&form, "token").unwrap_or_default();
        let said = match self.claims_behind(token, now) {
            Some(claims) => {
                let active = merged(claims, json!({"active": true}));
                merged(active, self.behaves.borrow().said.clone())
            }
            None => json!({"active": false}),
        };
        if !self.signs(call) {
            return (200, said);
        }
        let header = json!({"alg": "ES256", "kid": "k1", "typ": "token-introspection+jwt"});
        let claims = json!({"iss": ISSUER, "aud": CLIENT, "iat": now, "token_introspection": said});
        (200, key("k1").token_with(&header, &claims).into())
    }

    /// The userinfo endpoint (OpenID Connect Core section 5.3).
    pub(crate) fn userinfo(&self, call: &Call, now: u64) -> (u16, Value) {
        let form = pairs(&String::from_utf8_lossy(&call.body));
        assert!(form.is_empty(), "no client speaks here");
        let shown = header(call, "authorization").unwrap_or_default();
        let token = shown.strip_prefix("Bearer ").unwrap_or_default();
        match self.claims_behind(token, now) {
            Some(claims) => {
                let info = json!({
                    "sub": claims["sub"], "preferred_username": claims["preferred_username"],
                    "email": "alex@idp.test",
                });
                let info = merged(info, self.behaves.borrow().said.clone());
                match self.signs(call) {
                    true => (200, key("k1").token(&info).into()),
                    false => (200, info),
                }
            }
            None => (401, json!({"error": "invalid_token"})),
        }
    }

    fn signs(&self, call: &Call) -> bool {
        let accept = header(call, "accept").unwrap_or_default();
        self.behaves.borrow().signs && accept.ends_with("jwt")
    }

    fn claims_behind(&self, token: &str, now: u64) -> Option<Value> {
        let known = self.access.borrow();
        let claims = known.get(token)?;
        (now < claims["exp"].as_u64()?).then(|| claims.clone())
    }

    /// Somebody comes to log in (OpenID Connect Core section 3.1.2.1), and succeeds.
    ///
    /// # Panics
    /// When the request is not as it must be.
    pub(crate) fn log_in(&self, url: &str, user: &str, now: u64) -> Back {
        self.asked.borrow_mut().push(url.to_owned());
        let (endpoint, query) = url.split_once('?').expect("a query");
        assert_eq!(endpoint, AUTHORIZE);
        let query = pairs(query);
        let get = |name: &str| only(&query, name);
        let hybrid = match get("response_type") {
            Some("code") => false,
            Some("code id_token") => true,
            other => panic!("response_type: {other:?}"),
        };
        let client = get("client_id").expect("a client");
        assert!([CLIENT, SECOND[0]].contains(&client), "{client}");
        let mut scope = get("scope").unwrap_or_default().split(' ');
        let openid = scope.any(|scope| scope == "openid");
        assert!(
            openid || !hybrid && get("nonce").is_none(),
            "plain OAuth 2.0"
        );
        let challenge = get("code_challenge").map(str::to_owned);
        if let Some(challenge) = &challenge {
            assert_eq!(get("code_challenge_method"), Some("S256"));
            assert_eq!(challenge.len(), 43);
        }
        let grant = Grant {
            user: user.to_owned(),
            client: client.to_owned(),
            nonce: if openid {
                get("nonce").expect("a nonce")
            } else {
                ""
            }
            .to_owned(),
            openid,
            redirect_uri: get("redirect_uri").expect("a redirect_uri").to_owned(),
            challenge,
            since: now,
        };
        let state = get("state").expect("a state").to_owned();
        let uri = grant.redirect_uri.clone();
        let code = self.fresh("code");
        let mut fields = vec![
            ("code".to_owned(), code.clone()),
            ("state".to_owned(), state),
            ("session_state".to_owned(), "there".to_owned()),
        ];
        if hybrid {
            let token = self.front_token(&grant, &code, &state_of(&fields), now);
            fields.extend(token.map(|token| ("id_token".to_owned(), token)));
        }
        if let Some(iss) = self.behaves.borrow().iss {
            fields.push(("iss".to_owned(), iss.to_owned()));
        }
        self.codes.borrow_mut().insert(code, grant);
        let posts = get("response_mode") == Some("form_post");
        Back { uri, fields, posts }
    }

    /// The ID token that goes through the browser (OpenID Connect Core section 3.3.2.11).
    fn front_token(&self, grant: &Grant, code: &str, state: &str, now: u64) -> Option<String> {
        let half = |text: &str| b64(&digest(&SHA256, text.as_bytes()).as_ref()[..16]);
        let claims = json!({
            "iss": ISSUER, "sub": format!("sub of {}", grant.user), "aud": grant.client,
            "iat": now, "exp": now + 300, "nonce": grant.nonce, "c_hash": half(code),
            "s_hash": half(state), "auth_time": grant.since,
        });
        let changes = self.behaves.borrow().front_claims.clone()?;
        let token = key("k1").token(&merged(claims, changes));
        self.issued.borrow_mut().push(token.clone());
        Some(token)
    }

    /// The token endpoint (RFC 6749 sections 4.1.3, 5 and 6).
    pub(crate) fn token(&self, call: &Call, now: u64) -> (u16, Value) {
        let form = pairs(&String::from_utf8_lossy(&call.body));
        let get = |name: &str| only(&form, name);
        let refused = |error: &str| (400, json!({"error": error, "error_description": "no"}));
        let basic = call
            .headers
            .iter()
            .find(|(name, _)| name == "authorization");
        let assertion = (
            get("client_assertion_type"),
            get("client_assertion").and_then(|assertion| assertion::method(assertion, now)),
        );
        let proof = match (basic, get("client_secret"), get("client_id")) {
            // What is asserted says it all.
            (None, None, None) if get("grant_type") == Some(ASSERTION_GRANT) => "nobody",
            (None, None, None) => match assertion {
                (Some(ASSERTION_TYPE), Some((method, jti))) if self.is_new(&jti) => method,
                _ => return (401, json!({"error": "invalid_client"})),
            },
            _ if assertion.0.is_some() => return (401, json!({"error": "invalid_client"})),
            (Some((_, value)), None, None) if value == BASIC => "basic",
            (Some((_, value)), None, None) if value == ROBOT_BASIC => "robot",
            (Some((_, value)), None, None) if value == SECOND_BASIC => "second",
            (None, Some(secret), Some(id)) if [id, secret] == ROBOT => "robot",
            (None, Some(secret), Some(CLIENT)) if secret == SECRET => "post",
            (None, None, Some(CLIENT)) => "none",
            (None, None, Some("robot")) => "public robot",
            _ => return (401, json!({"error": "invalid_client"})),
        };
        self.proofs.borrow_mut().push(proof);
        let client = if proof == "second" { SECOND[0] } else { CLIENT };
        match get("grant_type") {
            Some("authorization_code") if proof != "robot" => {
                let code = get("code").unwrap_or_default();
                let Some(grant) = self.codes.borrow_mut().remove(code) else {
                    return refused("invalid_grant");
                };
                let proven = match (&grant.challenge, get("code_verifier")) {
                    (None, None) => true,
                    (Some(challenge), Some(verifier)) => {
                        (43..=128).contains(&verifier.len())
                            && b64(digest(&SHA256, verifier.as_bytes()).as_ref()) == *challenge
                    }
                    _ => false,
                };
                if grant.client != client
                    || !proven
                    || get("redirect_uri") != Some(grant.redirect_uri.as_str())
                {
                    return refused("invalid_grant");
                }
                (200, self.tokens(&grant, now, true))
            }
            Some("refresh_token") if proof != "robot" => {
                let shown = get("refresh_token").unwrap_or_default();
                let known = self.refreshable.borrow().get(shown).cloned();
                // RFC 6749 section 6: it is bound to its client.
                let Some(grant) = known.filter(|grant| grant.client == client) else {
                    return refused("invalid_grant");
                };
                let behaves = self.behaves.borrow().clone();
                if behaves.rotates {
                    self.refreshable.borrow_mut().remove(shown);
                }
                (200, self.tokens(&grant, now, behaves.refreshed_id_token))
            }
            Some("password") if proof != "robot" => {
                let user = get("username").unwrap_or_default();
                let password = get("password").unwrap_or_default();
                if password != format!("the password of {user}") {
                    return refused("invalid_grant");
                }
                let grant = Grant {
                    client: client.to_owned(),
                    ..Grant::of(user, now)
                };
                (200, self.tokens(&grant, now, true))
            }
            Some(ASSERTION_GRANT) => {
                let shown = get("assertion").unwrap_or_default();
                let good_until = self.grantable.borrow().get(shown).copied();
                if good_until.is_none_or(|end| now >= end) {
                    return refused("invalid_grant");
                }
                let grant = Grant {
                    client: ROBOT[0].to_owned(),
                    ..Grant::of(ROBOT[0], now)
                };
                (200, self.tokens(&grant, now, true))
            }
            Some("client_credentials") => {
                let client = if proof == "robot" { ROBOT[0] } else { CLIENT };
                let mut tokens = self.tokens(&Grant::of(client, now), now, false);
                tokens["refresh_token"].take();
                tokens
                    .as_object_mut()
                    .expect("an object")
                    .remove("refresh_token");
                (200, tokens)
            }
            _ => refused("unsupported_grant_type"),
        }
    }

    /// Whether an assertion with this `jti` was never seen before.
    fn is_new(&self, jti: &str) -> bool {
        let mut seen = self.assertions.borrow_mut();
        let new = !seen.iter().any(|known| known == jti);
        seen.push(jti.to_owned());
        new
    }

    fn tokens(&self, grant: &Grant, now: u64, with_id_token: bool) -> Value {
        let behaves = self.behaves.borrow().clone();
        let claims = json!({
            "iss": ISSUER, "sub": format!("sub of {}", grant.user), "aud": "account", "azp": CLIENT,
            "iat": now, "exp": now + behaves.lifetime, "jti": self.fresh("jti"),
            "scope": "openid profile", "preferred_username": grant.user,
            "padding": self.noise(behaves.padding),
        });
        let claims = merged(claims, behaves.access_claims.clone());
        let access = if behaves.opaque {
            self.fresh("access")
        } else {
            key("k1").token(&claims)
        };
        self.access.borrow_mut().insert(access.clone(), claims);
        let mut answer = json!({
            "access_token": access, "token_type": "Bearer", "expires_in": behaves.lifetime,
            "scope": "openid profile",
        });
        let mut issued = vec![access.clone()];
        if behaves.id_token && with_id_token && grant.openid {
            let half = digest(&SHA256, access.as_bytes());
            let claims = json!({
                "iss": ISSUER, "sub": format!("sub of {}", grant.user), "aud": grant.client,
                "iat": now, "exp": now + 300, "auth_time": grant.since, "nonce": grant.nonce,
                "at_hash": b64(&half.as_ref()[..16]), "preferred_username": grant.user,
                "sid": "there",
            });
            let claims = merged(claims, behaves.id_claims.clone());
            let forge = behaves.forge.unwrap_or(|claims| key("k1").token(claims));
            let token = forge(&claims);
            answer["id_token"] = token.as_str().into();
            self.id_tokens.borrow_mut().push(token.clone());
            issued.push(token);
        }
        if behaves.refresh {
            let token = self.fresh("refresh");
            answer["refresh_token"] = token.as_str().into();
            self.refreshable
                .borrow_mut()
                .insert(token.clone(), grant.clone());
            issued.push(token);
        }
        self.issued.borrow_mut().extend(issued);
        answer
    }

    /// A text that was never there before.
    fn fresh(&self, kind: &str) -> String {
        self.count.set(self.count.get() + 1);
        format!("{kind}-{:016x}", Random::new(self.count.get()).next())
    }

    fn noise(&self, length: usize) -> String {
        let random = Random::new(self.count.get());
        let bytes: Vec<u8> = std::iter::repeat_with(|| random.next().to_le_bytes()[0])
            .take(length)
            .collect();
        b64(&bytes)
    }
}
