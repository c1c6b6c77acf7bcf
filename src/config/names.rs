//! Names that go into HTTP: headers and cookies.

/// Headers that carry the message itself or its routing: who may set them can smuggle a request.
const RESERVED: [&str; 12] = [
    "connection",
    "content-length",
    "cookie",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The longest name we take, in bytes.
const LONGEST: usize = 256;

/// A header's name (RFC 9110 section 5.1), in lower case.
pub(super) fn header_name(text: &str) -> Result<String, String> {
    if text.starts_with(':') {
        return Err(
            "a name that begins with `:` is HTTP/2's own; write a header's name".to_owned(),
        );
    }
    if !is_token(text) {
        return Err("is not a header's name; write letters, digits and hyphens".to_owned());
    }
    Ok(text.to_ascii_lowercase())
}

/// The name of a header that carries something of ours: underscores become hyphens, as in Kong, and
/// the names that steer the message itself are refused.
pub(super) fn mapped_header_name(text: &str) -> Result<String, String> {
    let name = header_name(text)?.replace('_', "-");
    if RESERVED.contains(&name.as_str()) {
        return Err(format!(
            "`{name}` steers the message itself and must not be set; choose another name"
        ));
    }
    Ok(name)
}

/// A header's value as we send it: visible ASCII, spaces and tabs.
pub(super) fn header_value(text: &str) -> Result<(), String> {
    let fits = text.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t'));
    if fits {
        Ok(())
    } else {
        Err("contains a control character or a letter beyond ASCII".to_owned())
    }
}

/// A cookie's name (RFC 6265 section 4.1.1).
pub(super) fn cookie_name(text: &str) -> Result<String, String> {
    if is_token(text) {
        Ok(text.to_owned())
    } else {
        Err("is not a cookie's name; write letters, digits, hyphens and underscores".to_owned())
    }
}

/// `token` of RFC 9110 section 5.6.2.
fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= LONGEST
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}
