//! Which of our clients a request means (specification section 5, row C `client_arg`).

use crate::config::{Client, Clients};
use crate::http::{Request, arguments};

/// The client that the request names, and its place; the first one where it names none, or one that does
/// not exist.
///
/// The name is looked for in the headers (`X-Client-ID`, then `Client-ID`), the query and the body, once
/// that was read. The first place that has it counts; where it is repeated there, it names nobody.
pub fn chosen<'a>(clients: &'a Clients, request: &Request) -> (usize, &'a Client) {
    let named = match named_in_front(clients, request) {
        Named::Not => one_of(request.body().arguments(&clients.argument.name)),
        named => named,
    };
    let found = match &named {
        Named::As(name) => std::str::from_utf8(name).ok(),
        Named::Not | Named::Badly => None,
    };
    found
        .and_then(|name| clients.named(name))
        .unwrap_or((0, clients.first()))
}

/// Whether the request names one in front of its body: then that has no say.
pub fn is_named(clients: &Clients, request: &Request) -> bool {
    !matches!(named_in_front(clients, request), Named::Not)
}

enum Named {
    Not,
    As(Vec<u8>),
    /// More than once.
    Badly,
}

fn named_in_front(clients: &Clients, request: &Request) -> Named {
    for header in &clients.argument.headers {
        if request.headers.first(header).is_some() {
            let value = request.headers.only(header);
            return value.map_or(Named::Badly, |value| Named::As(value.trim_ascii().to_vec()));
        }
    }
    let query = request.query().unwrap_or_default();
    one_of(arguments(query, &clients.argument.name).take(2).collect())
}

fn one_of(mut values: Vec<Vec<u8>>) -> Named {
    match (values.pop(), values.is_empty()) {
        (None, _) => Named::Not,
        (Some(value), true) => Named::As(value),
        (Some(_), false) => Named::Badly,
    }
}

#[cfg(test)]
mod tests;
