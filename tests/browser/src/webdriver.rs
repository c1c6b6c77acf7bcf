//! Chromium by W3C WebDriver: the few commands that the tests need.
//!
//! Chromium is started here and not by chromedriver, so that it ends when the test does, however that ends.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::process::Service;
use support::{http, ports};

const START: Duration = Duration::from_secs(60);
/// How long a page may take to become what a test waits for.
const PATIENCE: Duration = Duration::from_secs(20);
/// The key of an element's id (WebDriver section 12).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A Chromium with an empty profile of its own.
pub struct Browser {
    /// Chromium and chromedriver.
    services: Vec<Service>,
    folder: PathBuf,
    session: String,
}

/// A cookie as the browser keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cookie {
    /// Name.
    pub name: String,
    /// Value.
    pub value: String,
    /// Host or domain.
    pub domain: String,
    /// Path.
    pub path: String,
    /// `HttpOnly`.
    pub http_only: bool,
    /// `Secure`.
    pub secure: bool,
    /// `SameSite`; empty where the answer named none.
    pub same_site: String,
    /// Whether it ends with the browser.
    pub until_close: bool,
}

/// A request of the browser and what it got, in the order of the requests; each step of a chain of redirects is one.
#[derive(Clone, Debug, Default)]
pub struct Exchange {
    /// Method.
    pub method: String,
    /// The whole URL.
    pub url: String,
    /// The body, if it was text.
    pub body: String,
    /// Names of the cookies that went along.
    pub sent: Vec<String>,
    /// Names of the cookies that the browser held back because of the site that began the request.
    pub held_back: Vec<String>,
    /// Status of the answer; 0 where none came.
    pub status: u64,
    /// Headers of the answer as they came, names in lower case.
    pub headers: Vec<(String, String)>,
}

impl Exchange {
    /// The URL's path.
    #[must_use]
    pub fn path(&self) -> &str {
        let rest = self.url.splitn(4, '/').nth(3).unwrap_or_default();
        rest.split(['?', '#']).next().unwrap_or_default()
    }

    /// A header of the answer.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut all = self.headers.iter().filter(|(own, _)| own == name);
        all.next().map(|(_, value)| value.as_str())
    }

    /// Whether the request was one to the gateway's site.
    #[must_use]
    pub fn is_at(&self, site: &str) -> bool {
        self.url.starts_with(&format!("http://{site}:"))
    }

    /// Whether a cookie went along whose name begins so.
    #[must_use]
    pub fn brings(&self, name: &str) -> bool {
        self.sent.iter().any(|sent| sent.starts_with(name))
    }

    /// Whether a cookie was held back whose name begins so.
    #[must_use]
    pub fn lacks(&self, name: &str) -> bool {
        self.held_back.iter().any(|held| held.starts_with(name))
    }
}

impl Browser {
    /// Starts one.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start() -> Self {
        let folder = support::scratch("chromium").expect("a folder");
        let (driver, debugging) = (ports::free(), ports::free());
        let command = |name, program| {
            Service::command(name, program)
                .env("HOME", &folder)
                .env("TMPDIR", &folder)
                .env_remove("XDG_CONFIG_HOME")
                .env_remove("XDG_CACHE_HOME")
        };
        let chromium = command("chromium", "chromium")
            .args(["--headless", "--no-sandbox", "--disable-gpu"])
            .args(["--disable-quic", "--no-first-run", "--disable-sync"])
            .args(["--disable-background-networking"])
            .arg("--disable-component-update")
            .arg("--no-proxy-server")
            .arg(format!(
                "--user-data-dir={}",
                folder.join("profile").display()
            ))
            .arg(format!("--remote-debugging-port={debugging}"))
            .arg("about:blank")
            .spawn()
            .expect("chromium (is `make setup` done?)");
        let chromedriver = command("chromedriver", "chromedriver")
            .arg(format!("--port={driver}"))
            .spawn()
            .expect("chromedriver (is `make setup` done?)");
        let mut browser = Self {
            services: vec![chromium, chromedriver],
            folder,
            session: String::new(),
        };
        let url = |port, path: &str| format!("http://127.0.0.1:{port}{path}");
        let signs = [url(debugging, "/json/version"), url(driver, "/status")];
        for (service, sign) in browser.services.iter_mut().zip(signs) {
            let ready = service.wait_for_url(&sign, START);
            ready.unwrap_or_else(|error| panic!("{error}"));
        }
        let session = call(
            "POST",
            &url(driver, "/session"),
            &json!({"capabilities": {"alwaysMatch": {
                "goog:chromeOptions": {"debuggerAddress": format!("127.0.0.1:{debugging}")},
                "goog:loggingPrefs": {"performance": "ALL"},
            }}}),
        );
        let id = session["sessionId"].as_str().expect("a session");
        browser.session = url(driver, &format!("/session/{id}"));
        browser
    }

    fn command(&self, method: &str, path: &str, body: &Value) -> Value {
        call(method, &format!("{}{path}", self.session), body)
    }

    /// Goes to a URL and waits until the page is there.
    pub fn open(&self, url: &str) {
        self.command("POST", "/url", &json!({"url": url}));
    }

    /// The URL of the page.
    #[must_use]
    pub fn url(&self) -> String {
        text_of(&self.command("GET", "/url", &Value::Null))
    }

    /// The title of the page.
    #[must_use]
    pub fn title(&self) -> String {
        text_of(&self.command("GET", "/title", &Value::Null))
    }

    /// All text of the page.
    #[must_use]
    pub fn text(&self) -> String {
        text_of(&self.run("return document.body ? document.body.innerText : ''"))
    }

    /// Runs a function's body in the page.
    pub fn run(&self, script: &str) -> Value {
        self.command(
            "POST",
            "/execute/sync",
            &json!({"script": script, "args": []}),
        )
    }

    /// Types into the field that this selector finds.
    pub fn fill(&self, selector: &str, text: &str) {
        let element = self.find(selector);
        self.command(
            "POST",
            &format!("/element/{element}/value"),
            &json!({"text": text}),
        );
    }

    /// Clicks at what this selector finds, and waits for the page that follows.
    pub fn click(&self, selector: &str) {
        let element = self.find(selector);
        self.command("POST", &format!("/element/{element}/click"), &json!({}));
    }

    /// Whether the selector finds something.
    #[must_use]
    pub fn has(&self, selector: &str) -> bool {
        let found = self.command(
            "POST",
            "/elements",
            &json!({"using": "css selector", "value": selector}),
        );
        found.as_array().is_some_and(|found| !found.is_empty())
    }

    fn find(&self, selector: &str) -> String {
        self.wait(&format!("{selector} in the page"), || self.has(selector));
        let found = self.command(
            "POST",
            "/element",
            &json!({"using": "css selector", "value": selector}),
        );
        text_of(&found[ELEMENT])
    }

    /// Waits until something holds.
    ///
    /// # Panics
    /// When it does not in time; the message shows the page.
    pub fn wait(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let start = Instant::now();
        while !holds() {
            assert!(
                start.elapsed() < PATIENCE,
                "not in time: {what}\nat {}: {}",
                self.url(),
                self.text()
            );
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until the page has this URL.
    pub fn wait_for_url(&self, url: &str) {
        self.wait(url, || self.url() == url);
    }

    /// The step back in the history.
    pub fn back(&self) {
        self.command("POST", "/back", &json!({}));
    }

    /// The page once more.
    pub fn reload(&self) {
        self.command("POST", "/refresh", &json!({}));
    }

    /// The tab that is looked at.
    #[must_use]
    pub fn tab(&self) -> String {
        text_of(&self.command("GET", "/window", &Value::Null))
    }

    /// Opens a tab and goes there.
    pub fn new_tab(&self) -> String {
        let tab = self.command("POST", "/window/new", &json!({"type": "tab"}));
        let tab = text_of(&tab["handle"]);
        self.go_to_tab(&tab);
        tab
    }

    /// Looks at another tab.
    pub fn go_to_tab(&self, tab: &str) {
        self.command("POST", "/window", &json!({"handle": tab}));
    }

    /// A command of the DevTools protocol.
    fn devtools(&self, command: &str, params: &Value) -> Value {
        self.command(
            "POST",
            "/goog/cdp/execute",
            &json!({"cmd": command, "params": params}),
        )
    }

    /// All cookies of a host whose names begin so, wherever the browser is.
    #[must_use]
    pub fn cookies(&self, host: &str, prefix: &str) -> Vec<Cookie> {
        let all = self.devtools("Storage.getCookies", &json!({}));
        let all = all["cookies"].as_array().into_iter().flatten();
        let all = all.map(|cookie| Cookie {
            name: text_of(&cookie["name"]),
            value: text_of(&cookie["value"]),
            domain: text_of(&cookie["domain"]),
            path: text_of(&cookie["path"]),
            http_only: cookie["httpOnly"] == true,
            secure: cookie["secure"] == true,
            same_site: text_of(&cookie["sameSite"]),
            until_close: cookie["session"] == true,
        });
        all.filter(|cookie| cookie.domain == host && cookie.name.starts_with(prefix))
            .collect()
    }

    /// Gives the browser a cookie for this URL, as somebody would who copied it.
    pub fn take_cookie(&self, url: &str, cookie: &Cookie) {
        let taken = json!({"url": url, "name": cookie.name, "value": cookie.value});
        self.devtools("Storage.setCookies", &json!({"cookies": [taken]}));
    }

    /// Forgets a cookie of this URL.
    pub fn forget_cookie(&self, url: &str, name: &str) {
        self.devtools("Network.deleteCookies", &json!({"url": url, "name": name}));
    }

    /// All requests for pages since the last look.
    #[must_use]
    pub fn exchanges(&self) -> Vec<Exchange> {
        let log = self.command("POST", "/se/log", &json!({"type": "performance"}));
        let events = log.as_array().into_iter().flatten();
        let events =
            events.filter_map(|entry| serde_json::from_str(entry["message"].as_str()?).ok());
        exchanges(events.map(|event: Value| event["message"].clone()))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // They end before their folder goes.
        self.services.clear();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A command and its result.
fn call(method: &str, url: &str, body: &Value) -> Value {
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let headers = [("content-type", "application/json")];
    let answer = http::send(method, url, &headers, &body)
        .unwrap_or_else(|error| panic!("{method} {url}: {error}"));
    assert_eq!(answer.status, 200, "{method} {url} {body}: {}", answer.body);
    answer.json()["value"].clone()
}

fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Reads the events of DevTools' Network domain. The `ExtraInfo` of a step comes before or after the step itself, but
/// those of one request come in its steps' order.
fn exchanges(events: impl Iterator<Item = Value>) -> Vec<Exchange> {
    let mut all: Vec<(String, Exchange)> = Vec::new();
    let mut extras: Vec<(String, Value)> = Vec::new();
    let mut answers: Vec<(String, Value)> = Vec::new();
    for event in events {
        let params = &event["params"];
        let id = text_of(&params["requestId"]);
        match event["method"].as_str() {
            Some("Network.requestWillBeSent") if params["type"] == "Document" => {
                let request = &params["request"];
                let exchange = Exchange {
                    method: text_of(&request["method"]),
                    url: text_of(&request["url"]),
                    body: text_of(&request["postData"]),
                    ..Exchange::default()
                };
                all.push((id, exchange));
            }
            Some("Network.requestWillBeSentExtraInfo") => extras.push((id, params.clone())),
            Some("Network.responseReceivedExtraInfo") => answers.push((id, params.clone())),
            _ => {}
        }
    }
    let take = |id: &str, from: &mut Vec<(String, Value)>| {
        let at = from.iter().position(|(own, _)| own == id)?;
        Some(from.remove(at).1)
    };
    all.into_iter()
        .map(|(id, mut exchange)| {
            if let Some(extra) = take(&id, &mut extras) {
                for cookie in extra["associatedCookies"].as_array().into_iter().flatten() {
                    let name = text_of(&cookie["cookie"]["name"]);
                    let reasons = cookie["blockedReasons"].as_array();
                    if reasons.is_none_or(Vec::is_empty) {
                        exchange.sent.push(name);
                    } else if cookie["blockedReasons"].to_string().contains("SameSite") {
                        exchange.held_back.push(name);
                    }
                }
            }
            if let Some(answer) = take(&id, &mut answers) {
                exchange.status = answer["statusCode"].as_u64().unwrap_or(0);
                let headers = answer["headers"].as_object().into_iter().flatten();
                exchange.headers = headers
                    .map(|(name, value)| (name.to_ascii_lowercase(), text_of(value)))
                    .collect();
            }
            exchange
        })
        .collect()
}
