//! One configuration in force, with everything that is prepared from it once.

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;

use url::Url;

use crate::authz::Verdict;
use crate::cache::{Budget, VerdictCache};
use crate::config::{AuthMethod, Client, ClientAuth, Config, Fact, Secret, TENANT};
use crate::failure::Refusal;
use crate::flow::recent::Recent;
use crate::flow::refresh::Refreshed;
use crate::flow::said::Said;
use crate::flow::token_request::Granted;
use crate::host::Host;
use crate::http::Request;
use crate::oauth::client_auth::{AssertionFacts, Credentials, Proof};
use crate::oauth::client_choice;
use crate::oauth::endpoint;
use crate::oauth::extra::{Extra, Places, Shown};
use crate::oauth::form_endpoint::FormEndpoint;
use crate::provider::{Metadata, Provider, Providers};
use crate::secrets::Secrets;
use crate::session::{Session, Sessions};
use crate::upstream::OwnedNames;

/// A configuration and what hangs on it. A request keeps the policy it began with, also when an
/// update comes while it is paused.
pub struct Policy {
    /// The configuration.
    pub config: Config,
    /// The provider, shared with all policies that name the same one.
    pub provider: Rc<Provider>,
    /// The header names that are ours under this configuration.
    pub names: OwnedNames,
    /// Verdicts on tokens under this configuration: another one may judge the same token otherwise.
    pub verdicts: RefCell<VerdictCache>,
    /// Verdicts on opened sessions, by cookie and binding.
    pub opened: RefCell<VerdictCache>,
    /// What the introspection endpoint said of tokens.
    pub introspected: Recent<Said>,
    /// What the userinfo endpoint said of tokens.
    pub informed: Recent<Said>,
    /// The same for longer, for when the endpoint fails (`cache_ttl_resurrect`).
    pub informed_before: Recent<Said>,
    /// Whether userinfo is asked beside another way in: claims are looked for there, or a header carries it.
    pub wants_userinfo: bool,
    /// What Kong's Admin API said of tokens.
    pub kong_tokens: Recent<Verdict>,
    /// What the token endpoint gave for what was shown.
    pub granted: Recent<Granted>,
    /// What refresh tokens brought a moment ago.
    pub refreshed: Refreshed,
    /// The keys of cookies, and random numbers.
    pub secrets: Secrets,
    sessions: OnceCell<Rc<Sessions>>,
}

/// What all policies of a virtual machine share.
#[derive(Default)]
pub struct Shared {
    /// The providers: fifty routes on one provider fetch its keys once.
    pub providers: Providers,
    /// The memory of the caches.
    pub budget: Budget,
}

impl Policy {
    /// Prepares a configuration.
    pub fn new(config: Config, shared: &Shared) -> Rc<Policy> {
        let provider = shared.providers.of(&config);
        let names = OwnedNames::new(&config);
        let documents = [Fact::Userinfo, Fact::UserinfoJwt];
        let wants_userinfo = config.methods.search_user_info
            || config.upstream.tells(&documents)
            || config.downstream.tells(&documents);
        let cache = || RefCell::new(VerdictCache::new(shared.budget.clone()));
        Rc::new(Policy {
            config,
            provider,
            names,
            verdicts: cache(),
            opened: cache(),
            wants_userinfo,
            introspected: Recent::new(shared.budget.clone()),
            informed: Recent::new(shared.budget.clone()),
            informed_before: Recent::new(shared.budget.clone()),
            kong_tokens: Recent::new(shared.budget.clone()),
            granted: Recent::new(shared.budget.clone()),
            refreshed: Refreshed::default(),
            secrets: Secrets::default(),
            sessions: OnceCell::new(),
        })
    }

    /// Whether a visitor without a credential is sent to log in.
    pub fn logs_in(&self) -> bool {
        self.config.methods.has(AuthMethod::AuthorizationCode)
    }

    /// The sessions, where they are on.
    pub fn sessions(&self, host: &dyn Host) -> Result<Option<Rc<Sessions>>, Refusal> {
        if !self.config.methods.has(AuthMethod::Session) {
            return Ok(None);
        }
        if let Some(sessions) = self.sessions.get() {
            return Ok(Some(sessions.clone()));
        }
        let keyring = self.secrets.keyring(&self.config, host)?;
        let sessions = Rc::new(Sessions::new(
            keyring,
            self.config.session.clone(),
            &self.config.provider.issuer.identifier,
            &self.config.clients.ids(),
        ));
        Ok(Some(self.sessions.get_or_init(|| sessions).clone()))
    }

    /// The place of the client that a request names, as far as it was read (row C `client_arg`).
    pub fn chosen(&self, request: &Request) -> usize {
        if self.config.clients.are_several() {
            client_choice::chosen(&self.config.clients, request).0
        } else {
            0
        }
    }

    /// The client that a request means.
    pub fn client(&self, request: &Request) -> &Client {
        self.config.client(request)
    }

    /// The client that a session was made with: [`Sessions`] opens no other's.
    pub fn client_of(&self, session: &Session) -> &Client {
        self.client_named(&session.client_id)
    }

    /// The client of this id; the first one where there is none.
    pub fn client_named(&self, id: &str) -> &Client {
        let id = Some(id);
        let mut clients = self.config.clients.iter();
        clients
            .find(|client| client.id.as_deref() == id)
            .unwrap_or(self.config.clients.first())
    }

    /// The key of HS* signatures on what the provider made for this client; `None`: such signatures are
    /// refused. Trap T2: a secret of one character is a configuration that lost its secret.
    pub fn hs_secret<'a>(&'a self, client: &'a Client) -> Option<&'a Secret> {
        let allowed = self.config.verification.hs_secret.is_some();
        let secret = client.secret.as_ref().filter(|_| allowed);
        secret.filter(|secret| secret.expose().len() > 1)
    }

    /// What the configuration and a request add to a call of the token endpoint (row F). A refresh is no
    /// request's.
    pub fn token_extra(&self, request: Option<&Request>) -> Extra {
        let nobody = Request::default();
        let request = request.unwrap_or(&nobody);
        let settings = &self.config.token;
        let shown = Shown::of(request);
        Extra::of(&settings.headers, &settings.arguments, Places::All, &shown)
    }

    /// The token endpoint, and this client of ours there.
    pub fn token_endpoint<'a>(
        &'a self,
        client: &'a Client,
        metadata: &'a Metadata,
        host: &dyn Host,
        request: Option<&Request>,
    ) -> Result<FormEndpoint<'a>, Refusal> {
        let config = &self.config;
        let supported = metadata.token_endpoint_auth_methods_supported.as_deref();
        let proof = self.proof(client, config.token.auth, supported, metadata, host)?;
        self.token_endpoint_as(proof, metadata, request)
    }

    /// The same for whoever has this proof.
    pub fn token_endpoint_as<'a>(
        &'a self,
        proof: Proof<'a>,
        metadata: &'a Metadata,
        request: Option<&Request>,
    ) -> Result<FormEndpoint<'a>, Refusal> {
        let config = &self.config;
        let url = endpoint(
            config.token.endpoint.as_ref(),
            metadata.token_endpoint.as_ref(),
            "token_endpoint",
        )?;
        Ok(self.form_endpoint(url, proof, self.token_extra(request)))
    }

    /// An endpoint that takes forms, by its address.
    pub fn form_endpoint<'a>(
        &self,
        url: &'a Url,
        proof: Proof<'a>,
        extra: Extra,
    ) -> FormEndpoint<'a> {
        FormEndpoint {
            url,
            cluster: self.config.cluster_for(url),
            timeout_ms: self.config.provider.timeout_ms,
            proof,
            extra,
        }
    }

    /// How one of our clients proves itself at an endpoint: by the method of the endpoint, where the
    /// configuration names one, and among those that the metadata lists for it.
    pub fn proof<'a>(
        &'a self,
        client: &'a Client,
        at_endpoint: Option<ClientAuth>,
        supported: Option<&[String]>,
        metadata: &Metadata,
        host: &dyn Host,
    ) -> Result<Proof<'a>, Refusal> {
        let credentials = Credentials::of(client, at_endpoint, supported)
            .ok_or_else(|| Refusal::unexpected("no_client", "`client_id` is not set"))?;
        credentials.proof(|| self.assertion_facts(metadata, host))
    }

    /// What a client's assertion is made of.
    pub fn assertion_facts<'a>(
        &'a self,
        metadata: &'a Metadata,
        host: &dyn Host,
    ) -> Result<AssertionFacts<'a>, Refusal> {
        let mut random = [0; 48];
        // A refresh is nobody's request in particular: the host's mark tells it from others.
        self.secrets
            .random(&self.config, host, &Request::default(), &mut random)?;
        // What stands for many tenants names nobody.
        let issuer = metadata.issuer.as_deref();
        let issuer = issuer.filter(|issuer| !issuer.contains(TENANT));
        Ok(AssertionFacts {
            audience: issuer.unwrap_or(&self.config.provider.issuer.identifier),
            now: host.now(),
            random,
        })
    }
}
