//! Random walks: twenty requests, rotating keys, failing calls, answers in any order. After every step
//! each decision is compared with what a model of the provider's keys says.

use std::collections::BTreeMap;

use flow::stage::{DISCOVERY, KEYS, config, key};
use flow::{Behaviour, Dialect, Outcome, Request, Route, Ticket, World};
use serde_json::{Value, json};

const KIDS: [&str; 5] = ["w0", "w1", "w2", "w3", "w4"];
const WORKERS: usize = 2;
const REQUESTS: usize = 20;

/// A token, as far as the model knows it.
#[derive(Clone)]
struct Token {
    text: String,
    kid: &'static str,
    /// In seconds.
    exp: u64,
    tampered: bool,
}

/// A request under way.
struct Pending {
    ticket: Ticket,
    worker: usize,
    token: Token,
}

/// What a worker knows of the provider: the keys that the latest of its successful fetches brought.
#[derive(Clone, Default)]
struct Held {
    fetch: u64,
    kids: Option<Vec<String>>,
}

/// How often each outcome came, so that no walk is empty talk.
#[derive(Default)]
struct Tally {
    forwarded: usize,
    refused: usize,
    failed: usize,
}

struct Walk {
    world: World,
    route: Route,
    held: [Held; WORKERS],
    tokens: Vec<Token>,
    pending: BTreeMap<usize, Pending>,
    sent: usize,
}

impl Walk {
    fn new(seed: u64) -> Walk {
        let dialect = Dialect::BOTH[usize::from(seed % 2 == 1)];
        let world = World::with_workers(dialect, seed, WORKERS);
        world.put_provider();
        world.publish(&KIDS[..2]);
        let route = world.route(&settings(0));
        Walk {
            world,
            route,
            held: Default::default(),
            tokens: Vec::new(),
            pending: BTreeMap::new(),
            sent: 0,
        }
    }

    fn step(&mut self) {
        let random = self.world.random();
        match random.below(12) {
            0..=3 if self.sent < REQUESTS => self.send(),
            0..=7 => self.deliver(),
            8 => self.world.pass_milliseconds(1 + random.next() % 8_000),
            9 => self.rotate(),
            10 => self.disturb(),
            _ => self.host_event(),
        }
    }

    fn send(&mut self) {
        let known = self.tokens.len();
        let random = self.world.random();
        let token = if known > 0 && random.once_in(3) {
            self.tokens[random.below(known)].clone()
        } else {
            self.new_token()
        };
        let worker = self.world.random().below(WORKERS);
        let request = Request::get("/").bearer(&token.text).at(worker);
        let ticket = self.world.send(request);
        self.tokens.push(token.clone());
        let pending = Pending {
            ticket,
            worker,
            token,
        };
        self.pending.insert(self.sent, pending);
        self.sent += 1;
    }

    fn new_token(&self) -> Token {
        let random = self.world.random();
        let kid = KIDS[random.below(KIDS.len())];
        let exp = self.world.now() + 1 + random.next() % 60;
        let mut header = json!({"alg": "ES256"});
        match random.below(4) {
            0 => {}
            1 => header["kid"] = json!("renamed"),
            _ => header["kid"] = json!(kid),
        }
        let claims = self.world.claims(json!({"exp": exp, "jti": self.sent}));
        let mut text = key(kid).token_with(&header, &claims);
        let tampered = random.once_in(6);
        if tampered {
            let other = key(kid).token_with(&header, &json!({}));
            let (body, _) = text.rsplit_once('.').expect("a token");
            let (_, signature) = other.rsplit_once('.').expect("a token");
            text = format!("{body}.{signature}");
        }
        Token {
            text,
            kid,
            exp,
            tampered,
        }
    }

    /// Hands over one answer, and notes first what the worker learns from it.
    fn deliver(&mut self) {
        let Some(delivered) = self.world.deliver_any() else {
            return;
        };
        let kids = delivered
            .body
            .filter(|_| delivered.url == KEYS && delivered.awaited)
            .and_then(|body| serde_json::from_slice::<Value>(&body).ok())
            .and_then(|body| kids_of(&body));
        let held = &mut self.held[delivered.worker];
        let fetch = delivered.fetch.expect("only fetches call");
        if kids.is_some() && fetch >= held.fetch {
            *held = Held { fetch, kids };
        }
    }

    fn rotate(&self) {
        let random = self.world.random();
        let kids: Vec<&str> = KIDS.into_iter().filter(|_| random.once_in(2)).collect();
        self.world.publish(&kids);
    }

    fn disturb(&self) {
        let random = self.world.random();
        let behaviour = match random.below(6) {
            0 => Behaviour::Status(503),
            1 => Behaviour::Body(b"<html>".to_vec()),
            2 => Behaviour::Redirect(DISCOVERY.to_owned()),
            3 => Behaviour::NoAnswer,
            4 => Behaviour::Timeout,
            _ => Behaviour::NotSent,
        };
        let url = [DISCOVERY, KEYS][random.below(2)];
        self.world.next(url, [behaviour]);
    }

    fn host_event(&mut self) {
        let random = self.world.random();
        match random.below(3) {
            0 => self.world.tick(),
            1 => self.world.update(self.route, &settings(random.next())),
            _ => {
                let numbers: Vec<usize> = self.pending.keys().copied().collect();
                if let Some(number) = numbers.get(random.below(numbers.len())) {
                    let left = self.pending.remove(number).expect("it is pending");
                    self.world.leave(left.ticket);
                }
            }
        }
    }

    /// Compares the decisions of the last step with the model.
    fn check(&mut self, seed: u64, tally: &mut Tally) {
        let (world, held, now) = (&self.world, &self.held, self.world.now());
        self.pending.retain(|number, pending| {
            let outcome = world.outcome(pending.ticket);
            if outcome.is_paused() {
                return true;
            }
            let (token, held) = (&pending.token, &held[pending.worker]);
            let expected = held.kids.as_ref().map(|kids| {
                !token.tampered && now < token.exp && kids.iter().any(|kid| kid == token.kid)
            });
            let context = format!("seed {seed}, request {number}: {outcome:?}");
            match (&outcome, expected) {
                (Outcome::Forwarded(seen), Some(true)) => {
                    assert_eq!(seen.all("x-user"), ["alex"], "{context}");
                    tally.forwarded += 1;
                }
                (Outcome::Answered(answer), Some(false)) => {
                    assert_eq!(answer.status, 401, "{context}");
                    tally.refused += 1;
                }
                (Outcome::Answered(answer), None) => {
                    assert_eq!(answer.status, 500, "{context}");
                    tally.failed += 1;
                }
                _ => panic!("the model says {expected:?}: {context}"),
            }
            false
        });
    }
}

fn settings(number: u64) -> Value {
    config(json!({
        "cache_ttl": 20,
        "rediscovery_lifetime": 10,
        "unauthorized_error_message": format!("policy {}", number % 3),
    }))
}

fn kids_of(jwks: &Value) -> Option<Vec<String>> {
    let keys = jwks["keys"].as_array()?;
    Some(
        keys.iter()
            .filter_map(|key| Some(key["kid"].as_str()?.to_owned()))
            .collect(),
    )
}

fn walk(seed: u64, tally: &mut Tally) -> Vec<String> {
    let mut walk = Walk::new(seed);
    for _ in 0..150 {
        walk.step();
        walk.check(seed, tally);
    }
    while !walk.world.under_way().is_empty() {
        walk.deliver();
        walk.check(seed, tally);
    }
    assert!(
        walk.pending.is_empty(),
        "seed {seed}: a request waits for ever"
    );
    assert_eq!(walk.world.tasks(), 0, "seed {seed}");
    let calls = walk.world.calls();
    calls
        .iter()
        .map(|call| format!("{} {}", call.worker, call.url))
        .collect()
}

#[test]
fn every_decision_agrees_with_the_keys_and_the_clock_of_its_moment() {
    let mut tally = Tally::default();
    for seed in 0..300 {
        walk(seed, &mut tally);
    }
    let Tally {
        forwarded,
        refused,
        failed,
    } = tally;
    assert!(
        forwarded > 500 && refused > 500 && failed > 100,
        "{forwarded} {refused} {failed}"
    );
}

#[test]
fn a_seed_determines_its_walk() {
    for seed in [3, 8] {
        let [first, second] = [(); 2].map(|()| walk(seed, &mut Tally::default()));
        assert_eq!(first, second);
        assert!(!first.is_empty());
    }
}
