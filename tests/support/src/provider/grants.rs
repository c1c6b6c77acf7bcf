//! The token endpoint (RFC 6749 sections 4 to 6, RFC 7523 section 2.1): who asks, for which grant, and what is given. A
//! refresh token is rotated, and good once.

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::habits::{Access, Api, Habits, Refresh, Scopes};
use super::login::{Fields, Grant, Logins, Own, fields, merge};
use super::{CLIENT, PASSWORD, PERSON, ROBOT};
use crate::issuer::{self, SigningKey, b64, claims};

/// The grant of RFC 7523.
const ASSERTION: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// The scopes that are about a person.
const OF_A_PERSON: [&str; 5] = ["openid", "profile", "email", "phone", "address"];

impl Refresh {
    pub(super) fn is_asked(self, grant: &Grant, asked: &Fields) -> bool {
        match self {
            Refresh::Always => true,
            Refresh::Scope(scope) => grant.scopes().contains(&scope),
            Refresh::Argument(name, value) => asked.get(name).is_some_and(|own| own == value),
        }
    }
}

impl Logins {
    /// The client that a call comes from, by what it proves (RFC 6749 section 2.3).
    pub(super) fn client(&self, form: &Fields, basic: Option<&str>) -> Result<String, Own> {
        let by_header = basic
            .and_then(|value| value.strip_prefix("Basic "))
            .and_then(|value| STANDARD.decode(value).ok())
            .and_then(|pair| String::from_utf8(pair).ok());
        let shown = match by_header {
            Some(_) if form.contains_key("client_secret") => {
                return Err(Own::error("invalid_request", "two proofs of a client"));
            }
            Some(pair) => {
                // Name and secret are form-encoded there (RFC 6749 section 2.3.1).
                let read = |text: &str| {
                    let text = format!("x={text}");
                    fields(text.as_bytes()).remove("x").unwrap_or_default()
                };
                pair.split_once(':')
                    .map(|(name, secret)| (read(name), Some(read(secret))))
            }
            None => {
                let secret = form.get("client_secret").cloned();
                form.get("client_id").map(|id| (id.clone(), secret))
            }
        };
        let known = [(CLIENT.0, self.habits.secret), (ROBOT.0, Some(ROBOT.1))];
        match shown {
            Some((id, secret)) if known.contains(&(&id, secret.as_deref())) => Ok(id),
            _ => Err(Own::error("invalid_client", "another client or secret")),
        }
    }

    pub(super) fn token(&mut self, form: Fields, basic: Option<&str>) -> Own {
        self.forms.push(form.clone());
        match self.grant(&form, basic) {
            Ok((grant, is_login)) => {
                let answer = self.give(&grant, is_login);
                Own::json(200, &answer)
            }
            Err(own) => own,
        }
    }

    /// What is granted, and whether a person logged in for it.
    fn grant(&mut self, form: &Fields, basic: Option<&str>) -> Result<(Grant, bool), Own> {
        let get = |name: &str| form.get(name).cloned().unwrap_or_default();
        let kind = get("grant_type");
        if kind == ASSERTION {
            // The assertion says for whom it is: no client has to prove itself.
            let subject = self.asserted(&get("assertion"))?;
            return Ok((Grant::of(&subject, &subject, form), false));
        }
        let client = self.client(form, basic)?;
        match kind.as_str() {
            "authorization_code" => self.redeemed(form, &client).map(|grant| (grant, true)),
            "refresh_token" => {
                let known = self.refresh_tokens.remove(&get("refresh_token"));
                let mut grant = known
                    .filter(|grant| grant.client == client)
                    .ok_or_else(|| Own::error("invalid_grant", "no such refresh token"))?;
                grant.nonce = None;
                Ok((grant, true))
            }
            "password" => {
                if (get("username").as_str(), get("password").as_str()) != PASSWORD {
                    return Err(Own::error("invalid_grant", "another name or password"));
                }
                Ok((Grant::of(&client, PERSON, form), true))
            }
            "client_credentials" => {
                let grant = Grant::of(&client, &client, form);
                let of_a_person = grant.scopes().iter().any(|own| OF_A_PERSON.contains(own));
                if self.habits.openid_needs_a_person && of_a_person {
                    let why = "Cannot request 'openid' scopes using client credentials";
                    return Err(Own::error("invalid_scope", why));
                }
                if self.habits.api == Api::ByAudience && grant.audience.is_none() {
                    let why = "No audience parameter was provided, and no default audience has been configured";
                    return Err(Own::error("access_denied", why));
                }
                Ok((grant, false))
            }
            _ => Err(Own::error("unsupported_grant_type", "another grant")),
        }
    }

    fn redeemed(&mut self, form: &Fields, client: &str) -> Result<Grant, Own> {
        let refuse = |why: &str| Err(Own::error("invalid_grant", why));
        let Some(mut grant) = form.get("code").and_then(|code| self.codes.remove(code)) else {
            return refuse("no such code");
        };
        if grant.client != client {
            return refuse("the code of another client");
        }
        if form.get("redirect_uri") != Some(&grant.redirect_uri) {
            return refuse("another redirect_uri");
        }
        let hashed = form
            .get("code_verifier")
            .map(|verifier| b64(digest::digest(&digest::SHA256, verifier.as_bytes()).as_ref()));
        if hashed != grant.challenge {
            return refuse("another code_verifier");
        }
        // Both endpoints may be asked for an audience.
        grant.audience = grant.audience.or_else(|| form.get("audience").cloned());
        Ok(grant)
    }

    /// The subject of an assertion (RFC 7523 section 3), which [`SigningKey::second`] signs.
    fn asserted(&self, assertion: &str) -> Result<String, Own> {
        let read = || {
            let mut parts = assertion.splitn(3, '.');
            let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).ok();
            let (header, payload) = (decode(parts.next()?)?, decode(parts.next()?)?);
            // The signatures of RS256 are always the same.
            let good = SigningKey::second().sign(&header, &payload) == assertion;
            good.then(|| serde_json::from_slice::<Value>(&payload).ok())?
        };
        let refuse = |why: &str| Own::error("invalid_grant", why);
        let found = read().ok_or_else(|| refuse("an assertion that is not signed"))?;
        if found["aud"] != json!(Habits::issuer_of(self.habits.issuer, self.port)) {
            return Err(refuse("an assertion for somebody else"));
        }
        if found["exp"].as_u64().is_none_or(|end| end <= issuer::now()) {
            return Err(refuse("an assertion that has ended"));
        }
        let subject = found["sub"].as_str();
        subject
            .map(str::to_owned)
            .ok_or_else(|| refuse("an assertion about nobody"))
    }

    fn give(&mut self, grant: &Grant, is_login: bool) -> Value {
        let (tokens, habits) = (self.tokens.clone(), self.habits.clone());
        let names_api = match habits.api {
            Api::Always => true,
            Api::ByAudience => grant.audience.is_some(),
            Api::ByScope => grant.scopes().into_iter().any(|scope| {
                let scope = scope.strip_prefix("api://").unwrap_or(scope);
                scope.starts_with(&format!("{}/", grant.client))
            }),
        };
        let mut access = self.access_claims(grant);
        access["exp"] = (access["iat"].as_u64().unwrap_or_default() + tokens.lifetime).into();
        access["jti"] = self.next("access").into();
        merge(&mut access, &tokens.access);
        let kind = if names_api {
            habits.access
        } else {
            habits.otherwise
        };
        let access_token = self.access_token(kind, &access);
        self.access
            .insert(access_token.clone(), (access, names_api));
        let mut answer = json!({
            "access_token": access_token,
            "token_type": "Bearer",
            "expires_in": tokens.lifetime,
            "scope": match habits.scopes {
                Scopes::Fixed => "openid",
                _ => &grant.scope,
            },
        });
        if is_login {
            answer["id_token"] = self.id_token(grant).into();
            if grant.may_refresh {
                let refresh_token = self.next("refresh");
                self.refresh_tokens
                    .insert(refresh_token.clone(), grant.clone());
                answer["refresh_token"] = refresh_token.into();
            }
        }
        merge(&mut answer, &tokens.answer);
        answer
    }

    fn access_claims(&self, grant: &Grant) -> Value {
        let habits = &self.habits;
        let named = habits.access_issuer.unwrap_or(habits.issuer);
        let mut access = claims(&Habits::issuer_of(named, self.port));
        if let Some(audience) = &grant.audience {
            access["aud"] = audience.as_str().into();
        }
        access["sub"] = grant.subject.as_str().into();
        merge(&mut access, &json!({"azp": null}));
        access[habits.client_claim] = grant.client.as_str().into();
        if habits.scopes != Scopes::Fixed {
            merge(&mut access, &json!({"scope": null}));
        }
        match habits.scopes {
            Scopes::Fixed => {}
            Scopes::Text(claim) => access[claim] = grant.scope.as_str().into(),
            Scopes::List(claim) => access[claim] = grant.scopes().into(),
        }
        let mut own = &habits.access_claims;
        if grant.is_of_a_client() {
            let person = json!({"preferred_username": null, "email": null});
            merge(&mut access, &person);
            own = habits.client_claims.as_ref().unwrap_or(own);
        }
        merge(&mut access, own);
        access
    }

    fn access_token(&self, kind: Access, claims: &Value) -> String {
        match kind {
            Access::Jwt => self.key.token(claims),
            Access::Opaque => format!("ya29.{}", claims["jti"].as_str().unwrap_or_default()),
            Access::Unpublished => SigningKey::unpublished().token(claims),
            Access::Nonce => {
                let nonce = "a nonce of this token";
                let hashed = b64(digest::digest(&digest::SHA256, nonce.as_bytes()).as_ref());
                let header = |nonce: &str| json!({"alg": self.key.alg, "typ": "JWT", "kid": self.key.kid, "nonce": nonce});
                let signed = self.key.token_with(&header(&hashed), claims);
                let (_, rest) = signed.split_once('.').expect("a token");
                format!("{}.{rest}", b64(header(nonce).to_string().as_bytes()))
            }
            Access::Encrypted => issuer::encrypted(claims),
        }
    }

    fn id_token(&self, grant: &Grant) -> String {
        let habits = &self.habits;
        let named = habits.id_issuer.unwrap_or(habits.issuer);
        let mut id = claims(&Habits::issuer_of(named, self.port));
        id["sub"] = grant.subject.as_str().into();
        id["aud"] = grant.client.as_str().into();
        id["azp"] = grant.client.as_str().into();
        if let Some(nonce) = &grant.nonce {
            id["nonce"] = nonce.as_str().into();
        }
        merge(&mut id, &habits.id_claims);
        merge(&mut id, &self.tokens.id);
        let mut id_token = self.id_key.token(&id);
        if self.tokens.bad_signature {
            // Not the very last letter, which holds unused bits.
            let at = id_token.len() - 3;
            let other = if id_token.as_bytes()[at] == b'A' {
                "B"
            } else {
                "A"
            };
            id_token.replace_range(at..=at, other);
        }
        id_token
    }
}
