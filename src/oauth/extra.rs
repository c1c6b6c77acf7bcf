//! What the configuration adds to a call, beside what the call is: headers and arguments, fixed ones and
//! those that the gateway's client shows (`token_post_args_*`, `introspection_headers_*` and their like).

use std::fmt;

use super::form::{Form, pairs};
use crate::config::{ExtraArguments, ExtraHeaders};
use crate::http::{Headers, Request};

/// The longest value of a client that is passed on, in bytes.
const MAX_PASSED: usize = 2048;

/// What the gateway's client showed, in the places where arguments can be.
#[derive(Clone, Copy)]
pub struct Shown<'a> {
    /// Its headers.
    pub headers: &'a Headers,
    /// Its query, as it stands in the target.
    pub query: &'a [u8],
    /// Its body, if that is a form (`application/x-www-form-urlencoded`); empty otherwise.
    pub form: &'a [u8],
}

/// Headers and arguments to add to one call. Its `Debug` prints names only.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Extra {
    headers: Vec<(String, String)>,
    arguments: Vec<(String, String)>,
}

impl fmt::Debug for Extra {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |pairs: &[(String, String)]| -> Vec<String> {
            pairs.iter().map(|(name, _)| name.clone()).collect()
        };
        f.debug_struct("Extra")
            .field("headers", &names(&self.headers))
            .field("arguments", &names(&self.arguments))
            .finish()
    }
}

/// Where else than in headers of its own name a client's argument may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Places {
    /// In the query.
    Query,
    /// In the query or in the form.
    QueryAndForm,
    /// In a header, the query or the form, looked for in that order.
    All,
}

impl Extra {
    /// What this request adds to a call. A client's value that is repeated in its place, unreadable or too
    /// long is left out: the provider must not read another one than the gateway.
    pub fn of(
        headers: &ExtraHeaders,
        arguments: &ExtraArguments,
        places: Places,
        shown: &Shown<'_>,
    ) -> Extra {
        let fixed = |pairs: &[(String, crate::config::Secret)]| -> Vec<(String, String)> {
            let pairs = pairs.iter();
            pairs
                .map(|(name, value)| (name.clone(), value.expose().to_owned()))
                .collect()
        };
        let mut extra = Extra {
            headers: fixed(&headers.fixed),
            arguments: fixed(&arguments.fixed),
        };
        for name in &headers.from_client {
            if let Some(value) = shown.header(name) {
                extra.headers.push((name.clone(), value));
            }
        }
        for name in &arguments.from_client {
            if let Some(value) = shown.argument(name, places) {
                extra.arguments.push((name.clone(), value));
            }
        }
        for (name, header) in &arguments.from_headers {
            if let Some(value) = shown.header(header) {
                extra.arguments.push((name.clone(), value));
            }
        }
        extra
    }

    /// All of it, for the key of a cache: what is asked with other arguments is another question (trap T15).
    pub fn parts(&self) -> impl Iterator<Item = (&str, &str)> {
        let both = self.headers.iter().chain(&self.arguments);
        both.map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// How many of [`Extra::parts`] are headers.
    pub fn header_count(&self) -> usize {
        self.headers.len()
    }

    /// Adds the headers to a call's own. One of the same name is replaced.
    pub(super) fn add_headers(&self, headers: &mut Vec<(String, String)>) {
        headers.retain(|(own, _)| !self.headers.iter().any(|(name, _)| name == own));
        headers.extend(self.headers.iter().cloned());
    }

    /// Adds the arguments to a call's own. One of the same name is replaced.
    #[must_use]
    pub(super) fn add_arguments(&self, form: Form) -> Form {
        let form = form.without(|own| self.arguments.iter().any(|(name, _)| name == own));
        self.arguments
            .iter()
            .fold(form, |form, (name, value)| form.with(name, value))
    }
}

impl<'a> Shown<'a> {
    /// What a request shows; nothing in a body that was not read.
    pub fn of(request: &'a Request) -> Shown<'a> {
        Shown {
            headers: &request.headers,
            query: request.query().unwrap_or_default(),
            form: request.body().form(),
        }
    }
}

impl Shown<'_> {
    fn header(&self, name: &str) -> Option<String> {
        let value = self.headers.only(name)?;
        let visible = value.iter().all(|byte| matches!(byte, b' '..=b'~'));
        readable(value).filter(|_| visible)
    }

    fn argument(&self, name: &str, places: Places) -> Option<String> {
        // A header's name has hyphens for underscores (specification section 3).
        let header = name.to_ascii_lowercase().replace('_', "-");
        if places == Places::All && self.headers.first(&header).is_some() {
            return self.header(&header);
        }
        let form = match places {
            Places::Query => &[][..],
            Places::QueryAndForm | Places::All => self.form,
        };
        for place in [self.query, form] {
            let mut values = pairs(place)
                .filter(|(own, _)| own == name.as_bytes())
                .map(|(_, value)| value);
            match (values.next(), values.next()) {
                (None, _) => {}
                (Some(value), None) => return readable(&value),
                (Some(_), Some(_)) => return None,
            }
        }
        None
    }
}

fn readable(value: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(value).ok()?;
    let fits = text.len() <= MAX_PASSED && !text.chars().any(char::is_control);
    fits.then(|| text.to_owned())
}

#[cfg(test)]
mod tests;
