//! What concerns the host we run in.

use serde_json::Value;
use url::Url;

use super::cidr::{Cidr, TrustedIps};
use super::issuer::http_url;
use super::reader::Reader;

/// Our additions about the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostSettings {
    /// `clusters`: which cluster leads to which URL (Envoy).
    pub clusters: Clusters,
    /// `request_body`, default `on`: whether the host delivers bodies.
    pub request_body: RequestBody,
    /// `shared_data`, default `auto`: whether the host has shared data.
    pub shared_data: SharedData,
    /// `trusted_ips`: peers whose forwarded headers are believed.
    pub trusted_ips: TrustedIps,
}

/// Whether request bodies may be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "explained at the type")]
pub enum RequestBody {
    On,
    Off,
}

/// Whether data is shared between workers through the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SharedData {
    /// Where the host is known to have it.
    Auto,
    /// The operator's word that it has.
    On,
    /// Never.
    Off,
}

impl HostSettings {
    pub(super) fn read(reader: &mut Reader) -> HostSettings {
        HostSettings {
            clusters: Clusters::read(reader),
            request_body: reader
                .choice(
                    "request_body",
                    &[("on", RequestBody::On), ("off", RequestBody::Off)],
                )
                .unwrap_or(RequestBody::On),
            shared_data: reader
                .choice(
                    "shared_data",
                    &[
                        ("auto", SharedData::Auto),
                        ("on", SharedData::On),
                        ("off", SharedData::Off),
                    ],
                )
                .unwrap_or(SharedData::Auto),
            trusted_ips: TrustedIps(reader.list("trusted_ips", Cidr::parse)),
        }
    }
}

/// The map from URLs to Envoy's clusters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Clusters {
    by_url: Vec<Route>,
    rest: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Route {
    origin: url::Origin,
    /// The path's segments, without empty ones at its end.
    segments: Vec<String>,
    cluster: String,
}

impl Clusters {
    /// The cluster that leads to `url`: of the entries with the same origin the one with the longest
    /// matching run of whole path segments, else that of `"*"`, else the URL's host.
    pub fn for_url(&self, url: &Url) -> String {
        let origin = url.origin();
        let wanted = segments(url);
        self.by_url
            .iter()
            .filter(|route| route.origin == origin && wanted.starts_with(&route.segments))
            .max_by_key(|route| route.segments.len())
            .map(|route| &route.cluster)
            .or(self.rest.as_ref())
            .cloned()
            .unwrap_or_else(|| url.host_str().unwrap_or_default().to_owned())
    }

    fn read(reader: &mut Reader) -> Clusters {
        let mut clusters = Clusters::default();
        for (key, value) in reader.map("clusters") {
            let at = format!("clusters[{}]", super::fields::shown(&key));
            let cluster = match value {
                Value::String(name) if !name.is_empty() => name,
                _ => {
                    reader.error(&at, "write the name of an Envoy cluster");
                    continue;
                }
            };
            if key == "*" {
                clusters.rest = Some(cluster);
                continue;
            }
            match route(&key, cluster) {
                Ok(route) if clusters.by_url.iter().any(|other| other.same_place(&route)) => {
                    reader.error(&at, "is the same URL as another entry; remove one");
                }
                Ok(route) => clusters.by_url.push(route),
                Err(why) => reader.error(&at, why),
            }
        }
        clusters
    }
}

impl Route {
    fn same_place(&self, other: &Route) -> bool {
        self.origin == other.origin && self.segments == other.segments
    }
}

fn route(key: &str, cluster: String) -> Result<Route, String> {
    let url = http_url(key)?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err("has a query or a fragment; write an origin and perhaps a path".to_owned());
    }
    Ok(Route {
        origin: url.origin(),
        segments: segments(&url),
        cluster,
    })
}

fn segments(url: &Url) -> Vec<String> {
    let mut segments: Vec<String> = url
        .path_segments()
        .into_iter()
        .flatten()
        .map(str::to_owned)
        .collect();
    while segments.last().is_some_and(String::is_empty) {
        segments.pop();
    }
    segments
}
