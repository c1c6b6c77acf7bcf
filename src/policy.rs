//! One configuration in force, with everything that is prepared from it once.

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;

use url::Url;

use crate::authz::Verdict;
use crate::cache::{Budget, VerdictCache};
use crate::config::{AuthMethod, Client, ClientAuth, Config, Fact, Secret, TENANT, Then};
use crate::failure::{Kind, Refusal};
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
use crate::upstream::{OwnedNames, response_names};

/// A configuration and what hangs on it. A request keeps the policy it began with, also when an
/// update comes while it is paused.
pub struct Policy {
    /// The configuration.
    pub config: Rc<Config>,
    /// Which route it is the policy of ([`Route::id`]); `None` for the outer one.
    pub route: Option<String>,
    /// The policies of the routes, in their order; `None` where a route is disabled.
    routes: Vec<Option<Rc<Policy>>>,
    /// The provider, shared with all policies that name the same one.
    pub provider: Rc<Provider>,
    /// The header names that are ours under this configuration, or any beside it.
    pub names: Rc<OwnedNames>,
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
    /// The headers of a response that only we set: the upstream's own of these names go. `None`: there are none.
    pub of_responses: Option<Rc<[String]>>,
    /// Whether userinfo is asked beside another way in: claims are looked for there, or a header carries it.
    pub wants_userinfo: bool,
    /// What Kong's Admin API said of tokens.
    pub kong_tokens: Recent<Verdict>,
    /// What the token endpoint gave for what was shown.
    pub granted: Recent<Granted>,
    /// What refresh tokens brought a moment ago.
    pub refreshed: Rc<Refreshed>,
    /// The keys of cookies, and random numbers.
    pub secrets: Rc<Secrets>,
    sessions: OnceCell<Rc<Sessions>>,
}

/// What holds for a request.
pub enum Rules {
    /// This policy.
    Of(Rc<Policy>),
    /// Nothing is asked: its route is disabled.
    Nothing,
}

/// What a policy shares with those of its routes: they have one secret, and one upstream may stand behind all.
struct Beside {
    names: Rc<OwnedNames>,
    refreshed: Rc<Refreshed>,
    secrets: Rc<Secrets>,
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
    /// Prepares a configuration and those of its routes.
    pub fn new(config: Config, shared: &Shared) -> Rc<Policy> {
        let beside = Beside {
            names: Rc::new(OwnedNames::new(&config)),
            refreshed: Rc::default(),
            secrets: Rc::default(),
        };
        let routes = config.routes.iter().map(|route| match &route.then {
            Then::Overlay(own) => {
                let id = Some(route.id());
                Some(Policy::of(own.clone(), id, Vec::new(), &beside, shared))
            }
            Then::Disabled => None,
        });
        let routes = routes.collect();
        Policy::of(Rc::new(config), None, routes, &beside, shared)
    }

    fn of(
        config: Rc<Config>,
        route: Option<String>,
        routes: Vec<Option<Rc<Policy>>>,
        beside: &Beside,
        shared: &Shared,
    ) -> Rc<Policy> {
        let provider = shared.providers.of(&config);
        let of_responses = response_names(&config);
        let documents = [Fact::Userinfo, Fact::UserinfoJwt];
        let wants_userinfo = config.methods.search_user_info
            || config.upstream.tells(&documents)
            || config.downstream.tells(&documents);
        let cache = || RefCell::new(VerdictCache::new(shared.budget.clone()));
        Rc::new(Policy {
            config,
            route,
            routes,
            provider,
            names: beside.names.clone(),
            verdicts: cache(),
            opened: cache(),
            wants_userinfo,
            of_responses,
            introspected: Recent::new(shared.budget.clone()),
            informed: Recent::new(shared.budget.clone()),
            informed_before: Recent::new(shared.budget.clone()),
            kong_tokens: Recent::new(shared.budget.clone()),
            granted: Recent::new(shared.budget.clone()),
            refreshed: beside.refreshed.clone(),
            secrets: beside.secrets.clone(),
            sessions: OnceCell::new(),
        })
    }

    /// What holds for a request: this policy, one of its routes', or nothing.
    pub fn rules(self: &Rc<Self>, request: &Request) -> Result<Rules, Refusal> {
        match self.config.routes.choose(request) {
            Ok(None) => Ok(Rules::Of(self.clone())),
            Ok(Some(number)) => Ok(match self.routes.get(number) {
                Some(Some(policy)) => Rules::Of(policy.clone()),
                // A number that there is not is never chosen; if it were, nobody would be let in for it.
                Some(None) => Rules::Nothing,
                None => Rules::Of(self.clone()),
            }),
            Err(what) => Err(Refusal::new(Kind::BadRequest, what.code(), what.reason())),
        }
    }

    /// This policy, and those of its routes.
    pub fn all(self: &Rc<Self>) -> impl Iterator<Item = &Rc<Policy>> {
        std::iter::once(self).chain(self.routes.iter().flatten())
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

    /// Row A `verify_parameters`: what is asked of the provider has to be among what it announces, where it
    /// speaks of that at all.
    pub fn check_announced(
        &self,
        field: &str,
        value: &str,
        supported: Option<&[String]>,
    ) -> Result<(), Refusal> {
        let fits = supported.is_none_or(|list| list.iter().any(|one| one == value));
        if fits || !self.config.verification.parameters {
            return Ok(());
        }
        Err(Refusal::unexpected(
            "parameter_not_announced",
            format!(
                "the provider's metadata do not announce `{value}` ({field}), and `verify_parameters` is on"
            ),
        ))
    }

    /// The same for a grant of the token endpoint.
    pub fn check_grant(&self, grant: &str, metadata: &Metadata) -> Result<(), Refusal> {
        let supported = metadata.grant_types_supported.as_deref();
        self.check_announced("grant type", grant, supported)
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
        self.check_announced("client_auth", credentials.method_name(), supported)?;
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
