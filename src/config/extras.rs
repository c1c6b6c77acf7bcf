//! What a call to the provider carries beyond its own: headers and arguments, fixed ones and those that the
//! gateway's client shows.

use super::names::{header_name, header_value};
use super::reader::Reader;
use super::secret::Secret;

/// Headers of a call beyond its own: `<call>_headers_names`, `_values` and `_client`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExtraHeaders {
    /// Names in lower case, with their values.
    pub fixed: Vec<(String, Secret)>,
    /// Names, in lower case, of headers of the client's request that are passed on.
    pub from_client: Vec<String>,
}

/// Arguments of a call beyond its own: `<call>_args_names`, `_values`, `_client` and `_client_headers`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExtraArguments {
    /// Names with their values. One that the call would write itself replaces that one.
    pub fixed: Vec<(String, Secret)>,
    /// Names of arguments of the client's request that are passed on.
    pub from_client: Vec<String>,
    /// Headers of the client's request that are passed on as arguments: the name of the argument, and of the
    /// header in lower case.
    pub from_headers: Vec<(String, String)>,
}

/// Headers that belong to the call itself.
const CALL_HEADERS: [&str; 7] = [
    "connection",
    "content-length",
    "content-type",
    "host",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// Headers of the client's request that hold a credential meant for us, or for the upstream.
const CREDENTIALS: [&str; 3] = ["authorization", "cookie", "proxy-authorization"];

impl ExtraHeaders {
    /// `call` is the beginning of the names, like `token`. `own` are headers that the call writes itself,
    /// each with what to write instead.
    pub(super) fn read(reader: &mut Reader, call: &str, own: &[(&str, &str)]) -> ExtraHeaders {
        let names = format!("{call}_headers_names");
        let fixed = fixed_headers(reader, &names, &format!("{call}_headers_values"), own);
        let field = format!("{call}_headers_client");
        let from_client = reader.list(&field, |name| {
            let name = client_header(name)?;
            if own.iter().any(|(own, _)| *own == name) {
                return Err("is written by the call itself; remove it".to_owned());
            }
            if fixed.iter().any(|(fixed, _)| *fixed == name) {
                return Err(format!(
                    "has a fixed value in `{names}`; remove it there or here"
                ));
            }
            Ok(name)
        });
        no_name_twice(reader, &field, from_client.iter());
        ExtraHeaders { fixed, from_client }
    }
}

impl ExtraArguments {
    /// `fields` is the beginning of the names, like `token_post_args`. `own` are arguments that the call
    /// writes itself.
    pub(super) fn read(reader: &mut Reader, fields: &str, own: &[&str]) -> ExtraArguments {
        let legal = |name: &str| match name {
            "" => Err("is empty; write the argument's name".to_owned()),
            name if own.contains(&name) => {
                Err("is written by the call itself; remove it".to_owned())
            }
            name => Ok(name.to_owned()),
        };
        let names = format!("{fields}_names");
        let pairs = reader.pairs(&names, &format!("{fields}_values"));
        for (at, (name, _)) in pairs.iter().enumerate() {
            if let Err(why) = legal(name) {
                reader.error(&format!("{names}[{at}]"), why);
            }
        }
        no_name_twice(reader, &names, pairs.iter().map(|(name, _)| name));
        let fixed: Vec<(String, Secret)> = pairs
            .into_iter()
            .map(|(name, value)| (name, Secret::new(value)))
            .collect();
        let passed = |name: &str| {
            let name = legal(name)?;
            // A client that could ask for them would choose its own rights. What it gets of a scope is the
            // provider's to decide, and Kong passes it on where tokens are asked for (DX-50).
            let may_choose = fields == "token_post_args" && name == "scope";
            if matches!(name.as_str(), "scope" | "audience" | "resource") && !may_choose {
                return Err(
                    "the client must not choose this argument; set it in the configuration"
                        .to_owned(),
                );
            }
            if fixed.iter().any(|(fixed, _)| *fixed == name) {
                return Err(format!(
                    "has a fixed value in `{names}`; remove it there or here"
                ));
            }
            Ok(name)
        };
        let field = format!("{fields}_client");
        let from_client = reader.list(&field, passed);
        no_name_twice(reader, &field, from_client.iter());
        let field = format!("{fields}_client_headers");
        let from_headers = reader.list(&field, |text| {
            let name = passed(text)?;
            if from_client.contains(&name) {
                return Err(format!(
                    "is passed by `{fields}_client`, too; remove it there or here"
                ));
            }
            Ok((name, client_header(text)?))
        });
        no_name_twice(reader, &field, from_headers.iter().map(|(name, _)| name));
        let mut passed = from_client
            .iter()
            .chain(from_headers.iter().map(|(name, _)| name));
        if passed.any(|name| name == "scope") {
            let text = "the client chooses the `scope` of its tokens; demand those that you rely on with `scopes_required`";
            reader.warn(&format!("{fields}_client"), text);
        }
        ExtraArguments {
            fixed,
            from_client,
            from_headers,
        }
    }
}

/// Headers with fixed values: names in lower case. Sent as they are, so an underscore stays one: these are
/// headers of a call of ours, not mapped names.
pub(super) fn fixed_headers(
    reader: &mut Reader,
    names: &str,
    values: &str,
    own: &[(&str, &str)],
) -> Vec<(String, Secret)> {
    let mut headers = Vec::new();
    for (at, (name, value)) in reader.pairs(names, values).into_iter().enumerate() {
        let checked = header_name(&name).and_then(|name| {
            if CALL_HEADERS.contains(&name.as_str()) {
                return Err(format!("`{name}` belongs to the call itself; remove it"));
            }
            match own.iter().find(|(own, _)| *own == name) {
                Some((_, instead)) => {
                    Err(format!("`{name}` is written by the call itself; {instead}"))
                }
                None => Ok(name),
            }
        });
        match checked {
            Ok(name) => match header_value(&value) {
                Ok(()) => headers.push((name, Secret::new(value))),
                Err(why) => reader.error(&format!("{values}[{at}]"), why),
            },
            Err(why) => reader.error(&format!("{names}[{at}]"), why),
        }
    }
    no_name_twice(reader, names, headers.iter().map(|(name, _)| name));
    headers
}

fn client_header(name: &str) -> Result<String, String> {
    let name = header_name(name)?;
    if CALL_HEADERS.contains(&name.as_str()) {
        return Err(format!("`{name}` belongs to the call itself; remove it"));
    }
    if CREDENTIALS.contains(&name.as_str()) {
        return Err(format!(
            "`{name}` holds a credential that is not the provider's to see; remove it"
        ));
    }
    Ok(name)
}

/// A name that stands twice would be sent twice, and whoever reads it takes one of the two.
fn no_name_twice<'a>(reader: &mut Reader, field: &str, names: impl Iterator<Item = &'a String>) {
    let mut seen: Vec<&String> = Vec::new();
    for name in names {
        if seen.contains(&name) {
            reader.error(field, "names the same thing twice; remove one");
            return;
        }
        seen.push(name);
    }
}
