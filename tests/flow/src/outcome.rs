//! What becomes of a request.

use oidc_filter::http::Response;
use serde_json::Value;

use crate::forward::Forwarded;

/// A request that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub(crate) u32);

/// What became of a request.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It reached the upstream, looking like this.
    Forwarded(Forwarded),
    /// It was answered by the filter.
    Answered(Response),
    /// It waits.
    Paused,
    /// Its client left while it waited.
    Left,
}

impl Outcome {
    /// What the upstream got.
    ///
    /// # Panics
    /// When the request was not forwarded.
    #[must_use]
    #[track_caller]
    pub fn forwarded(&self) -> &Forwarded {
        match self {
            Outcome::Forwarded(forwarded) => forwarded,
            other => panic!("not forwarded: {}", other.describe()),
        }
    }

    /// The answer of the filter.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    #[track_caller]
    pub fn answer(&self) -> &Response {
        match self {
            Outcome::Answered(answer) => answer,
            other => panic!("not answered: {}", other.describe()),
        }
    }

    /// The upstream got this user, and only this one, in `x-user`. Only the filter writes that header.
    ///
    /// # Panics
    /// When it did not.
    #[track_caller]
    pub fn assert_user(&self, user: &str) {
        let seen = self.forwarded().all("x-user");
        assert_eq!(seen, [user], "the user that the upstream saw");
    }

    /// The filter answered with this status.
    ///
    /// # Panics
    /// When it did not.
    #[track_caller]
    pub fn assert_status(&self, status: u16) {
        let answer = self.answer();
        assert_eq!(answer.status, status, "{}", self.describe());
    }

    /// The access token that the upstream got.
    ///
    /// # Panics
    /// When it got none.
    #[must_use]
    #[track_caller]
    pub fn upstream_token(&self) -> String {
        let header = self.forwarded().header("authorization");
        let header = header.expect("a token");
        header.strip_prefix("Bearer ").expect("Bearer").to_owned()
    }

    /// Whether the request still waits.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        matches!(self, Outcome::Paused)
    }

    /// Whether the request reached the upstream.
    #[must_use]
    pub fn is_forwarded(&self) -> bool {
        matches!(self, Outcome::Forwarded(_))
    }

    /// A header of the filter's answer.
    ///
    /// # Panics
    /// When there is no answer.
    #[must_use]
    #[track_caller]
    pub fn answer_header(&self, name: &str) -> Option<String> {
        let answer = self.answer();
        let found = answer.headers.iter().find(|(own, _)| *own == name);
        found.map(|(_, value)| String::from_utf8_lossy(value).into_owned())
    }

    /// The answer's body as JSON.
    ///
    /// # Panics
    /// When there is no such body.
    #[must_use]
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.answer().body).expect("a JSON body")
    }

    fn describe(&self) -> String {
        match self {
            Outcome::Forwarded(forwarded) => format!("forwarded: {forwarded:?}"),
            Outcome::Answered(answer) => format!(
                "{} {}",
                answer.status,
                String::from_utf8_lossy(&answer.body)
            ),
            Outcome::Paused => "it waits".to_owned(),
            Outcome::Left => "the client left".to_owned(),
        }
    }
}
