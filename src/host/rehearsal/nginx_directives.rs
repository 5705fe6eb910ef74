//! The directives of nginx 1.26 that its port builds by default: where each may stand, and with how many arguments.

/// How a line is made: where (letters as in [`Place`]), how many arguments, and the names that have this in common.
///
/// The number of arguments is any of the digits; `f` is one that is `on` or `off`, `+` one or more, `2+` two or more,
/// `*` any, and `{` stands for a block. From the `ngx_command_t` tables of the modules.
const TABLE: &str = "\
a 1: include
e 1: accept_mutex_delay debug_connection epoll_events kqueue_changes kqueue_events use worker_aio_requests \
     worker_connections
e f: accept_mutex multi_accept
h 0{: server
h 1: http2_recv_buffer_size map_hash_bucket_size map_hash_max_size server_names_hash_bucket_size \
     server_names_hash_max_size variables_hash_bucket_size variables_hash_max_size
h 12{: geo
h 1{: upstream
h 2: limit_conn_zone
h 2+: log_format proxy_cache_path
h 2{: map split_clients
h 3: limit_req_zone
hijls f: rewrite_log uninitialized_variable_warn
hjls 1: limit_rate limit_rate_after post_action root
hjls 12: expires
hjls 2+: error_page
hjls 23: add_header add_trailer
hjls f: gzip sendfile
hjlst +: access_log
hlms +: error_log
hls +: addition_types gzip_disable gzip_proxied gzip_types index proxy_cache_bypass proxy_cache_methods \
     proxy_cache_use_stale proxy_cache_valid proxy_ignore_headers proxy_next_upstream proxy_no_cache \
     proxy_ssl_protocols resolver sub_filter_types
hls 0{: types
hls 1: add_after_body add_before_body aio auth_delay auth_request autoindex_format client_body_buffer_size \
     client_body_in_file_only client_body_timeout client_max_body_size default_type directio directio_alignment \
     gzip_comp_level gzip_hash gzip_http_version gzip_min_length gzip_static gzip_window http2_chunk_size http2_push \
     if_modified_since limit_conn_log_level limit_conn_status limit_req_log_level limit_req_status lingering_close \
     lingering_time lingering_timeout max_ranges mirror open_file_cache_min_uses open_file_cache_valid \
     postpone_gzipping postpone_output proxy_buffer_size proxy_busy_buffers_size proxy_cache proxy_cache_key \
     proxy_cache_lock_age proxy_cache_lock_timeout proxy_cache_max_range_offset proxy_cache_min_uses \
     proxy_connect_timeout proxy_headers_hash_bucket_size proxy_headers_hash_max_size proxy_hide_header \
     proxy_http_version proxy_limit_rate proxy_max_temp_file_size proxy_method proxy_next_upstream_timeout \
     proxy_next_upstream_tries proxy_pass_header proxy_read_timeout proxy_send_lowat proxy_send_timeout \
     proxy_set_body proxy_ssl_certificate proxy_ssl_certificate_key proxy_ssl_ciphers proxy_ssl_crl proxy_ssl_name \
     proxy_ssl_password_file proxy_ssl_trusted_certificate proxy_ssl_verify_depth proxy_store \
     proxy_temp_file_write_size read_ahead real_ip_header resolver_timeout satisfy secure_link secure_link_md5 \
     secure_link_secret send_lowat send_timeout sendfile_max_chunk server_tokens set_real_ip_from slice \
     subrequest_output_buffer_size types_hash_bucket_size types_hash_max_size
hls 12: disable_symlinks keepalive_disable keepalive_timeout open_file_cache proxy_bind proxy_cookie_domain \
     proxy_cookie_path proxy_redirect
hls 123: limit_req proxy_store_access
hls 1234: client_body_temp_path open_log_file_cache proxy_cookie_flags proxy_temp_path
hls 2: auth_request_set gunzip_buffers gzip_buffers limit_conn output_buffers proxy_buffers proxy_set_header \
     proxy_ssl_conf_command sub_filter
hls f: absolute_redirect aio_write autoindex autoindex_exact_size autoindex_localtime chunked_transfer_encoding \
     client_body_in_single_buffer etag gunzip gzip_no_buffer gzip_vary http2_push_preload limit_conn_dry_run \
     limit_req_dry_run log_not_found log_subrequest mirror_request_body msie_padding msie_refresh \
     open_file_cache_errors open_file_cache_events port_in_redirect proxy_buffering proxy_cache_background_update \
     proxy_cache_convert_head proxy_cache_lock proxy_cache_revalidate proxy_force_ranges proxy_ignore_client_abort \
     proxy_intercept_errors proxy_pass_request_body proxy_pass_request_headers proxy_request_buffering \
     proxy_socket_keepalive proxy_ssl_server_name proxy_ssl_session_reuse proxy_ssl_verify real_ip_recursive \
     recursive_error_pages reset_timedout_connection server_name_in_redirect sub_filter_last_modified sub_filter_once \
     tcp_nodelay tcp_nopush
hlst 1: allow auth_basic auth_basic_user_file deny
hlsu 1: keepalive_requests keepalive_time
hs +: ssl_protocols
hs 1: client_header_buffer_size client_header_timeout connection_pool_size http2_body_preread_size \
     http2_idle_timeout http2_max_concurrent_pushes http2_max_concurrent_streams http2_max_field_size \
     http2_max_header_size http2_max_requests http2_pool_size http2_recv_timeout http2_streams_index_size \
     request_pool_size ssl_buffer_size ssl_certificate ssl_certificate_key ssl_ciphers ssl_client_certificate ssl_crl \
     ssl_dhparam ssl_ecdh_curve ssl_ocsp_cache ssl_ocsp_responder ssl_password_file ssl_session_ticket_key \
     ssl_session_timeout ssl_stapling_file ssl_stapling_responder ssl_trusted_certificate ssl_verify_client \
     ssl_verify_depth
hs 12: ssl_session_cache
hs 2: large_client_header_buffers ssl_conf_command
hs f: http2 ignore_invalid_headers merge_slashes ssl_early_data ssl_ocsp ssl_prefer_server_ciphers \
     ssl_reject_handshake ssl_session_tickets ssl_stapling ssl_stapling_verify underscores_in_headers
ijls 0: break
ijls 12: return
ijls 2: set
ijls 23: rewrite
jlt 1: proxy_pass
l +{: limit_except
l 0: internal
l 1: alias
ls +: valid_referers
ls +{: if
ls 1: referer_hash_bucket_size referer_hash_max_size
ls 10: stub_status
ls 12{: location
ls 2+: try_files
m +: worker_cpu_affinity
m 0{: events http mail stream
m 1: debug_points env load_module lock_file pid ssl_engine timer_resolution worker_priority worker_processes \
     worker_rlimit_core worker_rlimit_nofile worker_shutdown_timeout working_directory
m 12: user
m 23: thread_pool
m f: daemon master_process pcre_jit
s +: listen server_name
u +: server
u 0: ip_hash least_conn
u 1: keepalive keepalive_timeout
u 12: hash zone
u 120: random
";

/// Where a directive stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Outside of every block.
    Main,
    /// `events`
    Events,
    /// `http`
    Http,
    /// `server`
    Server,
    /// `location`
    Location,
    /// `upstream`
    Upstream,
    /// `if` in a server
    IfInServer,
    /// `if` in a location
    IfInLocation,
    /// `limit_except`
    LimitExcept,
    /// A block whose lines are no directives: `map`, `geo`, `types`; and what is not modelled: `mail`, `stream`.
    Free,
}

impl Place {
    fn letter(self) -> char {
        match self {
            Self::Main => 'm',
            Self::Events => 'e',
            Self::Http => 'h',
            Self::Server => 's',
            Self::Location => 'l',
            Self::Upstream => 'u',
            Self::IfInServer => 'i',
            Self::IfInLocation => 'j',
            Self::LimitExcept => 't',
            Self::Free => 'a',
        }
    }

    /// What is in the block of a directive that stands here.
    pub(super) fn within(self, directive: &str) -> Self {
        match (directive, self) {
            ("events", _) => Self::Events,
            ("http", _) => Self::Http,
            ("server", _) => Self::Server,
            ("location", _) => Self::Location,
            ("upstream", _) => Self::Upstream,
            ("limit_except", _) => Self::LimitExcept,
            ("if", Self::Server) => Self::IfInServer,
            ("if", _) => Self::IfInLocation,
            _ => Self::Free,
        }
    }
}

/// Whether nginx knows a directive at all.
pub(super) fn is_known(name: &str) -> bool {
    rules(name).next().is_some()
}

/// Judges a directive by its place, its arguments and whether it has a block, in the words of `ngx_conf_handler()`.
pub(super) fn check(place: Place, name: &str, arguments: &[String], block: bool) -> Result<(), String> {
    if place == Place::Free {
        return Ok(());
    }
    if !is_known(name) {
        return Err(format!("unknown directive \"{name}\""));
    }
    let here = |places: &&str| places.contains(place.letter()) || *places == "a";
    let Some((_, expected)) = rules(name).find(|(places, _)| here(places)) else {
        return Err(format!("\"{name}\" directive is not allowed here"));
    };
    match (expected.strip_suffix('{').is_some(), block) {
        (false, true) => return Err(format!("directive \"{name}\" is not terminated by \";\"")),
        (true, false) => return Err(format!("directive \"{name}\" has no opening \"{{\"")),
        _ => {}
    }
    let count = arguments.len();
    let fits = match expected.trim_end_matches('{') {
        "*" => true,
        "+" => count >= 1,
        "2+" => count >= 2,
        "f" => count == 1,
        digits => digits.chars().any(|digit| digit.to_digit(10) == u32::try_from(count).ok()),
    };
    if !fits {
        return Err(format!("invalid number of arguments in \"{name}\" directive"));
    }
    match arguments.first() {
        Some(value) if expected == "f" && !["on", "off"].iter().any(|flag| value.eq_ignore_ascii_case(flag)) => {
            Err(format!("invalid value \"{value}\" in \"{name}\" directive, it must be \"on\" or \"off\""))
        }
        _ => Ok(()),
    }
}

/// Places and arguments of a directive; some have more than one rule.
fn rules(name: &str) -> impl Iterator<Item = (&'static str, &'static str)> {
    TABLE.lines().filter_map(move |line| {
        let (rule, names) = line.split_once(": ")?;
        names.split(' ').any(|known| known == name).then(|| rule.split_once(' '))?
    })
}
