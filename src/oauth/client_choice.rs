//! Which of our clients a request means (specification section 5, row C `client_arg`).

use super::extra::Shown;
use super::form::pairs;
use crate::config::{Client, Clients};

/// The client that the request names, and its place; the first one where it names none, or one that does
/// not exist.
///
/// The name is looked for in the headers (`X-Client-ID`, then `Client-ID`), the query and the form. The
/// first place that has it counts; where it is repeated there, it names nobody.
pub fn chosen<'a>(clients: &'a Clients, shown: &Shown<'_>) -> (usize, &'a Client) {
    let named = name(clients, shown);
    let named = named
        .as_deref()
        .and_then(|name| std::str::from_utf8(name).ok());
    named
        .and_then(|name| clients.named(name))
        .unwrap_or((0, clients.first()))
}

fn name(clients: &Clients, shown: &Shown<'_>) -> Option<Vec<u8>> {
    for header in &clients.argument.headers {
        if shown.headers.first(header).is_some() {
            return shown
                .headers
                .only(header)
                .map(|value| value.trim_ascii().to_vec());
        }
    }
    for place in [shown.query, shown.form] {
        let mut values = pairs(place)
            .filter(|(name, _)| name == clients.argument.name.as_bytes())
            .map(|(_, value)| value);
        match (values.next(), values.next()) {
            (None, _) => {}
            (Some(value), None) => return Some(value),
            (Some(_), Some(_)) => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests;
