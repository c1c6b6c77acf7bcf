//! As much of a browser as a login needs: cookies, redirects, and forms that are filled in or submit themselves. Of the
//! rules for cookies it knows host, path and expiry; `SameSite` and `Secure` are for the real one in `tests/browser`.

use std::net::SocketAddr;

use url::Url;

use crate::raw::{self, Answer};

/// More redirects and forms in a row are a loop.
const MOST_STEPS: usize = 12;

/// A cookie as the browser keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cookie {
    /// Host that set it; ports are no part of that (RFC 6265 section 8.5).
    pub host: String,
    /// `Path`.
    pub path: String,
    /// Name.
    pub name: String,
    /// Value.
    pub value: String,
}

/// A browser with its cookies.
#[derive(Clone, Debug, Default)]
pub struct Browser {
    /// The cookies, in order of their first arrival.
    pub cookies: Vec<Cookie>,
    /// Headers that go with every request.
    pub headers: Vec<(String, String)>,
}

/// Where a browser is.
#[derive(Clone, Debug)]
pub struct Page {
    /// The address.
    pub url: Url,
    /// What came from there.
    pub answer: Answer,
}

/// The first form of a page.
#[derive(Clone, Debug)]
pub struct Form {
    /// Where it goes.
    pub action: Url,
    /// `GET` or `POST`.
    pub method: String,
    /// Names and values of its inputs.
    pub fields: Vec<(String, String)>,
}

impl Browser {
    /// A browser without cookies.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One GET, without following what comes.
    ///
    /// # Panics
    /// When the address is none, or no answer comes.
    pub fn get(&mut self, url: &str) -> Page {
        self.request("GET", parsed(url), None)
    }

    /// One POST of a form, without following what comes.
    ///
    /// # Panics
    /// As for [`Browser::get`].
    pub fn post(&mut self, url: &str, fields: &[(&str, &str)]) -> Page {
        self.request("POST", parsed(url), Some(&encoded(fields.iter().copied())))
    }

    /// Follows redirects, and forms that submit themselves, to a page that stays.
    ///
    /// # Panics
    /// After a dozen steps.
    pub fn follow(&mut self, page: Page) -> Page {
        let mut page = page;
        for _ in 0..MOST_STEPS {
            page = if let Some(place) = page.location() {
                self.request("GET", place, None)
            } else if page.submits_itself() {
                self.submit(&page, &[])
            } else {
                return page;
            };
        }
        panic!("no end of redirects: {page:?}");
    }

    /// Submits the page's form with these values in it; one request, without following what comes.
    ///
    /// # Panics
    /// When the page has no form, or no answer comes.
    pub fn submit(&mut self, page: &Page, values: &[(&str, &str)]) -> Page {
        let mut form = page.form().unwrap_or_else(|| panic!("no form: {page:?}"));
        for (name, value) in values {
            form.fields.retain(|(own, _)| own != name);
            form.fields.push(((*name).to_owned(), (*value).to_owned()));
        }
        let text = |(name, value): &(String, String)| (name.clone(), value.clone());
        let fields: Vec<_> = form.fields.iter().map(text).collect();
        let body = encoded(
            fields
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str())),
        );
        if form.method == "POST" {
            return self.request("POST", form.action, Some(&body));
        }
        form.action.set_query(Some(&body));
        self.request("GET", form.action, None)
    }

    /// Goes to a page; where the provider's form comes instead, logs in as alex. Gives the page at the end.
    ///
    /// # Panics
    /// When the password is refused, or as for [`Browser::follow`].
    pub fn log_in(&mut self, url: &str) -> Page {
        let page = self.get(url);
        let page = self.follow(page);
        if !page.asks_for_password() {
            return page;
        }
        let page = self.answer_form(&page);
        self.follow(page)
    }

    /// Fills in the provider's form as alex; one request, without following what comes.
    ///
    /// # Panics
    /// As for [`Browser::submit`].
    pub fn answer_form(&mut self, page: &Page) -> Page {
        self.submit(page, &[("username", "alex"), ("password", "doe")])
    }

    /// The value of the cookie of this name for this host.
    #[must_use]
    pub fn cookie(&self, name: &str) -> Option<&str> {
        let found = self.cookies.iter().find(|cookie| cookie.name == name);
        found.map(|cookie| cookie.value.as_str())
    }

    /// The cookies whose names begin so.
    #[must_use]
    pub fn named(&self, prefix: &str) -> Vec<&Cookie> {
        let cookies = self.cookies.iter();
        cookies
            .filter(|cookie| cookie.name.starts_with(prefix))
            .collect()
    }

    /// The value of `Cookie` for this address; `None` without one.
    #[must_use]
    pub fn cookie_line(&self, url: &Url) -> Option<String> {
        let pairs: Vec<String> = self
            .cookies
            .iter()
            .filter(|cookie| url.host_str() == Some(&cookie.host) && covers(&cookie.path, url))
            .map(|cookie| format!("{}={}", cookie.name, cookie.value))
            .collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    /// One request with the cookies for it, whose answer's cookies are kept.
    ///
    /// # Panics
    /// When no answer comes.
    pub fn request(&mut self, method: &str, url: Url, form: Option<&str>) -> Page {
        let mut headers: Vec<(&str, &str)> = Vec::new();
        for (name, value) in &self.headers {
            headers.push((name, value));
        }
        let line = self.cookie_line(&url);
        headers.extend(line.as_deref().map(|line| ("cookie", line)));
        let answer = send(method, &url, &headers, form);
        self.keep(&url, &answer);
        Page { url, answer }
    }

    /// Keeps the cookies of an answer, and forgets those that it ends.
    pub fn keep(&mut self, url: &Url, answer: &Answer) {
        let host = url.host_str().unwrap_or_default();
        for line in answer.all("set-cookie") {
            let mut parts = line.split(';').map(str::trim);
            let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else {
                continue;
            };
            let (mut path, mut ended) = ("/".to_owned(), false);
            for part in parts {
                match part.split_once('=') {
                    Some((key, value)) if key.eq_ignore_ascii_case("path") => {
                        value.clone_into(&mut path)
                    }
                    Some((key, value)) if key.eq_ignore_ascii_case("max-age") => {
                        ended = value == "0"
                    }
                    _ => {}
                }
            }
            let same = |cookie: &&mut Cookie| {
                cookie.host == host && cookie.path == path && cookie.name == name
            };
            if ended {
                self.cookies.retain(|cookie| {
                    cookie.host != host || cookie.path != path || cookie.name != name
                });
            } else if let Some(old) = self.cookies.iter_mut().find(same) {
                value.clone_into(&mut old.value);
            } else {
                self.cookies.push(Cookie {
                    host: host.to_owned(),
                    path,
                    name: name.to_owned(),
                    value: value.to_owned(),
                });
            }
        }
    }
}

impl Page {
    /// Where a redirect leads.
    ///
    /// # Panics
    /// When it leads nowhere.
    #[must_use]
    pub fn location(&self) -> Option<Url> {
        if !(300..400).contains(&self.answer.status) || self.answer.status == 304 {
            return None;
        }
        let place = self.answer.header("location").expect("a place to go to");
        Some(
            self.url
                .join(place)
                .unwrap_or_else(|error| panic!("{place}: {error}")),
        )
    }

    /// A parameter of the address that a redirect leads to.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<String> {
        parameter(&self.location()?, name)
    }

    /// Whether this is the provider's form.
    #[must_use]
    pub fn asks_for_password(&self) -> bool {
        self.answer.text().contains("name=\"password\"")
    }

    fn submits_itself(&self) -> bool {
        !self.asks_for_password()
            && self.answer.status == 200
            && self.answer.text().contains("document.forms[0].submit()")
    }

    /// The first form.
    #[must_use]
    pub fn form(&self) -> Option<Form> {
        let text = self.answer.text();
        let lower = text.to_ascii_lowercase();
        let start = lower.find("<form")?;
        let end = lower[start..]
            .find("</form")
            .map_or(text.len(), |at| start + at);
        let head = &text[start..start + lower[start..].find('>')?];
        let action = attribute(head, "action").unwrap_or_default();
        let mut fields = Vec::new();
        let mut rest = start;
        while let Some(at) = lower[rest..end].find("<input") {
            let from = rest + at;
            let to = from + lower[from..].find('>')?;
            let input = &text[from..to];
            if let Some(name) = attribute(input, "name") {
                fields.push((name, attribute(input, "value").unwrap_or_default()));
            }
            rest = to;
        }
        Some(Form {
            action: match action.as_str() {
                "" => self.url.clone(),
                action => self.url.join(action).ok()?,
            },
            method: attribute(head, "method")
                .unwrap_or_default()
                .to_ascii_uppercase(),
            fields,
        })
    }
}

/// A parameter of an address's query.
#[must_use]
pub fn parameter(url: &Url, name: &str) -> Option<String> {
    let mut pairs = url.query_pairs();
    pairs
        .find(|(own, _)| own == name)
        .map(|(_, value)| value.into_owned())
}

/// Names and values as a form.
pub fn encoded<'a>(fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.extend_pairs(fields);
    form.finish()
}

/// One request on a connection of its own, with the host of its address.
fn send(method: &str, url: &Url, headers: &[(&str, &str)], form: Option<&str>) -> Answer {
    let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
    let host = &url[url::Position::BeforeHost..url::Position::AfterPort];
    let mut bytes = format!("{method} {target} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n");
    for (name, value) in headers {
        bytes.push_str(&format!("{name}: {value}\r\n"));
    }
    match form {
        Some(form) => bytes.push_str(&format!(
            "content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{form}",
            form.len()
        )),
        None => bytes.push_str("\r\n"),
    }
    let port = url.port_or_known_default().expect("a port");
    raw::send(SocketAddr::from(([127, 0, 0, 1], port)), bytes.as_bytes())
}

/// RFC 6265 section 5.1.4.
fn covers(path: &str, url: &Url) -> bool {
    let rest = url.path().strip_prefix(path);
    rest.is_some_and(|rest| rest.is_empty() || path.ends_with('/') || rest.starts_with('/'))
}

fn parsed(url: &str) -> Url {
    Url::parse(url).unwrap_or_else(|error| panic!("{url}: {error}"))
}

/// The value of an attribute in a tag.
fn attribute(tag: &str, name: &str) -> Option<String> {
    let lower = tag.to_ascii_lowercase();
    let at = lower.find(&format!(" {name}=\""))? + name.len() + 3;
    let end = at + tag[at..].find('"')?;
    Some(unescaped(&tag[at..end]))
}

fn unescaped(text: &str) -> String {
    text.replace("&quot;", "\"")
        .replace("&#39;", "'")
        .replace("&#x3a;", ":")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_read_out_of_its_page() {
        let body = "<FORM METHOD=\"POST\" ACTION=\"/cb?a=1&amp;b=2\"><INPUT TYPE=\"HIDDEN\" NAME=\"state\" VALUE=\"x&amp;y\" />\n<input name=\"code\"/></FORM>";
        let page = Page {
            url: parsed("http://127.0.0.1:1/here"),
            answer: Answer {
                status: 200,
                headers: Vec::new(),
                body: body.as_bytes().to_vec(),
            },
        };
        let form = page.form().expect("a form");
        assert_eq!(form.action.as_str(), "http://127.0.0.1:1/cb?a=1&b=2");
        assert_eq!(form.method, "POST");
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(form.fields, [pair("state", "x&y"), pair("code", "")]);
    }

    #[test]
    fn cookies_go_where_they_belong_until_they_end() {
        let mut browser = Browser::new();
        let url = parsed("http://127.0.0.1:1/a/b");
        let answer = |line: &str| Answer {
            status: 200,
            headers: vec![("set-cookie".to_owned(), line.to_owned())],
            body: Vec::new(),
        };
        browser.keep(&url, &answer("x=1; Path=/a; HttpOnly"));
        browser.keep(&url, &answer("y=2; Path=/"));
        assert_eq!(browser.cookie_line(&url).as_deref(), Some("x=1; y=2"));
        let other = parsed("http://127.0.0.1:1/ab");
        assert_eq!(browser.cookie_line(&other).as_deref(), Some("y=2"));
        assert_eq!(browser.cookie_line(&parsed("http://localhost:1/a")), None);
        browser.keep(&url, &answer("x=; Path=/a; Max-Age=0"));
        assert_eq!(browser.cookie("x"), None);
    }
}
