//! The two small pages that a login needs of its own, where a redirect is not enough.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::Response;

/// All that the second page runs.
const SUBMIT: &str = "document.forms[0].submit()";

impl Response {
    /// A page that goes on to `url` by itself. A browser counts a redirect at the end of a login as a
    /// step of the provider's site and holds back Strict cookies; a step from a page of ours is our own.
    pub fn hop(url: &str) -> Response {
        let url = escape(url);
        let body = format!(
            "<!doctype html><html><head><meta charset=\"utf-8\"><meta http-equiv=\"refresh\" \
             content=\"0;url={url}\"><title>Signing in</title></head><body><a href=\"{url}\">Continue\
             </a></body></html>\n"
        );
        page(&body, "")
    }

    /// A page that sends these fields to its own address again, as a request from our site: a browser
    /// holds back cookies on a form that another site sent, and brings them on this one.
    pub fn resubmit(fields: &[(String, String)]) -> Response {
        let inputs: String = fields
            .iter()
            .map(|(name, value)| {
                format!(
                    "<input type=\"hidden\" name=\"{}\" value=\"{}\">",
                    escape(name),
                    escape(value)
                )
            })
            .collect();
        let body = format!(
            "<!doctype html><html><head><meta charset=\"utf-8\"><title>Signing in</title></head><body>\
             <form method=\"post\">{inputs}<noscript><button>Continue</button></noscript></form>\
             <script>{SUBMIT}</script></body></html>\n"
        );
        let hash = STANDARD.encode(Sha256::digest(SUBMIT));
        page(&body, &format!("script-src 'sha256-{hash}'; "))
    }
}

/// No `form-action`: browsers hold it against the redirects after the form, too, and those may lead to
/// the provider. Nothing of a stranger's becomes a form here.
fn page(body: &str, scripts: &str) -> Response {
    let policy = format!("default-src 'none'; {scripts}base-uri 'none'; frame-ancestors 'none'");
    let mut page = Response::new(200)
        .with("content-type", b"text/html; charset=utf-8")
        .with("content-security-policy", policy.as_bytes())
        .with("referrer-policy", b"no-referrer")
        .with("x-content-type-options", b"nosniff");
    page.body = body.as_bytes().to_vec();
    page
}

/// A text inside HTML, also inside an attribute's quotes.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_stranger_sent_stays_text() {
        let evil = "\"><script>alert('x')</script>&";
        let page = Response::resubmit(&[("state".to_owned(), evil.to_owned())]);
        let body = String::from_utf8_lossy(&page.body);
        assert_eq!(body.matches("<script>").count(), 1);
        assert!(body.contains("&quot;&gt;&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;"));
        let body = Response::hop(evil).body;
        assert!(!String::from_utf8_lossy(&body).contains("<script>"));
    }

    #[test]
    fn nothing_but_our_own_script_runs() {
        let page = Response::resubmit(&[]);
        let policy = page
            .headers
            .iter()
            .find(|(name, _)| *name == "content-security-policy")
            .map(|(_, value)| String::from_utf8_lossy(value).into_owned());
        // The hash of the script, computed with `openssl dgst -sha256 -binary | base64`.
        assert_eq!(
            policy.as_deref(),
            Some(
                "default-src 'none'; script-src 'sha256-ePniVEkSivX/c7XWBGafqh8tSpiRrKiqYeqbG7N1TOE='; \
                 base-uri 'none'; frame-ancestors 'none'"
            )
        );
    }
}
