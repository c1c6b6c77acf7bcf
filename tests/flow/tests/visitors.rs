//! A long walk of several people with several tabs, from a seed: whatever happens, each is served as
//! themselves or not at all, and nobody goes round in circles (a browser here gives up after 20 steps).

use flow::idp::TOKEN;
use flow::stage::login_config;
use flow::{Away, Behaviour, Browser, Dialect, Outcome, Page, Request, Stop, World};
use oidc_filter::host::Counter;
use serde_json::json;

/// Somebody with a browser, and the tabs that stand at the provider.
struct Person<'w> {
    browser: Browser<'w>,
    tabs: Vec<Away>,
}

impl Person<'_> {
    fn saw(&self, outcome: &Outcome) {
        if let Outcome::Forwarded(seen) = outcome {
            assert_eq!(seen.all("x-user"), [self.browser.user.as_str()]);
        }
    }

    fn stopped(&mut self, stop: Stop) {
        match stop {
            Stop::Away(away) => self.tabs.push(away),
            Stop::Here(Page { outcome, .. }) => self.saw(&outcome),
        }
    }

    fn step(&mut self, world: &World, number: usize) {
        let random = world.random();
        self.browser.worker = random.below(2);
        match random.below(16) {
            0..=2 => {
                let stop = self.browser.open(&format!("/app/{number}"));
                self.stopped(stop);
            }
            3..=6 if !self.tabs.is_empty() => {
                let last = self.tabs.len() - 1;
                let which = if random.once_in(3) {
                    random.below(last)
                } else {
                    last
                };
                let tab = self.tabs.remove(which);
                let stop = self.browser.log_in(&tab);
                self.stopped(stop);
            }
            // The same callback once more, or late.
            7 if !self.tabs.is_empty() => {
                let tab = self.tabs[0].clone();
                let stop = self.browser.log_in(&tab);
                self.stopped(stop);
            }
            8 | 9 => {
                let outcome = self.browser.ask(Request::new("POST", "/app").form("a=1"));
                self.saw(&outcome);
            }
            10 if random.once_in(3) => {
                let outcome = self.browser.ask(Request::new("POST", "/logout"));
                self.saw(&outcome);
                assert_eq!(self.browser.count("session"), 0);
            }
            11 if random.once_in(3) => self.browser.forget("authorization_"),
            12 if random.once_in(4) => self.browser.forget("session2"),
            13 => {
                let stop = self.browser.open_from_elsewhere("/app");
                self.stopped(stop);
            }
            _ => {}
        }
    }
}

/// Gives the number of logins that came to their end.
fn walk(dialect: Dialect, seed: u64) -> u64 {
    let world = World::with_workers(dialect, seed, 2);
    world.put_login(json!({}));
    world.idp().set(|idp| {
        idp.padding = if seed.is_multiple_of(2) { 4000 } else { 0 };
        idp.rotates = !seed.is_multiple_of(3);
    });
    let modes = ["query", "form_post"];
    let actions = ["upstream", "redirect"];
    let sites = ["Lax", "Strict", "None"];
    world.route(&login_config(json!({
        "response_mode": modes[world.random().below(2)],
        "login_action": actions[world.random().below(2)],
        "login_tokens": [],
        "session_cookie_same_site": sites[world.random().below(3)],
        "logout_uri_suffix": "/logout",
    })));
    let mut people: Vec<Person<'_>> = ["alex", "blake"]
        .into_iter()
        .map(|name| {
            let mut browser = world.browser();
            name.clone_into(&mut browser.user);
            Person {
                browser,
                tabs: Vec::new(),
            }
        })
        .collect();
    for number in 0..200 {
        let random = world.random();
        if random.once_in(10) {
            let failures = [
                Behaviour::Status(500),
                Behaviour::NoAnswer,
                Behaviour::Timeout,
                Behaviour::Body(b"<html>".to_vec()),
            ];
            world.next(TOKEN, [failures[random.below(4)].clone()]);
        }
        if random.once_in(40) {
            world.idp().forget();
        }
        world.pass_seconds(u64::try_from(random.below(60)).unwrap_or(0));
        let who = random.below(people.len());
        people[who].step(&world, number);
    }
    assert!(world.counted(Counter::Forwarded) > 0);
    world.counted(Counter::LoggedIn)
}

#[test]
fn everybody_is_served_as_themselves_or_not_at_all() {
    for dialect in Dialect::BOTH {
        let logins: u64 = (1..=12).map(|seed| walk(dialect, seed)).sum();
        assert!(logins > 40, "people get in: {logins} times");
    }
}
