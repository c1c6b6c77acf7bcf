//! What stands in a declarative file of Kong.

use serde_json::{Map, Value};

use super::{Notes, Target};
use crate::check::tree::{join, list, member, text};

/// The plugin that becomes the filter.
pub const PLUGIN: &str = "openid-connect";

/// Services, routes, and the plugins that rule them.
#[derive(Debug)]
pub struct Source {
    target: Target,
    /// In the order of the file.
    pub services: Vec<Service>,
    /// The instances of the plugin, in the order of the file.
    pub plugins: Vec<Plugin>,
}

/// A service of Kong.
#[derive(Debug)]
pub struct Service {
    /// Where it stands.
    pub place: String,
    pub name: String,
    /// Its members.
    pub entity: Value,
    pub routes: Vec<Route>,
}

/// A route of Kong.
#[derive(Debug)]
pub struct Route {
    pub place: String,
    pub entity: Value,
    /// The instance that rules it: its own, that of its service, or the one for all.
    pub plugin: Option<usize>,
}

/// An instance of the plugin.
#[derive(Debug)]
pub struct Plugin {
    pub place: String,
    pub config: Map<String, Value>,
    scope: Scope,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Scope {
    All,
    Service(String),
    Route(String),
}

impl Source {
    /// Reads a file; `Err` where there is nothing to convert.
    pub fn read(file: &Value, target: Target, notes: &mut Notes) -> Result<Source, Vec<String>> {
        let mut source = Source {
            target,
            services: Vec::new(),
            plugins: Vec::new(),
        };
        for (name, value) in file.as_object().into_iter().flatten() {
            let known = [
                "services",
                "routes",
                "plugins",
                "_format_version",
                "_transform",
                "_info",
            ];
            // On Kong all of it stays.
            if target == Target::Envoy && !known.contains(&name.as_str()) && !value.is_null() {
                notes.add(name, "is not carried over to Envoy");
            }
        }
        source.plugins_of(file, "", Scope::All, notes);
        for (index, entity) in list(file, &["services"]).iter().enumerate() {
            let place = format!("services[{index}]");
            let name =
                text(entity, &["name"]).map_or_else(|| format!("service-{index}"), str::to_owned);
            source.plugins_of(entity, &place, Scope::Service(name.clone()), notes);
            let routes = list(entity, &["routes"]).iter().enumerate();
            let routes = routes
                .map(|(index, entity)| {
                    source.route(entity, format!("{place}.routes[{index}]"), notes)
                })
                .collect();
            source.services.push(Service {
                place,
                name,
                entity: entity.clone(),
                routes,
            });
        }
        for (index, entity) in list(file, &["routes"]).iter().enumerate() {
            let place = format!("routes[{index}]");
            let route = source.route(entity, place.clone(), notes);
            let service = reference(entity, "service").unwrap_or_default();
            match source.services.iter_mut().find(|own| own.is(&service)) {
                Some(service) => service.routes.push(route),
                None => notes.add(
                    &place,
                    "names no service of this file and is not carried over",
                ),
            }
        }
        if source.plugins.is_empty() {
            return Err(vec![
                "there is no plugin `openid-connect` in this file".to_owned(),
            ]);
        }
        source.rule();
        Ok(source)
    }

    fn route(&mut self, entity: &Value, place: String, notes: &mut Notes) -> Route {
        let name = text(entity, &["name"]).unwrap_or(&place).to_owned();
        self.plugins_of(entity, &place, Scope::Route(name), notes);
        Route {
            place,
            entity: entity.clone(),
            plugin: None,
        }
    }

    /// Takes the plugins of an entity.
    fn plugins_of(&mut self, owner: &Value, place: &str, scope: Scope, notes: &mut Notes) {
        for (index, entity) in list(owner, &["plugins"]).iter().enumerate() {
            let place = format!("{}[{index}]", join(place, "plugins"));
            let name = text(entity, &["name"]).unwrap_or_default();
            if name != PLUGIN {
                if self.target == Target::Envoy {
                    let text = format!("the plugin `{name}` is not carried over to Envoy");
                    notes.add(&place, text);
                }
                continue;
            }
            if member(entity, "enabled") == Some(&Value::Bool(false)) {
                notes.add(&place, "is switched off and left out");
                continue;
            }
            for (name, value) in entity.as_object().into_iter().flatten() {
                let carried = [
                    "name",
                    "config",
                    "enabled",
                    "service",
                    "route",
                    "id",
                    "tags",
                    "instance_name",
                ];
                if !carried.contains(&name.as_str()) && !value.is_null() {
                    notes.add(
                        &join(&place, name),
                        "is not carried over: a filter has no such member",
                    );
                }
            }
            let scope = reference(entity, "route")
                .map(Scope::Route)
                .or_else(|| reference(entity, "service").map(Scope::Service))
                .unwrap_or_else(|| scope.clone());
            let config = member(entity, "config").and_then(Value::as_object);
            self.plugins.push(Plugin {
                place,
                config: config.cloned().unwrap_or_default(),
                scope,
            });
        }
    }

    /// Kong runs one instance of a plugin for a request: that of the route, or of the service, or the one for all.
    fn rule(&mut self) {
        let find = |scope: &dyn Fn(&Scope) -> bool| {
            self.plugins.iter().position(|plugin| scope(&plugin.scope))
        };
        for service in &mut self.services {
            let names = [
                Some(service.name.clone()),
                text(&service.entity, &["id"]).map(str::to_owned),
            ];
            let of_service = find(&|scope| match scope {
                Scope::Service(name) => names.iter().flatten().any(|own| own == name),
                _ => false,
            });
            let of_all = find(&|scope| *scope == Scope::All);
            for route in &mut service.routes {
                let of_route = find(&|scope| match scope {
                    Scope::Route(name) => {
                        let names = [
                            text(&route.entity, &["name"]),
                            text(&route.entity, &["id"]),
                            Some(&route.place),
                        ];
                        names.iter().flatten().any(|own| own == name)
                    }
                    _ => false,
                });
                route.plugin = of_route.or(of_service).or(of_all);
            }
        }
    }
}

impl Service {
    fn is(&self, reference: &str) -> bool {
        self.name == reference || text(&self.entity, &["id"]) == Some(reference)
    }
}

/// A foreign key: a name, or an object with a name or an id.
fn reference(entity: &Value, name: &str) -> Option<String> {
    let value = member(entity, name)?;
    let found = value
        .as_str()
        .or_else(|| text(value, &["name"]))
        .or_else(|| text(value, &["id"]));
    found.map(str::to_owned)
}
