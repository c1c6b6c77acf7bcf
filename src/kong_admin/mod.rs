//! Kong's Admin API: what is asked there about Kong's own OAuth 2.0 tokens, and what comes back
//! (specification section 4.3). Nothing here calls, waits or remembers.
//!
//! Three questions, each with the answer of the one before: the token's row ([`AdminApi::token`]), the
//! credential that it was issued to ([`AdminApi::credential`]), and that one's owner ([`AdminApi::consumer`]).
//! Kong has no introspection endpoint, so [`TokenRow::check`] repeats the rules of its OAuth2 plugin.

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error};
use url::Url;

use crate::config::KongAdmin;
use crate::failure::Refusal;
use crate::host::Time;
use crate::http::{Answer, Call};
use crate::oauth::answer::{MAX_ANSWER, USER_AGENT};
use crate::oauth::same_secret;

/// The longest token that is asked about, in bytes. Kong's own have 32.
const LONGEST_TOKEN: usize = 512;

/// The longest id, in bytes. A UUID has 36.
const LONGEST_ID: usize = 64;

/// A token that may be one of Kong's: letters and digits, so that it can stand in a path and mean nothing else
/// there. Kong issues no others.
#[derive(Clone, Copy)]
pub struct ShownToken<'a>(&'a str);

impl<'a> ShownToken<'a> {
    /// `None`: Kong did not issue it.
    pub fn new(text: &'a str) -> Option<ShownToken<'a>> {
        let fits = (1..=LONGEST_TOKEN).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        fits.then_some(ShownToken(text))
    }
}

/// The id of one of Kong's entities, fit for a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Id(String);

impl Id {
    /// The id itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Id, D::Error> {
        let text = String::deserialize(deserializer)?;
        let fits = (1..=LONGEST_ID).contains(&text.len())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        match fits {
            true => Ok(Id(text)),
            false => Err(D::Error::custom("no id")),
        }
    }
}

/// The Admin API, and who we are there.
pub struct AdminApi<'a> {
    /// What the configuration says of it.
    pub settings: &'a KongAdmin,
    /// The Envoy cluster that leads there.
    pub cluster: String,
}

impl AdminApi<'_> {
    /// Asks for the row of a token. Its answer is for [`TokenRow::read`].
    pub fn token(&self, token: ShownToken<'_>) -> Call {
        self.get(&["oauth2_tokens", token.0])
    }

    /// Asks for the credential of a token. Its answer is for [`Credential::read`].
    pub fn credential(&self, token: ShownToken<'_>) -> Call {
        self.get(&["oauth2_tokens", token.0, "credential"])
    }

    /// Asks for a Consumer. Its answer is for [`Consumer::read`].
    pub fn consumer(&self, id: &Id) -> Call {
        self.get(&["consumers", id.as_str()])
    }

    fn get(&self, segments: &[&str]) -> Call {
        let mut headers: Vec<(String, String)> =
            [("accept", "application/json"), ("user-agent", USER_AGENT)]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into();
        if let Some(token) = &self.settings.token {
            headers.push(("kong-admin-token".to_owned(), token.expose().to_owned()));
        }
        Call {
            method: "GET",
            url: below(&self.settings.url, segments),
            cluster: self.cluster.clone(),
            headers,
            body: Vec::new(),
            timeout: self.settings.timeout_ms,
        }
    }
}

/// The address below another one. Enterprise's workspace stays where it stands: before the rest.
fn below(base: &Url, segments: &[&str]) -> Url {
    let mut url = base.clone();
    // An http URL has segments always.
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url
}

/// A row of Kong's `oauth2_tokens`.
#[derive(Deserialize)]
pub struct TokenRow {
    access_token: String,
    credential: Named,
    service: Option<Named>,
    /// Seconds since the Unix epoch.
    created_at: u64,
    /// Seconds; 0 is for ever.
    expires_in: u64,
    /// What it was issued for, words separated by spaces.
    pub scope: Option<String>,
    /// For whom it was issued, in the words of the application that asked for it.
    pub authenticated_userid: Option<String>,
}

/// Another entity, by its id.
#[derive(Deserialize)]
struct Named {
    id: Id,
}

impl TokenRow {
    /// Reads an answer: the row of the token that was shown, and of no other.
    pub fn read(answer: &Answer, shown: ShownToken<'_>) -> Result<TokenRow, Refusal> {
        let row: TokenRow = read(answer, "the token")?;
        // The path takes the row's own id as well, which is no secret: who knows an id has no token.
        if !same_secret(&row.access_token, shown.0) {
            return Err(unknown("Kong's row of that name is another token's"));
        }
        Ok(row)
    }

    /// Until when the token counts for this service (`None`: for ever), or why it does not count now: the rules
    /// of Kong's OAuth2 plugin, and that it was not issued later than `now`, as far as clocks may differ.
    pub fn check(
        &self,
        settings: &KongAdmin,
        service: Option<&str>,
        may_differ: u64,
        now: Time,
    ) -> Result<Option<Time>, Refusal> {
        let bound = self.service.as_ref().map(|service| service.id.as_str());
        match (bound, service) {
            (None, _) if settings.global_credentials => {}
            (None, _) => {
                return Err(Refusal::bad_credential(
                    "kong_token_global",
                    "Kong's token belongs to no service, and `kong_admin.global_credentials` is off",
                ));
            }
            (Some(bound), Some(service)) if bound.eq_ignore_ascii_case(service) => {}
            (Some(_), Some(_)) => {
                return Err(Refusal::bad_credential(
                    "kong_token_service",
                    "Kong's token belongs to another service",
                ));
            }
            (Some(_), None) => {
                return Err(Refusal::bad_credential(
                    "kong_token_service",
                    "Kong's token belongs to a service, and nobody says for which one this request is; \
                     write `kong_admin.service`",
                ));
            }
        }
        if Time::of_seconds(self.created_at) > now.plus_seconds(may_differ) {
            return Err(Refusal::bad_credential(
                "token_from_the_future",
                "Kong's token was issued later than now",
            ));
        }
        if self.expires_in == 0 {
            return Ok(None);
        }
        // It counts at that very moment, and no longer right after it.
        let last = Time::of_seconds(self.created_at).plus_seconds(self.expires_in);
        let end = Time(last.0.saturating_add(1));
        if now >= end {
            return Err(Refusal::bad_credential(
                "token_expired",
                "the token has expired",
            ));
        }
        Ok(Some(end))
    }
}

/// One of Kong's `oauth2_credentials`: the application that a token was issued to. The answer holds its secret,
/// which is passed over unread.
#[derive(Deserialize)]
pub struct Credential {
    id: Id,
    /// The application's id, as it is known to itself.
    pub client_id: String,
    consumer: Named,
}

impl Credential {
    /// Reads an answer: the credential that the row names.
    pub fn read(answer: &Answer, row: &TokenRow) -> Result<Credential, Refusal> {
        let credential: Credential = read(answer, "the token's credential")?;
        if credential.id != row.credential.id {
            return Err(unreadable("is another credential than the token's"));
        }
        Ok(credential)
    }

    /// Whose it is.
    pub fn consumer(&self) -> &Id {
        &self.consumer.id
    }
}

/// One of Kong's Consumers.
#[derive(Deserialize)]
pub struct Consumer {
    /// Its id.
    pub id: Id,
    /// Its name in Kong.
    pub username: Option<String>,
    /// Its name elsewhere.
    pub custom_id: Option<String>,
}

impl Consumer {
    /// Reads an answer: the Consumer of this id. The path takes names as well, and a name may look like an id.
    pub fn read(answer: &Answer, id: &Id) -> Result<Consumer, Refusal> {
        let consumer: Consumer = read(answer, "the token's owner")?;
        if consumer.id != *id {
            return Err(unreadable("is another Consumer than the token's owner"));
        }
        Ok(consumer)
    }
}

/// Status first, then content. A member that occurs twice is refused.
fn read<T: DeserializeOwned>(answer: &Answer, what: &str) -> Result<T, Refusal> {
    match answer.status {
        200 => {}
        404 => {
            return Err(unknown(&format!(
                "Kong does not know {what} (or `kong_admin.url` leads elsewhere)"
            )));
        }
        status @ (401 | 403) => {
            return Err(Refusal::unexpected(
                "kong_admin_refused",
                format!("Kong's Admin API answered {status}: look at `kong_admin.token`"),
            ));
        }
        status => {
            return Err(Refusal::unexpected(
                "kong_admin_failed",
                format!("Kong's Admin API answered {status}"),
            ));
        }
    }
    if answer.body.len() > MAX_ANSWER {
        return Err(unreadable("is longer than 256 KiB"));
    }
    serde_json::from_slice(&answer.body)
        .map_err(|_| unreadable(&format!("does not say what is known of {what}")))
}

fn unknown(reason: &str) -> Refusal {
    Refusal::bad_credential("kong_token_unknown", reason)
}

fn unreadable(why: &str) -> Refusal {
    Refusal::unexpected(
        "kong_admin_unreadable",
        format!("the answer of Kong's Admin API {why}"),
    )
}

#[cfg(test)]
mod tests;
