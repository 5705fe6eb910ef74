//! The filters as configuration of nginx: `ngx_http_geo_module`, `ngx_http_map_module`, `ngx_http_limit_req_module` and
//! `return` of `ngx_http_rewrite_module`, all of which are in nginx unless somebody has taken them out.

use std::fmt::Write as _;
use std::path::Path;

use crate::filter::{Filters, Lists, Network, PathRule, Rate, Rule, Verdict, table};
use crate::front::filters::{GLOBAL, HEAD, RenderedFilters, SITE, dots, ready};

/// The table of networks, which `geo` keeps as a radix tree: a look into it takes at most 32 or 128 steps, however many
/// networks there are.
const NETWORKS: &str = "networks.geo";

/// The answer to who comes too often. A `location` that adds headers of its own drops those of its server, so the answer
/// is given in one that adds none.
const LIMITED: &str = "limit_req_status 429;
add_header Retry-After $gts_bootstrap_retry_after always;
error_page 429 @gts_bootstrap_limited;
location @gts_bootstrap_limited {
    return 429;
}
";

/// The files for nginx, below the folder `filters` of our own configuration folder: `global/*.conf` for its `http`
/// block, `site/*.conf` for the instance's `server`, and what these include. They are always the same files, also if
/// there is no rule.
///
/// # Errors
/// A list is missing, or the folder's name cannot be written down.
pub(super) fn render(filters: &Filters, lists: &Lists, folder: &Path) -> RenderedFilters {
    let mut global = format!("{HEAD}{}", addresses(ready(filters, lists, folder)?, filters));
    let mut site = format!("{HEAD}if ($gts_bootstrap_refused) {{\n    return 403;\n}}\n");
    let (protected, rates) = (filters.protected(), filters.limited());
    if !protected.is_empty() {
        global.push_str(&protection(&protected));
        site.push_str("if ($gts_bootstrap_outside) {\n    return 403;\n}\n");
    }
    if !rates.is_empty() {
        global.push_str(&limits(&rates));
        site.push_str(LIMITED);
        for (index, (.., (_, burst))) in (1..).zip(&rates) {
            // nginx does not take burst=0.
            let burst = if *burst == 0 { String::new() } else { format!(" burst={burst} nodelay") };
            let _ = writeln!(site, "limit_req zone=gts_bootstrap_rate_{index}{burst};");
        }
    }
    let network = |(network, verdict): (Network, Verdict)| format!("{} {};\n", network.with_length(), verdict.word());
    let networks: String = table(filters, lists).into_iter().map(network).collect();
    let files = [(NETWORKS, networks), (GLOBAL, global), (SITE, site)];
    Ok(files.map(|(name, text)| (folder.join(name), text.into_bytes())).into())
}

/// Who is refused by address or name.
fn addresses(folder: &str, filters: &Filters) -> String {
    let agents = filters.rules().filter_map(|(_, rule)| match rule {
        Rule::DenyAgent(pattern) => Some(format!("    \"~*{}\" 1;\n", pattern.regex())),
        _ => None,
    });
    let agents: String = agents.collect();
    format!(
        "
# This machine, which is never filtered.
geo $gts_bootstrap_local {{
    default 0;
    127.0.0.0/8 1;
    ::1/128 1;
}}

# Addresses: the most specific network decides.
geo $gts_bootstrap_address {{
    default none;
    include \"{folder}/{NETWORKS}\";
}}

# Clients by the name they give themselves.
map $http_user_agent $gts_bootstrap_agent {{
    default 0;
{agents}}}

map \"$gts_bootstrap_local $gts_bootstrap_address $gts_bootstrap_agent\" $gts_bootstrap_refused {{
    default 0;
    \"0 deny 0\" 1;
    \"0 deny 1\" 1;
    \"0 none 1\" 1;
}}
"
    )
}

/// Paths for some networks.
fn protection(protected: &[PathRule<'_, &[Network]>]) -> String {
    let mut text = "\n# Paths that are for some networks: the longest decides.\n".to_owned();
    text.push_str("map $uri $gts_bootstrap_protect {\n    default 0;\n");
    text.push_str(&paths(protected));
    text.push_str("}\n");
    for (index, (.., from)) in (1..).zip(protected) {
        let from: String = from.iter().map(|network| format!("    {} 1;\n", network.with_length())).collect();
        let _ = write!(text, "geo $gts_bootstrap_from_{index} {{\n    default 0;\n{from}}}\n");
    }
    text.push_str("map $gts_bootstrap_protect $gts_bootstrap_inside {\n    default 1;\n");
    for index in 1..=protected.len() {
        let _ = writeln!(text, "    {index} $gts_bootstrap_from_{index};");
    }
    let _ = write!(
        text,
        "}}

# nginx resolves . and .. in a path, GoToSocial gets it as it came: what passes here for one path may be another there.
map $request_uri $gts_bootstrap_dots {{
    default 0;
    \"~*{}\" 1;
}}

map \"$gts_bootstrap_local $gts_bootstrap_dots $gts_bootstrap_inside\" $gts_bootstrap_outside {{
    default 1;
    \"~^1\" 0;
    \"0 0 1\" 0;
}}
",
        dots("", "#|$")
    );
    text
}

/// How often one may come.
fn limits(rates: &[PathRule<'_, (Rate, u32)>]) -> String {
    let mut text = "\n# How often one may come: the longest path counts.\n".to_owned();
    text.push_str("map $uri $gts_bootstrap_rate {\n    default 0;\n");
    text.push_str(&paths(rates));
    // Sixteen bytes are an IPv6 address. One that begins with eight zeros is none of a network, but IPv4 within IPv6.
    text.push_str(
        "}
# A client is an IPv4 address, or an IPv6 network of 64 bits, which is what one household has.
map $binary_remote_addr $gts_bootstrap_client {
    default $binary_remote_addr;
    \"~(?s)^(?!\\x00{8})(?<gts_bootstrap_network>.{8}).{8}\\z\" $gts_bootstrap_network;
}
",
    );
    let mut waits = String::new();
    for (index, (.., (rate, _))) in (1..).zip(rates) {
        let (count, unit) = (rate.count, rate.unit());
        let _ = write!(
            text,
            "map \"$gts_bootstrap_local $gts_bootstrap_rate\" $gts_bootstrap_rate_{index} {{
    default \"\";
    \"0 {index}\" $gts_bootstrap_client;
}}
limit_req_zone $gts_bootstrap_rate_{index} zone=gts_bootstrap_rate_{index}:10m rate={count}r/{unit};
"
        );
        let _ = writeln!(waits, "    \"REJECTED {index}\" {};", rate.wait());
    }
    text.push_str("map \"$limit_req_status $gts_bootstrap_rate\" $gts_bootstrap_retry_after {\n    default \"\";\n");
    text + &waits + "}\n"
}

/// Lines of a `map` from a path to its number, from 1 on.
fn paths<T>(rules: &[PathRule<'_, T>]) -> String {
    (1..).zip(rules).map(|(index, (_, _, path, _))| format!("    \"~{}\" {index};\n", path.regex())).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn rendered(text: &str) -> Vec<String> {
        let files = render(&Filters::parse(text).unwrap(), &Lists::default(), Path::new("/f")).unwrap();
        let paths: Vec<_> = files.iter().map(|(path, _)| path.to_str().unwrap()).collect();
        assert_eq!(paths, ["/f/networks.geo", "/f/global/gts-bootstrap.conf", "/f/site/gts-bootstrap.conf"]);
        files.into_iter().map(|(_, content)| String::from_utf8(content).unwrap()).collect()
    }

    #[test]
    fn networks_stand_in_a_file_of_their_own() {
        let files = rendered("deny 192.0.2.0/24\nallow 192.0.2.7\ndeny 2001:db8::/32\n");
        assert_eq!(files[0], "192.0.2.0/24 deny;\n192.0.2.7/32 allow;\n2001:db8::/32 deny;\n");
    }

    #[test]
    fn the_longest_path_comes_first() {
        let files = rendered("protect /a from ::1\nprotect /a/b from ::2\nrate /a 1/s\nrate /a/b 30/m burst 0\n");
        let at = |text: &str| files[1].find(text).unwrap_or_else(|| panic!("{text} is not in {}", files[1]));
        assert!(
            at(r#""~^(?:/|%2[Ff])+a(?:/|%2[Ff])+b(?:(?:/|%2[Ff])|$)" 1;"#)
                < at(r#""~^(?:/|%2[Ff])+a(?:(?:/|%2[Ff])|$)" 2;"#)
        );
        assert!(files[1].contains("geo $gts_bootstrap_from_1 {\n    default 0;\n    ::2/128 1;\n}"));
        assert!(files[1].contains("zone=gts_bootstrap_rate_1:10m rate=30r/m;"));
        assert!(
            files[2].contains(
                "limit_req zone=gts_bootstrap_rate_1;\nlimit_req zone=gts_bootstrap_rate_2 burst=1 nodelay;\n"
            )
        );
    }

    #[test]
    fn nothing_breaks_out() {
        let files = rendered("deny agent \"a'; } # \\ $b ${c} {1,2}\"\n");
        assert!(files[1].contains(r"\x27\x3b\x20\x7d\x20\x23\x20\x5c\x20\x24b"), "{}", files[1]);
        assert!(!files[1].contains("${c}"));
    }
}
