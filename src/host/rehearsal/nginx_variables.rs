//! The variables of nginx: one that nothing defines keeps it from starting.

use std::collections::BTreeSet;

use super::nginx_syntax::Directive;

/// What nginx brings, from the tables of the modules in its port.
const BUILT_IN: &str = "ancient_browser args binary_remote_addr body_bytes_sent bytes_sent connection \
connection_requests connection_time connections_active connections_reading connections_waiting connections_writing \
content_length content_type date_gmt date_local document_root document_uri gzip_ratio host hostname http2 http3 https \
invalid_referer is_args limit_conn_status limit_rate limit_req_status memcached_key modern_browser msec msie_version \
nginx_version pid pipe proxy_add_x_forwarded_for proxy_host proxy_port proxy_protocol_addr proxy_protocol_port \
proxy_protocol_server_addr proxy_protocol_server_port query_string realip_remote_addr realip_remote_port \
realpath_root remote_addr remote_port remote_user request request_body request_body_file request_completion \
request_filename request_id request_length request_method request_time request_uri scheme secure_link \
secure_link_expires server_addr server_name server_port server_protocol slice_range ssl_alpn_protocol ssl_cipher \
ssl_ciphers ssl_client_cert ssl_client_escaped_cert ssl_client_fingerprint ssl_client_i_dn ssl_client_raw_cert \
ssl_client_s_dn ssl_client_serial ssl_client_v_end ssl_client_v_remain ssl_client_v_start ssl_client_verify ssl_curve \
ssl_curves ssl_early_data ssl_protocol ssl_server_name ssl_session_id ssl_session_reused status tcpinfo_rcv_space \
tcpinfo_rtt tcpinfo_rttvar tcpinfo_snd_cwnd time_iso8601 time_local uri upstream_addr upstream_bytes_received \
upstream_bytes_sent upstream_cache_last_modified upstream_cache_etag upstream_cache_status upstream_connect_time \
upstream_header_time upstream_last_addr upstream_response_length upstream_response_time upstream_status";

/// Families of names.
const PREFIXES: [&str; 8] = [
    "arg_",
    "cookie_",
    "http_",
    "proxy_protocol_tlv_",
    "sent_http_",
    "sent_trailer_",
    "upstream_http_",
    "upstream_cookie_",
];

/// Finds a variable that is used and not defined anywhere.
///
/// # Errors
/// nginx's words for it.
pub(super) fn check(http: &Directive) -> Result<(), String> {
    let mut defined: BTreeSet<String> = BTreeSet::new();
    define(http, &mut defined);
    used(http, &defined)
}

fn define(at: &Directive, defined: &mut BTreeSet<String>) {
    for directive in &at.block {
        let arguments = directive.arguments();
        let own = match directive.name() {
            "map" | "geo" | "split_clients" => arguments.last(),
            "set" | "auth_request_set" | "perl_set" => arguments.first(),
            _ => None,
        };
        defined.extend(own.and_then(|name| name.strip_prefix('$')).map(str::to_string));
        for word in arguments {
            let named = word.split("(?<").chain(word.split("(?P<")).skip(1);
            defined.extend(named.filter_map(|rest| Some(rest.split_once('>')?.0.to_string())));
        }
        define(directive, defined);
    }
}

fn used(at: &Directive, defined: &BTreeSet<String>) -> Result<(), String> {
    for directive in &at.block {
        let arguments = directive.arguments();
        // Regular expressions have a dollar sign of their own.
        let values: &[String] = match directive.name() {
            "location" | "server_name" => &[],
            "rewrite" => arguments.get(1..).unwrap_or_default(),
            "if" => arguments.get(..1).unwrap_or_default(),
            _ => arguments,
        };
        // The keys of a map may be regular expressions; its values, and those of geo, are read when they are used.
        let is_table = matches!(directive.name(), "map" | "geo" | "split_clients" | "types");
        for name in values.iter().flat_map(|value| names_in(value)) {
            let known = BUILT_IN.split(' ').any(|there| there == name)
                || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
                || defined.contains(name);
            if !known {
                return Err(format!("unknown \"{name}\" variable"));
            }
        }
        if !is_table {
            used(directive, defined)?;
        }
    }
    Ok(())
}

/// The names behind dollar signs; `$1` is a group of a regular expression.
fn names_in(value: &str) -> Vec<&str> {
    let mut rest = value;
    let mut names = Vec::new();
    while let Some((_, after)) = rest.split_once('$') {
        rest = after.strip_prefix('{').unwrap_or(after);
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
        let name = &rest[..end];
        if name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
            names.push(name);
        }
        rest = &rest[end..];
    }
    names
}
