//! What a provider says of a token when it is asked: introspection (RFC 7662, RFC 9701) and userinfo (OpenID Connect
//! Core section 5.3).

use serde_json::{Value, json};

use super::habits::Habits;
use super::login::{Fields, Logins, Own, merge};
use crate::issuer::now;

impl Logins {
    pub(super) fn introspect(&self, form: &Fields, basic: Option<&str>, accept: &str) -> Own {
        let client = match self.client(form, basic) {
            Ok(client) => client,
            Err(own) => return own,
        };
        let said = match self.alive(form.get("token").map_or("", String::as_str)) {
            Some((claims, _)) => {
                let mut said = claims.clone();
                said["active"] = true.into();
                said
            }
            None => json!({"active": false}),
        };
        if accept != "application/token-introspection+jwt" {
            return Own::json(200, &said);
        }
        let claims = json!({
            "iss": Habits::issuer_of(self.habits.issuer, self.port),
            "aud": client,
            "iat": now(),
            "token_introspection": said,
        });
        self.signed(
            "token-introspection+jwt",
            &claims,
            "application/token-introspection+jwt",
        )
    }

    pub(super) fn userinfo(&self, authorization: Option<&str>, accept: &str) -> Own {
        let token = authorization.and_then(|value| value.strip_prefix("Bearer "));
        let found = token.and_then(|token| self.alive(token));
        let found =
            found.filter(|(_, names_api)| !(*names_api && self.habits.userinfo_is_another_api));
        let Some((claims, _)) = found else {
            return Own::error("invalid_token", "no such token");
        };
        let mut said = json!({});
        for name in ["sub", "preferred_username", "email"] {
            if let Some(value) = claims.get(name) {
                said[name] = value.clone();
            }
        }
        if accept != "application/jwt" {
            return Own::json(200, &said);
        }
        let about = json!({
            "iss": Habits::issuer_of(self.habits.issuer, self.port),
            "aud": super::CLIENT.0,
        });
        merge(&mut said, &about);
        self.signed("JWT", &said, "application/jwt")
    }

    fn alive(&self, token: &str) -> Option<&(Value, bool)> {
        let found = self.access.get(token);
        found.filter(|(claims, _)| claims["exp"].as_u64().is_some_and(|end| end > now()))
    }

    fn signed(&self, typ: &str, claims: &Value, kind: &'static str) -> Own {
        let key = self.key;
        let header = json!({"alg": key.alg, "typ": typ, "kid": key.kid});
        Own {
            status: 200,
            kind,
            location: None,
            body: key.token_with(&header, claims),
        }
    }
}
