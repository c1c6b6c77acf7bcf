//! More data about a credential that is good by itself (specification section 2, step 11): a JWT is introspected as
//! well (`introspect_jwt_tokens`), and the userinfo endpoint is asked where claims or headers may come from there
//! (`search_user_info`, `upstream_user_info_header` and their like).

use std::borrow::Cow;
use std::rc::Rc;

use serde_json::Value;

use super::recent::key_of;
use super::said::{self, About, Said, Whom};
use crate::config::{Config, Fact};
use crate::failure::{Kind, Refusal};
use crate::host::{Host, Time};
use crate::http::Request;
use crate::oauth::userinfo::check_subject;
use crate::policy::Policy;
use crate::provider::KeySet;
use crate::session::Session;
use crate::upstream::{Identity, Told};

/// What the provider said beside.
#[derive(Clone, Default)]
pub struct More {
    /// Of the access token.
    pub introspection: Option<Rc<Said>>,
    /// Of the person.
    pub userinfo: Option<Rc<Said>>,
}

impl More {
    /// When the first of it ends.
    pub fn end(&self) -> Option<Time> {
        self.all().filter_map(|said| said.end).min()
    }

    /// Until when what rests on it may be kept.
    pub fn until(&self) -> Time {
        self.all().map(|said| said.until).min().unwrap_or(Time::END)
    }

    /// The identity with this.
    pub fn add_to<'a>(&'a self, identity: Identity<'a>) -> Identity<'a> {
        Identity {
            introspection: self.introspection.as_ref().map(|said| &said.claims),
            userinfo: self.userinfo.as_ref().map(|said| &said.claims),
            ..identity
        }
    }

    /// The headers of this identity. `value` gives what is neither a claim nor of this.
    pub fn told(
        &self,
        identity: Identity<'_>,
        config: &Config,
        value: &dyn Fn(Fact) -> Option<String>,
    ) -> Told {
        let jwt = |said: &Option<Rc<Said>>| said.as_ref()?.jwt.clone();
        Told::of(identity, config, &|fact| match fact {
            Fact::IntrospectionJwt => jwt(&self.introspection),
            Fact::UserinfoJwt => jwt(&self.userinfo),
            fact => value(fact),
        })
    }

    fn all(&self) -> impl Iterator<Item = &Rc<Said>> {
        self.introspection.iter().chain(&self.userinfo)
    }
}

/// Whether a token is a signed JWT by its looks (RFC 7515 section 3.1).
pub fn is_jwt(token: &str) -> bool {
    token.bytes().filter(|byte| *byte == b'.').count() == 2
}

/// Who is asked, beside the one who was asked anyway.
fn wanted(policy: &Policy, token: &str, main: Option<Whom>) -> impl Iterator<Item = Whom> {
    let introspection = policy.config.introspection.jwt_tokens && is_jwt(token);
    let userinfo = policy.wants_userinfo;
    [
        introspection.then_some(Whom::Introspection),
        userinfo.then_some(Whom::Userinfo),
    ]
    .into_iter()
    .flatten()
    .filter(move |whom| Some(*whom) != main)
}

/// What a verdict is kept under: all that it depends on. The token itself, where nobody is asked.
pub fn key<'a>(policy: &Policy, about: About<'a>, main: Option<Whom>) -> Cow<'a, [u8]> {
    let mut keys = main
        .into_iter()
        .chain(wanted(policy, about.token, main))
        .map(|whom| said::key(policy, about, whom))
        .peekable();
    if keys.peek().is_none() {
        return Cow::Borrowed(about.token.as_bytes());
    }
    let keys: Vec<_> = keys.collect();
    Cow::Owned(key_of(keys.iter().map(|key| &key[..])).to_vec())
}

/// Asks for all that is wanted. `subject`: whom the credential is about, as far as it tells.
pub async fn of(
    policy: &Rc<Policy>,
    host: &Rc<dyn Host>,
    about: About<'_>,
    subject: Option<&str>,
    main: Option<Whom>,
) -> Result<More, Refusal> {
    let mut more = More::default();
    for whom in wanted(policy, about.token, main) {
        let said = said::ask(policy, host, about, whom).await;
        let said = or_before(policy, host.now(), about, whom, said)?;
        more.add(whom, said, subject)?;
    }
    Ok(more)
}

/// What was said, or else, where the userinfo endpoint fails, what it said before (row S `cache_ttl_resurrect`).
/// That is about the person: whether the token is good was found out elsewhere, and what introspection said of it
/// is never revived. Nothing that rests on it is kept, so the endpoint is asked again.
fn or_before(
    policy: &Policy,
    now: Time,
    about: About<'_>,
    whom: Whom,
    said: Result<Rc<Said>, Refusal>,
) -> Result<Rc<Said>, Refusal> {
    let Some(longer) = policy.config.caching.ttl_resurrect else {
        return said;
    };
    if whom != Whom::Userinfo {
        return said;
    }
    let before = &policy.informed_before;
    let key = said::key(policy, about, whom);
    match said {
        // Where nothing may be kept, it ended as it came.
        Ok(said) if now < said.until => {
            let until = said.until.plus_seconds(longer);
            before.put(key, Ok(said.clone()), until, now);
            Ok(said)
        }
        Err(refusal) if refusal.kind == Kind::Unexpected => {
            before.get(&key, now).unwrap_or(Err(refusal))
        }
        Err(refusal) => {
            // It took its word back.
            before.put(key, Err(refusal.clone()), now, now);
            Err(refusal)
        }
        Ok(said) => Ok(said),
    }
}

impl More {
    fn add(&mut self, whom: Whom, said: Rc<Said>, subject: Option<&str>) -> Result<(), Refusal> {
        match whom {
            Whom::Introspection => self.introspection = Some(said),
            Whom::Userinfo => {
                // Else what is said of somebody else would be taken for this one's.
                if let Some(subject) = subject {
                    check_subject(&said.claims, subject)?;
                }
                self.userinfo = Some(said);
            }
        }
        Ok(())
    }
}

/// A session's token, as its request asks about it. A client that got in for itself is no person: nobody is asked
/// who it is.
struct OfSession<'a> {
    about: About<'a>,
    subject: Option<&'a str>,
    but: Option<Whom>,
}

impl<'a> OfSession<'a> {
    fn new(policy: &Policy, request: &'a Request, session: &'a Session) -> Option<Self> {
        let mut clients = policy.config.clients.iter();
        let client = clients.position(|client| client.id.as_deref() == Some(&session.client_id));
        let no_person = session.method == crate::config::AuthMethod::ClientCredentials.name();
        let token = session.access_token.as_deref()?;
        Some(OfSession {
            about: About {
                token,
                client: client.unwrap_or(0),
                request,
            },
            // Where neither token says who it is, the userinfo was the first to.
            subject: Some(session.subject.as_str())
                .filter(|_| session.id_token.is_some() || is_jwt(token))
                .filter(|subject| !subject.is_empty()),
            but: no_person.then_some(Whom::Userinfo),
        })
    }
}

/// What is wanted of a session's token, where all of it is known.
pub fn known_of_session(
    policy: &Policy,
    now: Time,
    request: &Request,
    session: &Session,
) -> Option<Result<More, Refusal>> {
    let mut more = More::default();
    let Some(of) = OfSession::new(policy, request, session) else {
        return Some(Ok(more));
    };
    for whom in wanted(policy, of.about.token, of.but) {
        let said = said::known(policy, now, of.about, whom)?;
        let said = match or_before(policy, now, of.about, whom, said) {
            Ok(said) => said,
            Err(refusal) => return Some(Err(refusal)),
        };
        if let Err(refusal) = more.add(whom, said, of.subject) {
            return Some(Err(refusal));
        }
    }
    Some(Ok(more))
}

/// The same, asked for where it is not known.
pub async fn of_session(
    policy: &Rc<Policy>,
    host: &Rc<dyn Host>,
    request: &Request,
    session: &Session,
) -> Result<More, Refusal> {
    match OfSession::new(policy, request, session) {
        Some(about) => of(policy, host, about.about, about.subject, about.but).await,
        None => Ok(More::default()),
    }
}

/// Who logged in, where the tokens do not say (plain OAuth 2.0): by the userinfo's word, or else by that of the
/// introspection endpoint, whichever there is.
pub async fn subject(
    policy: &Rc<Policy>,
    host: &Rc<dyn Host>,
    request: &Request,
    session: &Session,
    keys: &KeySet,
) -> Result<String, Refusal> {
    let (config, metadata) = (&policy.config, &keys.metadata);
    let userinfo = config.userinfo.endpoint.as_ref();
    let introspection = config.introspection.endpoint.as_ref();
    let (whom, names) = if userinfo.or(metadata.userinfo_endpoint.as_ref()).is_some() {
        // Providers of OAuth 2.0 alone call it `id`.
        (Whom::Userinfo, ["sub", "id"])
    } else if introspection
        .or(metadata.introspection_endpoint.as_ref())
        .is_some()
    {
        (Whom::Introspection, ["sub", "username"])
    } else {
        return Err(Refusal::unexpected(
            "no_subject",
            "nothing says who logged in: `scopes` asks for no ID token, and there is neither a userinfo nor an \
             introspection endpoint; add `openid`, `userinfo_endpoint` or `introspection_endpoint`",
        ));
    };
    let Some(of) = OfSession::new(policy, request, session) else {
        return Err(Refusal::unexpected(
            "no_subject",
            "there is no access token",
        ));
    };
    let said = said::ask(policy, host, of.about, whom).await?;
    let found = names.iter().find_map(|name| match said.claims.get(*name)? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    });
    found.ok_or_else(|| {
        let [first, second] = names;
        Refusal::unexpected(
            "no_subject",
            format!("what the provider says of who logged in has neither `{first}` nor `{second}`"),
        )
    })
}

/// What a session is remembered under beside its cookies: what its request asks with.
pub fn key_of_request(policy: &Policy, request: &Request) -> Vec<u8> {
    let asks = policy.wants_userinfo || policy.config.introspection.jwt_tokens;
    if !asks {
        return Vec::new();
    }
    let about = About {
        token: "",
        client: 0,
        request,
    };
    [Whom::Introspection, Whom::Userinfo]
        .iter()
        .flat_map(|whom| said::key(policy, about, *whom))
        .collect()
}
