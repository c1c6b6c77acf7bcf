//! Header maps: their serialized form, and Kong's way of not removing.

/// Names (lower case) and values in order.
pub type Pairs = Vec<(String, Vec<u8>)>;

#[derive(Clone, Debug)]
struct Entry {
    name: String,
    value: Vec<u8>,
    removed: bool,
}

/// A header map that the module reads and edits.
#[derive(Clone, Debug, Default)]
pub struct Headers(Vec<Entry>);

/// Request headers of which nginx knows one: adding to a present one is ignored.
const SINGLE: [&str; 9] = [
    "authorization",
    "content-length",
    "content-type",
    "host",
    "if-modified-since",
    "range",
    "referer",
    "upgrade",
    "user-agent",
];

impl Headers {
    /// From pairs.
    pub fn new(pairs: Pairs) -> Headers {
        let entry = |(name, value)| Entry {
            name,
            value,
            removed: false,
        };
        Headers(pairs.into_iter().map(entry).collect())
    }

    /// What the module sees as the whole map.
    pub fn visible(&self) -> Pairs {
        let pair = |entry: &Entry| (entry.name.clone(), entry.value.clone());
        self.0
            .iter()
            .filter(|entry| !entry.removed)
            .map(pair)
            .collect()
    }

    /// What goes upstream: the marked ones too.
    pub fn sent(&self) -> Pairs {
        self.0
            .iter()
            .map(|entry| (entry.name.clone(), entry.value.clone()))
            .collect()
    }

    /// The first copy, a marked one too.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.0
            .iter()
            .find(|entry| entry.name == name)
            .map(|entry| entry.value.as_slice())
    }

    /// Adds a copy.
    pub fn add(&mut self, name: &str, value: Vec<u8>) {
        self.0.push(Entry {
            name: name.to_owned(),
            value,
            removed: false,
        });
    }

    /// Adds a copy, as nginx does: not to a present header of which it knows one.
    pub fn add_like_nginx(&mut self, name: &str, value: Vec<u8>) {
        if !SINGLE.contains(&name) || !self.has(name) {
            self.add(name, value);
        }
    }

    /// Replaces all copies.
    pub fn replace(&mut self, name: &str, value: Vec<u8>) {
        match self.0.iter().position(|entry| entry.name == name) {
            Some(at) => {
                self.0[at].value = value;
                let mut index = 0;
                self.0.retain(|entry| {
                    index += 1;
                    index <= at + 1 || entry.name != name
                });
            }
            None => self.add(name, value),
        }
    }

    /// Replaces the first copy and leaves the others.
    pub fn replace_first(&mut self, name: &str, value: Vec<u8>) {
        match self
            .0
            .iter_mut()
            .find(|entry| entry.name == name && !entry.removed)
        {
            Some(entry) => entry.value = value,
            None => self.add(name, value),
        }
    }

    /// Removes all copies.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|entry| entry.name != name);
    }

    /// Marks all copies as removed.
    pub fn mark(&mut self, name: &str) {
        for entry in &mut self.0 {
            entry.removed |= entry.name == name;
        }
    }

    /// Marks everything, and adds `pairs`.
    pub fn mark_all_and_add(&mut self, pairs: Pairs) {
        for entry in &mut self.0 {
            entry.removed = true;
        }
        for (name, value) in pairs {
            self.add(&name, value);
        }
    }

    fn has(&self, name: &str) -> bool {
        self.0
            .iter()
            .any(|entry| entry.name == name && !entry.removed)
    }
}

/// The serialized form: the count, the sizes, then names and values, each with a NUL.
pub fn serialize(pairs: &[(String, Vec<u8>)]) -> Vec<u8> {
    let size = |len: usize| u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes();
    let mut out = size(pairs.len()).to_vec();
    for (name, value) in pairs {
        out.extend(size(name.len()));
        out.extend(size(value.len()));
    }
    for (name, value) in pairs {
        out.extend(name.as_bytes());
        out.push(0);
        out.extend(value);
        out.push(0);
    }
    out
}

/// Reads the serialized form; `None` where it is not one. Names come lower-cased.
pub fn parse(bytes: &[u8]) -> Option<Pairs> {
    if bytes.is_empty() {
        return Some(Vec::new());
    }
    let word = |at: usize| -> Option<usize> {
        let word = bytes.get(at..at.checked_add(4)?)?;
        usize::try_from(u32::from_le_bytes(word.try_into().ok()?)).ok()
    };
    let count = word(0)?;
    let mut at = 4 + count.checked_mul(8)?;
    let mut pairs = Vec::new();
    for index in 0..count {
        let name_end = at.checked_add(word(4 + index * 8)?)?;
        let value_end = name_end.checked_add(1 + word(8 + index * 8)?)?;
        let name = String::from_utf8_lossy(bytes.get(at..name_end)?).to_ascii_lowercase();
        let value = bytes.get(name_end + 1..value_end)?.to_vec();
        (bytes.get(name_end) == Some(&0) && bytes.get(value_end) == Some(&0)).then_some(())?;
        pairs.push((name, value));
        at = value_end + 1;
    }
    Some(pairs)
}

/// nginx's path: all percent-escapes decoded, slashes merged, dot segments resolved.
pub fn nginx_path(raw: &str) -> String {
    resolve(&decode(raw, |_| true))
}

/// Kong's path for the upstream: only unreserved characters decoded.
pub fn kong_path(raw: &str) -> String {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    resolve(&decode(raw, unreserved))
}

fn decode(raw: &str, wanted: impl Fn(u8) -> bool) -> String {
    let bytes = raw.as_bytes();
    let mut out = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let escape = raw
            .get(at + 1..at + 3)
            .filter(|_| bytes[at] == b'%')
            .and_then(|hex| u8::from_str_radix(hex, 16).ok())
            .filter(|byte| wanted(*byte));
        match escape {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn resolve(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            _ => segments.push(segment),
        }
    }
    let slash = path.ends_with('/') || path.ends_with("/.") || path.ends_with("/..");
    let end = if slash && !segments.is_empty() {
        "/"
    } else {
        ""
    };
    format!("/{}{end}", segments.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_serialized_form_is_read_back() {
        let pairs = vec![
            ("a".to_owned(), b"1".to_vec()),
            ("b".to_owned(), vec![0x80, 0xff]),
        ];
        assert_eq!(parse(&serialize(&pairs)), Some(pairs));
        assert_eq!(parse(&[9, 0, 0, 0]), None);
    }

    #[test]
    fn nginx_and_kong_read_one_path_differently() {
        assert_eq!(nginx_path("/public%2Fx/../admin"), "/public/admin");
        assert_eq!(kong_path("/public%2Fx/../admin"), "/admin");
    }

    #[test]
    fn replacing_leaves_one_copy_or_only_the_first() {
        let twice = || {
            Headers::new(vec![
                ("x".into(), b"1".to_vec()),
                ("x".into(), b"2".to_vec()),
            ])
        };
        let mut headers = twice();
        headers.replace("x", b"3".to_vec());
        assert_eq!(headers.sent(), vec![("x".to_owned(), b"3".to_vec())]);
        let mut headers = twice();
        headers.replace_first("x", b"3".to_vec());
        assert_eq!(headers.sent().len(), 2);
    }
}
