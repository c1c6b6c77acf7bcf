//! A file of Kong with filter chains in the plugins' places.

use serde_json::{Value, json};

use super::Notes;
use super::settings::Settings;
use super::source::{PLUGIN, Source};

/// The file. Each route gets the chain of the plugin that rules it: chains of a service and of a route would both
/// run, where of two plugins only one does.
pub fn file(file: &Value, source: &Source, notes: &mut Notes) -> Result<Value, Vec<String>> {
    let mut file = file.clone();
    let filters: Vec<Value> = source
        .plugins
        .iter()
        .map(|plugin| {
            let mut settings = Settings::of(plugin, true, notes);
            let sessions = |method: &Value| *method == "session" || *method == "authorization_code";
            let methods = settings.filter.get("auth_methods").and_then(Value::as_array);
            let needs_secret = methods.is_none_or(|methods| methods.iter().any(sessions));
            if needs_secret && !settings.filter.contains_key("session_secret") {
                let text = "`session_secret` is required on Kong: it is read from the variable SESSION_SECRET \
                            (`nginx_main_env` in kong.conf)";
                notes.add(&plugin.place, text);
                let secret = json!("{vault://env/SESSION_SECRET}");
                settings.filter.insert("session_secret".to_owned(), secret);
            }
            json!({ "name": "oidc-filter", "config": settings.filter })
        })
        .collect();
    without_plugins(&mut file);
    let mut chains = 0;
    for route in source.services.iter().flat_map(|service| &service.routes) {
        let filter = route.plugin.and_then(|index| filters.get(index));
        let Some(filter) = filter else {
            notes.add(
                &route.place,
                "has no plugin `openid-connect` and stays open",
            );
            continue;
        };
        if let Some(entity) = at(&mut file, &route.place) {
            entity["filter_chains"] = json!([{ "filters": [filter] }]);
            chains += 1;
        }
    }
    if chains == 0 {
        let text =
            "a filter stands on a service or a route, and there is no route in this file; add one";
        return Err(vec![text.to_owned()]);
    }
    Ok(file)
}

/// Takes the instances of the plugin out, and lists that are empty then.
fn without_plugins(value: &mut Value) {
    if let Some(members) = value.as_object_mut() {
        if let Some(plugins) = members.get_mut("plugins").and_then(Value::as_array_mut) {
            plugins.retain(|plugin| plugin["name"] != PLUGIN);
            if plugins.is_empty() {
                members.remove("plugins");
            }
        }
        members.values_mut().for_each(without_plugins);
    }
    value
        .as_array_mut()
        .into_iter()
        .flatten()
        .for_each(without_plugins);
}

/// What stands at a place like `services[0].routes[1]`.
fn at<'a>(file: &'a mut Value, place: &str) -> Option<&'a mut Value> {
    place.split('.').try_fold(file, |value, step| {
        let (name, index) = step.strip_suffix(']')?.split_once('[')?;
        value.get_mut(name)?.get_mut(index.parse::<usize>().ok()?)
    })
}
