//! A browser: it keeps cookies, follows redirects, sends forms, and has tabs.
//!
//! The gateway stands at `api.test`, the provider at `idp.test`: two sites.

use std::cell::RefCell;

use crate::cookie::{Stored, Visit};
use crate::form::{form, only, pairs};
use crate::idp::AUTHORIZE;
use crate::outcome::Outcome;
use crate::page;
use crate::request::Request;
use crate::world::{Route, World};

/// A browser with one jar of cookies, and somebody in front of it.
pub struct Browser<'w> {
    world: &'w World,
    /// The cookies.
    pub jar: RefCell<Vec<Stored>>,
    /// Who logs in.
    pub user: String,
    /// What it calls itself.
    pub agent: String,
    /// The scheme that it uses.
    pub scheme: &'static str,
    /// The worker that gets its requests.
    pub worker: usize,
    /// The route that they take.
    pub route: Option<Route>,
}

/// A tab that stands at the provider's form.
#[derive(Clone, Debug)]
pub struct Away {
    /// Where it stands.
    pub url: String,
    visited: Vec<String>,
}

/// A tab that has loaded.
#[derive(Clone, Debug)]
pub struct Page {
    /// What came of the last request.
    pub outcome: Outcome,
    /// What the address bar shows: path and query.
    pub url: String,
    /// All requests that led here: method, target and what came of it.
    pub visited: Vec<String>,
}

/// Where a tab comes to rest.
#[derive(Clone, Debug)]
pub enum Stop {
    /// At the provider.
    Away(Away),
    /// At the gateway.
    Here(Page),
}

/// One request of a tab.
struct Step {
    method: &'static str,
    target: String,
    form: Option<String>,
    cross_site: bool,
}

/// Browsers give up after so many redirects.
const MOST_STEPS: usize = 20;

impl Stop {
    /// The tab at the provider.
    ///
    /// # Panics
    /// When it is here.
    #[must_use]
    #[track_caller]
    pub fn away(self) -> Away {
        match self {
            Stop::Away(away) => away,
            Stop::Here(page) => panic!("not sent to the provider: {page:?}"),
        }
    }

    /// The page here.
    ///
    /// # Panics
    /// When the tab is at the provider.
    #[must_use]
    #[track_caller]
    pub fn here(self) -> Page {
        match self {
            Stop::Here(page) => page,
            Stop::Away(away) => panic!("sent to the provider: {away:?}"),
        }
    }
}

impl Away {
    /// A parameter of the authorization request.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<String> {
        let (_, query) = self.url.split_once('?')?;
        only(&pairs(query), name).map(str::to_owned)
    }
}

impl Page {
    /// How many of the requests that led here look like this.
    #[must_use]
    pub fn count(&self, part: &str) -> usize {
        let visited = self.visited.iter();
        visited.filter(|visit| visit.contains(part)).count()
    }
}

impl World {
    /// A browser in front of which alex sits.
    #[must_use]
    pub fn browser(&self) -> Browser<'_> {
        Browser {
            world: self,
            jar: RefCell::default(),
            user: "alex".to_owned(),
            agent: "a browser".to_owned(),
            scheme: "https",
            worker: 0,
            route: None,
        }
    }
}

impl<'w> Browser<'w> {
    /// Another browser with copies of the cookies.
    #[must_use]
    pub fn copy(&self) -> Browser<'w> {
        Browser {
            jar: RefCell::new(self.jar.borrow().clone()),
            user: self.user.clone(),
            agent: self.agent.clone(),
            ..*self
        }
    }

    /// Somebody types an address.
    #[must_use]
    #[track_caller]
    pub fn open(&self, target: &str) -> Stop {
        self.follow(Step::get(target, false), Vec::new())
    }

    /// Somebody follows a link on another site.
    #[must_use]
    #[track_caller]
    pub fn open_from_elsewhere(&self, target: &str) -> Stop {
        self.follow(Step::get(target, true), Vec::new())
    }

    /// Somebody sends a form of the site's own.
    #[must_use]
    #[track_caller]
    pub fn post(&self, target: &str, form: &str) -> Stop {
        self.follow(Step::post(target, form, false), Vec::new())
    }

    /// A form of another site sends itself.
    #[must_use]
    #[track_caller]
    pub fn post_from_elsewhere(&self, target: &str, form: &str) -> Stop {
        self.follow(Step::post(target, form, true), Vec::new())
    }

    /// Somebody logs in at the provider, and the tab comes back.
    #[must_use]
    #[track_caller]
    pub fn log_in(&self, away: &Away) -> Stop {
        let step = self.come_back(away, |_| {});
        self.follow(step, away.visited.clone())
    }

    /// The same with changes to what the provider sends back.
    #[must_use]
    #[track_caller]
    pub fn log_in_with(
        &self,
        away: &Away,
        change: impl FnOnce(&mut Vec<(String, String)>),
    ) -> Stop {
        let step = self.come_back(away, change);
        self.follow(step, away.visited.clone())
    }

    /// Opens an address and logs in.
    #[must_use]
    #[track_caller]
    pub fn enter(&self, target: &str) -> Page {
        let away = self.open(target).away();
        self.log_in(&away).here()
    }

    /// Sends a request with the cookies that a script of the site's own sends.
    #[track_caller]
    pub fn ask(&self, request: Request) -> Outcome {
        let ticket = self.world.send(self.with_cookies(request));
        self.world.deliver_all();
        let outcome = self.world.outcome(ticket);
        self.keep_cookies(&outcome);
        outcome
    }

    /// A request with these cookies and this browser's way.
    #[must_use]
    pub fn with_cookies(&self, request: Request) -> Request {
        let mut request = request
            .at(self.worker)
            .with(":scheme", self.scheme)
            .with("user-agent", &self.agent);
        if let Some(route) = self.route {
            request = request.on(route);
        }
        let jar = self.jar.borrow();
        let pairs = jar
            .iter()
            .map(|cookie| format!("{}={}", cookie.name, cookie.value));
        match pairs.collect::<Vec<_>>().join("; ") {
            cookies if cookies.is_empty() => request,
            cookies => request.header("cookie", cookies),
        }
    }

    /// The value of a cookie.
    #[must_use]
    pub fn cookie(&self, name: &str) -> Option<Stored> {
        let jar = self.jar.borrow();
        jar.iter().find(|cookie| cookie.name == name).cloned()
    }

    /// How many cookies have names that begin like this.
    #[must_use]
    pub fn count(&self, prefix: &str) -> usize {
        let jar = self.jar.borrow();
        jar.iter()
            .filter(|cookie| cookie.name.starts_with(prefix))
            .count()
    }

    /// Forgets the cookies whose names begin like this.
    pub fn forget(&self, prefix: &str) {
        let mut jar = self.jar.borrow_mut();
        jar.retain(|cookie| !cookie.name.starts_with(prefix));
    }

    /// Gives a cookie another value, or makes it.
    pub fn plant(&self, name: &str, value: &str) {
        let mut jar = self.jar.borrow_mut();
        if let Some(cookie) = jar.iter_mut().find(|cookie| cookie.name == name) {
            value.clone_into(&mut cookie.value);
        } else if let Some((cookie, _)) = Stored::read(&format!("{name}={value}; Secure"), 0) {
            jar.push(cookie);
        }
    }

    /// Keeps what an outcome sets.
    pub fn keep_cookies(&self, outcome: &Outcome) {
        let lines = match outcome {
            Outcome::Forwarded(forwarded) => forwarded.response("set-cookie"),
            Outcome::Answered(answer) => answer
                .headers
                .iter()
                .filter(|(name, _)| *name == "set-cookie")
                .map(|(_, value)| String::from_utf8_lossy(value).into_owned())
                .collect(),
            Outcome::Paused | Outcome::Left => Vec::new(),
        };
        let mut jar = self.jar.borrow_mut();
        for line in lines {
            let Some((cookie, gone)) = Stored::read(&line, self.world.milliseconds()) else {
                continue;
            };
            if !cookie.is_taken(self.scheme == "https") {
                continue;
            }
            jar.retain(|own| !own.is_same_as(&cookie));
            if !gone {
                jar.push(cookie);
            }
        }
    }

    fn come_back(&self, away: &Away, change: impl FnOnce(&mut Vec<(String, String)>)) -> Step {
        let idp = self.world.idp();
        let mut back = idp.log_in(&away.url, &self.user, self.world.now());
        for (name, value) in &back.fields {
            if name == "code" {
                self.world.keep_out_of_log(value);
            }
        }
        change(&mut back.fields);
        let origin = "://api.test";
        let (_, target) = back.uri.split_once(origin).expect("an address of ours");
        if back.posts {
            Step::post(target, &form(&back.fields), true)
        } else {
            let mark = if target.contains('?') { '&' } else { '?' };
            Step::get(&format!("{target}{mark}{}", form(&back.fields)), true)
        }
    }

    #[track_caller]
    fn follow(&self, mut step: Step, mut visited: Vec<String>) -> Stop {
        for _ in 0..MOST_STEPS {
            let outcome = self.take(&step);
            let Outcome::Answered(answer) = &outcome else {
                visited.push(format!("{} {} upstream", step.method, step.target));
                return Stop::Here(Page {
                    outcome,
                    url: step.target,
                    visited,
                });
            };
            visited.push(format!("{} {} {}", step.method, step.target, answer.status));
            let body = String::from_utf8_lossy(&answer.body).into_owned();
            let next = match outcome.answer_header("location") {
                Some(place) if place.starts_with(AUTHORIZE) => {
                    return Stop::Away(Away {
                        url: place,
                        visited,
                    });
                }
                Some(place) => {
                    page::local(&place).map(|target| Step::get(&target, step.cross_site))
                }
                None => page::on(&body).map(|next| match next {
                    page::Next::GoOn(target) => Step::get(&target, false),
                    page::Next::Send(form) => Step::post(&step.target, &form, false),
                }),
            };
            match next {
                Some(next) => step = next,
                None => {
                    return Stop::Here(Page {
                        outcome,
                        url: step.target,
                        visited,
                    });
                }
            }
        }
        panic!("a loop: {visited:#?}");
    }

    fn take(&self, step: &Step) -> Outcome {
        let target = step.target.split('#').next().unwrap_or_default();
        let visit = Visit {
            method: step.method,
            path: target.split('?').next().unwrap_or_default(),
            secure: self.scheme == "https",
            cross_site: step.cross_site,
            now: self.world.milliseconds(),
        };
        let here = Browser {
            jar: RefCell::new(self.jar.borrow().clone()),
            ..self.copy()
        };
        here.jar.borrow_mut().retain(|cookie| cookie.comes(&visit));
        let mut request = Request::new(step.method, target);
        if let Some(form) = &step.form {
            request = request.form(form);
        }
        let ticket = self.world.send(here.with_cookies(request));
        self.world.deliver_all();
        let outcome = self.world.outcome(ticket);
        self.keep_cookies(&outcome);
        outcome
    }
}

impl Step {
    fn get(target: &str, cross_site: bool) -> Step {
        Step {
            method: "GET",
            target: target.to_owned(),
            form: None,
            cross_site,
        }
    }

    fn post(target: &str, form: &str, cross_site: bool) -> Step {
        Step {
            method: "POST",
            target: target.to_owned(),
            form: Some(form.to_owned()),
            cross_site,
        }
    }
}
