//! The pages of the filter's own, as a browser reads them.

use crate::form::form;

/// The target of an address at the gateway.
pub(crate) fn local(place: &str) -> Option<String> {
    let target = place.strip_prefix("https://api.test").unwrap_or(place);
    let at_home = target.starts_with('/') && !target.starts_with("//");
    at_home.then(|| target.to_owned())
}

/// What a page does by itself.
pub(crate) enum Next {
    /// It goes on to this target.
    GoOn(String),
    /// It sends this form to its own address.
    Send(String),
}

/// What a page of ours does by itself: it goes on to an address, or sends a form to its own.
pub(crate) fn on(body: &str) -> Option<Next> {
    if let Some((_, rest)) = body.split_once("http-equiv=\"refresh\" content=\"0;url=") {
        let place = unescape(rest.split('"').next()?);
        return local(&place).map(Next::GoOn);
    }
    if !body.contains("document.forms[0].submit()") {
        return None;
    }
    let inputs = body.split("<input type=\"hidden\" name=\"").skip(1);
    let fields: Option<Vec<(String, String)>> = inputs
        .map(|input| {
            let (name, rest) = input.split_once("\" value=\"")?;
            let value = rest.split('"').next()?;
            Some((unescape(name), unescape(value)))
        })
        .collect();
    Some(Next::Send(form(&fields?)))
}

fn unescape(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&#39;", "'")
        .replace("&amp;", "&")
}
