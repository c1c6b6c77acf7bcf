//! Takes typed members out of the tree and remembers every mistake.

use serde_json::{Map, Value};
use url::Url;

use super::document::Document;
use super::error::{ConfigError, MOST_ERRORS, Warning};
use super::fields;
use super::issuer::http_url;

/// The most elements of one list.
const MOST_ELEMENTS: usize = 4096;
/// The longest time: what fits into Kong's own integers. About 68 years in seconds.
const LONGEST_TIME: u64 = 2_147_483_646;

/// Reads the members of the top level. A member that is absent gives the table's default.
pub(super) struct Reader {
    members: Map<String, Value>,
    errors: Vec<ConfigError>,
    warnings: Vec<Warning>,
}

/// Members of an enumeration that were named, each once.
pub(super) struct Choices<T> {
    name: &'static str,
    named: Vec<T>,
}

impl Reader {
    pub(super) fn new(document: Document) -> Reader {
        Reader {
            members: document.members,
            errors: document.errors,
            warnings: document.warnings,
        }
    }

    /// A reader of these members alone, whose mistakes were not looked for yet.
    pub(super) fn of_members(members: Map<String, Value>) -> Reader {
        Reader {
            members,
            errors: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// What was read, with the warnings; or the errors.
    pub(super) fn finish<T>(
        mut self,
        read: Option<T>,
    ) -> Result<(T, Vec<Warning>), Vec<ConfigError>> {
        match read {
            Some(read) if self.errors.is_empty() => Ok((read, self.warnings)),
            _ => {
                if self.errors.len() >= MOST_ERRORS {
                    self.errors.truncate(MOST_ERRORS);
                    let message = "too many errors; there may be more".to_owned();
                    self.errors.push(ConfigError {
                        path: "config".to_owned(),
                        message,
                    });
                }
                Err(self.errors)
            }
        }
    }

    /// Notes a mistake at `name`, unless one is known there already.
    pub(super) fn error(&mut self, name: &str, message: impl Into<String>) {
        if self.errors.len() < MOST_ERRORS && !self.failed(name) {
            self.errors.push(ConfigError {
                path: format!("config.{name}"),
                message: message.into(),
            });
        }
    }

    /// Whether there is a mistake at `name` or below it.
    pub(super) fn failed(&self, name: &str) -> bool {
        self.errors.iter().any(|error| {
            let rest = error
                .path
                .strip_prefix("config.")
                .and_then(|path| path.strip_prefix(name));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        })
    }

    pub(super) fn warn(&mut self, name: &str, message: impl Into<String>) {
        self.warnings.push(Warning {
            path: format!("config.{name}"),
            message: message.into(),
        });
    }

    /// Whether the member is there and null.
    pub(super) fn is_null(&self, name: &str) -> bool {
        self.members.get(name).is_some_and(Value::is_null)
    }

    /// The member, or its default; `None` where neither is.
    fn value(&self, name: &str) -> Option<Value> {
        let value = match self.member(name) {
            None | Some(Value::Null) => fields::find(name)?.default_value(),
            Some(value) => value.clone(),
        };
        (!value.is_null()).then_some(value)
    }

    /// The member as it was written. That of a block stands behind a dot: `kong_admin.url`.
    fn member(&self, name: &str) -> Option<&Value> {
        let mut steps = name.split('.');
        let top = self.members.get(steps.next()?)?;
        steps.try_fold(top, |block, step| block.get(step))
    }

    /// Whether a block is there. Its members are read by their paths.
    pub(super) fn has_block(&mut self, name: &str) -> bool {
        match self.value(name) {
            Some(Value::Object(_)) => true,
            Some(_) => {
                self.error(name, "write an object");
                false
            }
            None => false,
        }
    }

    pub(super) fn flag(&mut self, name: &str) -> bool {
        match self.value(name) {
            Some(Value::Bool(flag)) => flag,
            Some(_) => {
                self.error(name, "write true or false");
                false
            }
            None => false,
        }
    }

    /// A flag whose absence is a third value.
    pub(super) fn flag_if_set(&mut self, name: &str) -> Option<bool> {
        self.value(name)?;
        Some(self.flag(name))
    }

    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        match self.value(name)? {
            Value::String(text) => Some(text),
            _ => {
                self.error(name, "write a text");
                None
            }
        }
    }

    /// A text that `check` turns into something better.
    pub(super) fn checked<T>(
        &mut self,
        name: &str,
        check: fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = self.text(name)?;
        check(&text).map_err(|why| self.error(name, why)).ok()
    }

    pub(super) fn url(&mut self, name: &str) -> Option<Url> {
        self.checked(name, http_url)
    }

    pub(super) fn urls(&mut self, name: &str) -> Vec<Url> {
        self.list(name, http_url)
    }

    /// A time in whole seconds.
    pub(super) fn seconds(&mut self, name: &str) -> Option<u64> {
        let value = self.value(name)?;
        let whole = whole_number(&value).filter(|time| *time <= LONGEST_TIME);
        if whole.is_none() {
            self.error(name, "write a whole number of seconds, 0 to 2147483646");
        }
        whole
    }

    /// A time in whole milliseconds.
    pub(super) fn milliseconds(&mut self, name: &str) -> Option<u32> {
        let value = self.value(name)?;
        let whole = whole_number(&value).filter(|time| *time <= LONGEST_TIME);
        let whole = whole.and_then(|time| u32::try_from(time).ok());
        if whole.is_none() {
            self.error(
                name,
                "write a whole number of milliseconds, 0 to 2147483646",
            );
        }
        whole
    }

    /// One of several texts.
    pub(super) fn choice<T: Copy>(&mut self, name: &str, options: &[(&str, T)]) -> Option<T> {
        let text = self.text(name)?;
        let found = options
            .iter()
            .find(|(option, _)| *option == text)
            .map(|(_, value)| *value);
        if found.is_none() {
            self.error(name, one_of(options));
        }
        found
    }

    /// Several of several texts, in the order of `options`.
    pub(super) fn choices<T: Copy>(
        &mut self,
        name: &'static str,
        options: &[(&'static str, T)],
    ) -> Choices<T> {
        let texts = self.list(name, |text| {
            options
                .iter()
                .position(|(option, _)| *option == text)
                .ok_or_else(|| one_of(options))
        });
        let named = options
            .iter()
            .enumerate()
            .filter(|(position, _)| texts.contains(position))
            .map(|(_, (_, value))| *value);
        Choices {
            name,
            named: named.collect(),
        }
    }

    pub(super) fn texts(&mut self, name: &str) -> Vec<String> {
        self.list(name, |text| Ok(text.to_owned()))
    }

    /// Texts that are names of something.
    pub(super) fn names(&mut self, name: &str) -> Vec<String> {
        self.list(name, |text| {
            if text.is_empty() {
                Err("is empty".to_owned())
            } else {
                Ok(text.to_owned())
            }
        })
    }

    /// Texts of which one must hold. An empty list is refused: it could be meant to let nobody in as
    /// well as everybody.
    pub(super) fn restriction(&mut self, name: &str) -> Vec<String> {
        let texts = self.list(name, |text| {
            if text.trim_ascii().is_empty() {
                Err("is empty".to_owned())
            } else {
                Ok(text.to_owned())
            }
        });
        if texts.is_empty() && self.value(name).is_some() {
            self.error(
                name,
                "is an empty list; name at least one value, or remove it",
            );
        }
        texts
    }

    /// The way down to a claim: never empty, but for a mistake.
    pub(super) fn path(&mut self, name: &str) -> Vec<String> {
        let path = self.names(name);
        if path.is_empty() {
            self.error(
                name,
                "is an empty path; write the claim's name, like `[\"roles\"]`",
            );
        }
        path
    }

    /// A list of texts, each turned into something better by `check`.
    pub(super) fn list<T>(
        &mut self,
        name: &str,
        check: impl Fn(&str) -> Result<T, String>,
    ) -> Vec<T> {
        let Some(value) = self.value(name) else {
            return Vec::new();
        };
        self.list_of(name, value, check)
    }

    pub(super) fn list_of<T>(
        &mut self,
        at: &str,
        value: Value,
        check: impl Fn(&str) -> Result<T, String>,
    ) -> Vec<T> {
        let mut read = Vec::new();
        for (index, element) in self.elements(at, value).into_iter().enumerate() {
            let at = format!("{at}[{index}]");
            match element {
                Value::String(text) => match check(&text) {
                    Ok(element) => read.push(element),
                    Err(why) => self.error(&at, why),
                },
                _ => self.error(&at, "write a text"),
            }
        }
        read
    }

    /// The elements of a list. An empty object is an empty list: so Kong writes one.
    fn elements(&mut self, at: &str, value: Value) -> Vec<Value> {
        match value {
            Value::Array(list) if list.len() > MOST_ELEMENTS => {
                self.error(at, "has more than 4096 elements");
                Vec::new()
            }
            Value::Array(list) => list,
            Value::Object(map) if map.is_empty() => Vec::new(),
            _ => {
                self.error(at, "write a list, like `[\"value\"]`");
                Vec::new()
            }
        }
    }

    /// Two lists of the same length, element by element.
    pub(super) fn pairs(&mut self, left: &str, right: &str) -> Vec<(String, String)> {
        let (lefts, rights) = (self.texts(left), self.texts(right));
        if lefts.len() != rights.len() && !self.failed(left) && !self.failed(right) {
            let text = format!(
                "has {} elements and `{left}` has {}; they go in pairs",
                rights.len(),
                lefts.len()
            );
            self.error(right, text);
            return Vec::new();
        }
        lefts.into_iter().zip(rights).collect()
    }

    /// An object with names of the operator's choice.
    pub(super) fn map(&mut self, name: &str) -> Map<String, Value> {
        match self.value(name) {
            Some(Value::Object(map)) if map.len() <= MOST_ELEMENTS => map,
            Some(Value::Array(list)) if list.is_empty() => Map::new(),
            Some(_) => {
                self.error(name, "write an object with at most 4096 members");
                Map::new()
            }
            None => Map::new(),
        }
    }

    /// The objects of a list, each with its place; their members are judged like those of the top.
    pub(super) fn objects(&mut self, name: &str) -> Vec<(usize, Map<String, Value>)> {
        let Some(value) = self.value(name) else {
            return Vec::new();
        };
        let mut read = Vec::new();
        for (index, element) in self.elements(name, value).into_iter().enumerate() {
            let at = format!("{name}[{index}]");
            let Value::Object(members) = element else {
                self.error(&at, "write an object");
                continue;
            };
            fields::judge(
                &format!("{name}[]."),
                &format!("config.{at}."),
                &members,
                &mut self.errors,
            );
            read.push((index, members));
        }
        read
    }

    /// A list of `{header, path}`: where each header's name stands, the name, the path.
    pub(super) fn claim_headers(&mut self, name: &str) -> Vec<(String, String, Vec<String>)> {
        let Some(value) = self.value(name) else {
            return Vec::new();
        };
        let mut read = Vec::new();
        for (index, element) in self.elements(name, value).into_iter().enumerate() {
            let at = format!("{name}[{index}]");
            let Value::Object(mut members) = element else {
                self.error(&at, "write an object with `header` and `path`");
                continue;
            };
            fields::judge(
                &format!("{name}[]."),
                &format!("config.{at}."),
                &members,
                &mut self.errors,
            );
            let header = match members.remove("header") {
                Some(Value::String(header)) => Some(header),
                _ => {
                    self.error(
                        &format!("{at}.header"),
                        "is required; write the header's name",
                    );
                    None
                }
            };
            let path_at = format!("{at}.path");
            let path = self.list_of(
                &path_at,
                members.remove("path").unwrap_or(Value::Array(Vec::new())),
                |text| {
                    if text.is_empty() {
                        Err("is empty".to_owned())
                    } else {
                        Ok(text.to_owned())
                    }
                },
            );
            if path.is_empty() {
                self.error(
                    &path_at,
                    "is required; write the way down to the claim, like `[\"address\", \"city\"]`",
                );
            }
            if let Some(header) = header {
                read.push((format!("{at}.header"), header, path));
            }
        }
        read
    }
}

impl<T> Choices<T> {
    /// All that were named.
    pub(super) fn all(self) -> Vec<T> {
        self.named
    }

    /// The same. `empty` says what is wrong if none was.
    pub(super) fn resolve(self, reader: &mut Reader, empty: &str) -> Vec<T> {
        if self.named.is_empty() {
            reader.error(self.name, empty);
        }
        self.named
    }
}

/// A number without a fraction that is not negative: `3600` or `3600.0`.
fn whole_number(value: &Value) -> Option<u64> {
    if let Some(whole) = value.as_u64() {
        return Some(whole);
    }
    let number = value.as_f64()?;
    let fits = number >= 0.0 && number <= LONGEST_TIME as f64 && number.fract() == 0.0;
    fits.then_some(number as u64)
}

/// The error of a text that is none of `options`.
pub(super) fn one_of<T>(options: &[(&str, T)]) -> String {
    let names: Vec<String> = options
        .iter()
        .map(|(name, _)| format!("`{name}`"))
        .collect();
    format!("unknown value; write one of {}", names.join(", "))
}
