//! A browser's cookies (RFC 6265, and SameSite of RFC 6265bis as Chromium has it).

/// A cookie that a browser keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The name.
    pub name: String,
    /// The value.
    pub value: String,
    /// `Path`.
    pub path: String,
    /// `Domain`, if there was one.
    pub domain: Option<String>,
    /// `SameSite`; none: the browser's default.
    pub same_site: Option<String>,
    /// `Secure`.
    pub secure: bool,
    /// `HttpOnly`.
    pub http_only: bool,
    /// When it was made, in milliseconds: a new value of an old cookie counts anew.
    pub made: u64,
}

/// For how long a cookie without `SameSite` comes with another site's POST, in milliseconds ("Lax and
/// POST" of Chromium).
const LAX_AND_POST: u64 = 120_000;

/// How a navigation looks to a cookie.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Visit<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) secure: bool,
    /// Another site began it, or one of its redirects came from another site.
    pub(crate) cross_site: bool,
    pub(crate) now: u64,
}

impl Stored {
    /// Reads a Set-Cookie value. The flag says that it only takes the cookie away.
    pub(crate) fn read(line: &str, now: u64) -> Option<(Stored, bool)> {
        let mut parts = line.split(';').map(str::trim);
        let (name, value) = parts.next()?.split_once('=')?;
        let mut cookie = Stored {
            name: name.to_owned(),
            value: value.to_owned(),
            path: "/".to_owned(),
            domain: None,
            same_site: None,
            secure: false,
            http_only: false,
            made: now,
        };
        let mut gone = false;
        for part in parts {
            let (attribute, value) = part.split_once('=').unwrap_or((part, ""));
            match attribute.to_ascii_lowercase().as_str() {
                "path" => value.clone_into(&mut cookie.path),
                "domain" => cookie.domain = Some(value.to_owned()),
                "samesite" => cookie.same_site = Some(value.to_owned()),
                "secure" => cookie.secure = true,
                "httponly" => cookie.http_only = true,
                "max-age" => gone = value == "0",
                _ => {}
            }
        }
        Some((cookie, gone))
    }

    /// Whether a browser takes it at all from a site of this kind.
    pub(crate) fn is_taken(&self, secure: bool) -> bool {
        let none = self.same_site.as_deref() == Some("None");
        (secure || !self.secure) && (self.secure || !none)
    }

    /// Whether it is this cookie: a browser tells them apart by name, domain and path.
    pub(crate) fn is_same_as(&self, other: &Stored) -> bool {
        self.name == other.name && self.path == other.path && self.domain == other.domain
    }

    /// Whether it comes with a navigation.
    pub(crate) fn comes(&self, visit: &Visit<'_>) -> bool {
        let under = self.path == "/"
            || visit.path == self.path
            || visit
                .path
                .strip_prefix(self.path.as_str())
                .is_some_and(|rest| self.path.ends_with('/') || rest.starts_with('/'));
        let fits = !self.secure || visit.secure;
        let safe = matches!(visit.method, "GET" | "HEAD");
        let site = !visit.cross_site
            || match self.same_site.as_deref() {
                Some("None") => true,
                Some("Strict") => false,
                Some(_) => safe,
                None => safe || visit.now.saturating_sub(self.made) < LAX_AND_POST,
            };
        under && fits && site
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comes(line: &str, method: &str, cross_site: bool, age: u64) -> bool {
        let (cookie, _) = Stored::read(line, 0).expect("a cookie");
        cookie.comes(&Visit {
            method,
            path: "/app/x",
            secure: true,
            cross_site,
            now: age,
        })
    }

    #[test]
    fn another_sites_visit_brings_what_same_site_lets_through() {
        for (line, get, post, late_post) in [
            ("a=1", true, true, false),
            ("a=1; SameSite=Lax", true, false, false),
            ("a=1; SameSite=Strict", false, false, false),
            ("a=1; SameSite=None; Secure", true, true, true),
        ] {
            assert!(comes(line, "POST", false, 500_000), "{line}");
            assert_eq!(comes(line, "GET", true, 500_000), get, "{line}");
            assert_eq!(comes(line, "POST", true, 119_999), post, "{line}");
            assert_eq!(comes(line, "POST", true, 120_000), late_post, "{line}");
        }
    }

    #[test]
    fn a_path_is_one_of_whole_segments() {
        assert!(comes("a=1; Path=/app", "GET", false, 0));
        assert!(!comes("a=1; Path=/ap", "GET", false, 0));
        assert!(!comes("a=1; Path=/other", "GET", false, 0));
    }
}
