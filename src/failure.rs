//! A refusal, and the answer that a client gets for it (specification section 13, RFC 6750 section 3).
//!
//! The operator learns the code and the reason from the log; the stranger learns neither, unless
//! `display_errors` says so.

use std::rc::Rc;

use serde_json::json;

use crate::account::Who;
use crate::config::Config;
use crate::http::{GrpcStatus, Request, Response};

/// Why a request does not go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What kind of answer it gets.
    pub kind: Kind,
    /// A stable name for logs and dashboards, in `snake_case`.
    pub code: &'static str,
    /// The reason in words, for the operator. Never holds a token or a secret.
    pub reason: String,
    /// Who is refused, where that is known: for the access log.
    pub who: Option<Rc<Who>>,
}

/// The kinds of failure answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// 401 without an error code: the client showed nothing (RFC 6750 section 3).
    NoCredential,
    /// 401 `invalid_token`: what the client showed is no good.
    BadCredential,
    /// 400: the request contradicts itself.
    BadRequest,
    /// 403 `insufficient_scope`: known, but not allowed.
    Forbidden,
    /// 500: we or the provider failed; nobody is let in for that.
    Unexpected,
}

impl Refusal {
    /// A credential that is no good.
    pub fn bad_credential(code: &'static str, reason: impl Into<String>) -> Refusal {
        Refusal::new(Kind::BadCredential, code, reason)
    }

    /// A failure of the provider, or of ours.
    pub fn unexpected(code: &'static str, reason: impl Into<String>) -> Refusal {
        Refusal::new(Kind::Unexpected, code, reason)
    }

    /// A refusal of any kind.
    pub fn new(kind: Kind, code: &'static str, reason: impl Into<String>) -> Refusal {
        Refusal {
            kind,
            code,
            reason: reason.into(),
            who: None,
        }
    }

    /// The same refusal of somebody who is known.
    pub fn about(mut self, who: &Rc<Who>) -> Refusal {
        self.who = Some(who.clone());
        self
    }

    /// The answer to the client. One of gRPC gets a status and a message of gRPC, and no redirect, which it could
    /// not follow.
    pub fn answer(&self, config: &Config, request: &Request) -> Response {
        let client = config.client(request);
        let (status, message, redirect) = match self.kind {
            Kind::NoCredential | Kind::BadCredential => (
                401,
                config.failures.unauthorized_message.as_str(),
                client.unauthorized_redirect.as_ref(),
            ),
            Kind::Forbidden => (
                403,
                config.failures.forbidden_message.as_str(),
                client.forbidden_redirect.as_ref(),
            ),
            Kind::BadRequest => (400, "Bad request", None),
            Kind::Unexpected => (500, UNEXPECTED_MESSAGE, client.unexpected_redirect.as_ref()),
        };
        let grpc = request.is_grpc();
        if let Some(location) = redirect.filter(|_| !grpc) {
            return Response::new(302).with("location", location.as_str().as_bytes());
        }
        let mut body = json!({ "message": message });
        if config.failures.display_errors
            && let Some(members) = body.as_object_mut()
        {
            members.insert("code".to_owned(), json!(self.code));
            members.insert("reason".to_owned(), json!(self.reason));
        }
        let answer = match grpc {
            true => for_grpc(status, message),
            false => Response::new(status).with_json(&body),
        };
        match self.challenge(config) {
            Some(challenge) => answer.with("www-authenticate", challenge.as_bytes()),
            None => answer,
        }
    }

    /// `WWW-Authenticate` (RFC 6750 section 3): no error code where no credential was shown.
    fn challenge(&self, config: &Config) -> Option<String> {
        let error = match self.kind {
            Kind::NoCredential => None,
            Kind::BadCredential => Some("invalid_token"),
            Kind::Forbidden => Some("insufficient_scope"),
            Kind::BadRequest | Kind::Unexpected => return None,
        };
        let realm = quoted(&config.provider.issuer.identifier);
        Some(match error.filter(|_| config.failures.expose_error_code) {
            Some(error) => format!("Bearer realm=\"{realm}\", error=\"{error}\""),
            None => format!("Bearer realm=\"{realm}\""),
        })
    }
}

/// The answer where there is no configuration to ask, or no time for it.
pub fn unexpected(grpc: bool) -> Response {
    match grpc {
        true => for_grpc(500, UNEXPECTED_MESSAGE),
        false => Response::new(500).with_json(&json!({ "message": UNEXPECTED_MESSAGE })),
    }
}

/// An answer to a client of gRPC: the numbers are UNAUTHENTICATED, PERMISSION_DENIED, INVALID_ARGUMENT and
/// UNAVAILABLE.
fn for_grpc(status: u16, message: &str) -> Response {
    let code = match status {
        401 => 16,
        403 => 7,
        400 => 3,
        _ => 14,
    };
    let message = message.to_owned();
    Response {
        grpc: Some(GrpcStatus { code, message }),
        ..Response::new(status)
    }
}

const UNEXPECTED_MESSAGE: &str = "An unexpected error occurred";

/// A text inside a quoted-string (RFC 9110 section 5.6.4).
fn quoted(text: &str) -> String {
    text.chars()
        .filter(|letter| *letter != '"' && *letter != '\\')
        .collect()
}
