//! The cluster that leads to an endpoint of the provider.
//!
//! Envoy verifies nothing by itself: without a trusted CA and a name to compare, TLS hides the
//! conversation from strangers and does not say with whom it is held. Whoever answers there hands out the
//! keys that tokens are verified with.

use serde_json::Value;
use url::{Host, Url};

use super::Report;
use super::tree::{at, is_a, is_true, list, member, text};

/// Checks the cluster `name`, which has to lead to `url`, the value of `field` of the filter at `place`.
pub fn check(
    bootstrap: &Value,
    name: &str,
    (field, url): (&str, &Url),
    place: &str,
    report: &mut Report,
) {
    let clusters = list(bootstrap, &["static_resources", "clusters"]);
    let found = clusters
        .iter()
        .enumerate()
        .find(|(_, cluster)| text(cluster, &["name"]) == Some(name));
    let Some((index, cluster)) = found else {
        return missing(bootstrap, name, (field, url), place, report);
    };
    if url.scheme() == "https" {
        let path = format!("static_resources.clusters[{index}]");
        verified(cluster, &path, (field, url), report);
    }
}

fn missing(
    bootstrap: &Value,
    name: &str,
    (field, url): (&str, &Url),
    place: &str,
    report: &mut Report,
) {
    let at_field = format!("{place}: {field}");
    if at(bootstrap, &["dynamic_resources", "cds_config"]).is_some() {
        let text = format!(
            "is called through the cluster `{name}`, which has to come from `cds_config`; it was not checked"
        );
        return report.warn(at_field, text);
    }
    let origin = url.origin().ascii_serialization();
    report.error(
        at_field,
        format!(
            "{url} is called through the cluster `{name}`, and there is none of that name in \
             `static_resources.clusters`; add it, or name yours in `clusters` of the filter's configuration, \
             like \"clusters\": {{\"{origin}\": \"my-cluster\"}}"
        ),
    );
}

/// TLS with a trusted CA, the server's name in the handshake, and that name compared.
fn verified(cluster: &Value, path: &str, (field, url): (&str, &Url), report: &mut Report) {
    let host = url.host_str().unwrap_or_default();
    let sockets = sockets(cluster, path);
    if sockets.is_empty() {
        let text = format!(
            "leads to {url} ({field}) without TLS; add a `transport_socket` of the type UpstreamTlsContext \
             with `sni: {host}`, and in `common_tls_context.validation_context` a `trusted_ca` and \
             `match_typed_subject_alt_names` for {host}"
        );
        return report.error(path, text);
    }
    let options = at(
        cluster,
        &[
            "typed_extension_protocol_options",
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "upstream_http_protocol_options",
        ],
    );
    let automatic = |name| options.is_some_and(|options| is_true(options, &[name]));
    for (path, context) in sockets {
        let is_name = matches!(url.host(), Some(Host::Domain(_)));
        let has_sni = text(context, &["sni"]).is_some()
            || is_true(context, &["auto_host_sni"])
            || automatic("auto_sni");
        if is_name && !has_sni {
            let text = format!(
                "is missing: the provider is not told which name is meant; write `sni: {host}`"
            );
            report.error(format!("{path}.sni"), text);
        }
        let common = format!("{path}.common_tls_context");
        let (rules, sds) = rules(context);
        // What a secret service brings cannot be seen here.
        if sds {
            let text = "comes from a secret service and was not checked: it must hold a `trusted_ca` \
                        and `match_typed_subject_alt_names`";
            report.warn(
                format!("{common}.validation_context_sds_secret_config"),
                text,
            );
        }
        let validation = format!("{common}.validation_context");
        if rules
            .iter()
            .any(|rules| text(rules, &["trust_chain_verification"]) == Some("ACCEPT_UNTRUSTED"))
        {
            let text = "is ACCEPT_UNTRUSTED, which accepts anybody's certificate; remove it";
            report.error(format!("{validation}.trust_chain_verification"), text);
        }
        let has_ca = rules.iter().any(|rules| {
            member(rules, "trusted_ca").is_some()
                || member(rules, "system_root_certs").is_some()
                || member(rules, "ca_certificate_provider_instance").is_some()
        });
        if !sds && !has_ca {
            let text = "is missing: Envoy would accept anybody's certificate; write \
                        `trusted_ca: { filename: /etc/ssl/certs/ca-certificates.crt }`, or the file of your own CA";
            report.error(format!("{validation}.trusted_ca"), text);
        }
        let compares = rules
            .iter()
            .any(|rules| !list(rules, &["match_typed_subject_alt_names"]).is_empty())
            || is_true(context, &["auto_sni_san_validation"])
            || automatic("auto_san_validation");
        if !sds && !compares {
            let (kind, written) = match is_name {
                true => ("DNS", host),
                false => ("IP_ADDRESS", host.trim_matches(['[', ']'])),
            };
            let text = format!(
                "is missing: a certificate for any other name would do; write \
                 `match_typed_subject_alt_names: [{{ san_type: {kind}, matcher: {{ exact: \"{written}\" }} }}]`"
            );
            report.error(format!("{validation}.match_typed_subject_alt_names"), text);
        }
    }
}

/// The TLS contexts of a cluster with their paths; also inside a socket that wraps another one, as that of
/// a proxy does. Empty if one of the ways out of the cluster has none.
fn sockets<'a>(cluster: &'a Value, path: &str) -> Vec<(String, &'a Value)> {
    let mut sockets = Vec::new();
    let matches = list(cluster, &["transport_socket_matches"]);
    for (index, one) in matches.iter().enumerate() {
        let path = format!("{path}.transport_socket_matches[{index}]");
        sockets.push((path, one));
    }
    // Without a match the cluster's own socket is used.
    if matches.is_empty() || member(cluster, "transport_socket").is_some() {
        sockets.push((path.to_owned(), cluster));
    }
    let contexts: Vec<Option<(String, &Value)>> = sockets
        .into_iter()
        .map(|(path, owner)| {
            let socket = member(owner, "transport_socket")?;
            context(socket, format!("{path}.transport_socket"))
        })
        .collect();
    contexts
        .into_iter()
        .collect::<Option<_>>()
        .unwrap_or_default()
}

fn context(socket: &Value, path: String) -> Option<(String, &Value)> {
    let config = member(socket, "typed_config")?;
    let path = format!("{path}.typed_config");
    if is_a(config, ".UpstreamTlsContext") {
        return Some((path, config));
    }
    if let Some(context) = member(config, "upstream_tls_context") {
        return Some((format!("{path}.upstream_tls_context"), context));
    }
    let inner = member(config, "transport_socket")?;
    // The depth of a file that was read is bounded.
    context(inner, format!("{path}.transport_socket"))
}

/// The rules for the peer's certificate, and whether a secret service brings more of them.
fn rules(context: &Value) -> (Vec<&Value>, bool) {
    const COMMON: &str = "common_tls_context";
    const COMBINED: &str = "combined_validation_context";
    const SDS: &str = "validation_context_sds_secret_config";
    let rules = [
        at(context, &[COMMON, "validation_context"]),
        at(context, &[COMMON, COMBINED, "default_validation_context"]),
    ];
    let sds = at(context, &[COMMON, SDS]).or_else(|| at(context, &[COMMON, COMBINED, SDS]));
    (rules.into_iter().flatten().collect(), sds.is_some())
}
