//! nginx in front of GoToSocial.

use std::time::Duration;

use super::*;
use crate::host::{WebAnswer, WebFailure, WebRequest};

const CONF: &str = "/usr/local/etc/nginx/nginx.conf";

fn with_nginx(conf: &str) -> Fresh {
    let host = fresh();
    host.add_nginx().unwrap();
    host.set_rc_variable("nginx_enable", Some("YES")).unwrap();
    host.write(CONF, conf);
    host.write("/etc/ssl/site.pem", &super::super::certificate::placeholder("gts.example.org", host.now() + 1_000_000));
    host
}

fn start(host: &Fresh) -> Result<(), HostError> {
    host.service_action("nginx", ServiceAction::Start)
}

fn ask(host: &Fresh, tls: bool, name: &str, path: &str) -> Result<WebAnswer, WebFailure> {
    host.web(&WebRequest {
        tls,
        host: name.into(),
        address: None,
        path: path.into(),
        verify: true,
        timeout: Duration::from_secs(5),
    })
}

const PROXY: &str = "
http {
    server {
        listen 80; listen [::]:80;
        server_name gts.example.org;
        location / { root /nowhere; }
        return 301 https://$host$request_uri; # \"quoted
    }
    server {
        listen 443 ssl;
        listen [::]:443 ssl default_server;
        server_name gts.example.org '*.gts.example.org';
        ssl_certificate /etc/ssl/site.pem;
        location = /readyz { return 404; }
        location /static/ { root /x; }
        location /else/ { proxy_pass http://backend; }
        location / {
            proxy_set_header Host $host;
            proxy_set_header X-Odd \"a; } b\";
            proxy_pass http://127.0.0.1:8080;
        }
    }
}
";

#[test]
fn requests_go_where_the_configuration_says() {
    let host = with_nginx(PROXY);
    host.install("0.19.2", &proxied_config());
    start(&host).unwrap();
    assert_eq!(ask(&host, true, "gts.example.org", "/livez").unwrap().status, 502);
    host.start().unwrap();
    let answer = ask(&host, true, "gts.example.org", "/nodeinfo/2.0").unwrap();
    assert_eq!(answer.certificate.unwrap().names, ["gts.example.org"]);
    assert!(String::from_utf8(answer.body).unwrap().contains("0.19.2"));
    for (path, status) in [("/readyz", 404), ("/readyz/x", 404), ("/static/x", 404), ("/else/x", 502), ("/livez", 200)]
    {
        assert_eq!(ask(&host, true, "gts.example.org", path).unwrap().status, status, "{path}");
    }
    let redirect = ask(&host, false, "gts.example.org", "/a?b").unwrap();
    assert_eq!((redirect.status, redirect.location.as_deref()), (301, Some("https://gts.example.org/a?b")));
    assert!(matches!(ask(&host, true, "other.example.org", "/"), Err(WebFailure::Tls(_))));
    let families: Vec<(u16, bool)> =
        host.listeners().unwrap().iter().filter(|l| l.command == "nginx").map(|l| (l.port, l.ipv6)).collect();
    assert_eq!(families, [(80, false), (80, true), (443, false), (443, true)]);
    assert_eq!(host.bind_as(0, 443), BindOutcome::InUse);
    host.reboot().unwrap();
    assert_eq!(ask(&host, true, "gts.example.org", "/livez").unwrap().status, 200);
    host.service_action("nginx", ServiceAction::Stop).unwrap();
    assert_eq!(ask(&host, true, "gts.example.org", "/livez"), Err(WebFailure::Refused));
}

#[test]
fn a_new_configuration_counts_from_the_reload_on_and_a_broken_one_not_at_all() {
    let host = fresh();
    host.add_nginx().unwrap();
    host.set_rc_variable("nginx_enable", Some("YES")).unwrap();
    start(&host).unwrap();
    assert_eq!(ask(&host, false, "gts.example.org", "/").unwrap().status, 404);
    let reload = || host.service_action("nginx", ServiceAction::Reload);
    host.write(CONF, "http { include sites/*.conf; include one.conf; }");
    host.write("/usr/local/etc/nginx/one.conf", "server { location / { return 204; } }");
    assert_eq!(ask(&host, false, "gts.example.org", "/").unwrap().status, 404);
    reload().unwrap();
    assert_eq!(ask(&host, false, "gts.example.org", "/").unwrap().status, 204);
    for (conf, words) in [
        ("http {", "unexpected end of file"),
        ("}", "unexpected \"}\""),
        (";", "unexpected \";\""),
        ("http { x \"", "expecting a closing quote"),
        ("include nosuch.conf;", "open() \"/usr/local/etc/nginx/nosuch.conf\" failed (2: No such file or directory)"),
        ("include nginx.conf;", "too many includes"),
        ("http { server { listen x:y; } }", "invalid port"),
        ("http { server { listen 443 ssl; } }", "no \"ssl_certificate\" is defined"),
        ("http { server { listen 443 ssl; ssl_certificate no.pem; } }", "cannot load certificate"),
    ] {
        host.write(CONF, conf);
        let (status, text) = command_failure(&reload().expect_err(conf));
        assert!(
            status == "exit status: 1" && text.starts_with("nginx: [emerg]") && text.contains(words),
            "{conf}: {text}"
        );
        assert_eq!(ask(&host, false, "gts.example.org", "/").unwrap().status, 204);
    }
}

#[test]
fn ports_that_it_cannot_have() {
    let host = with_nginx(PROXY);
    host.install("0.19.2", &direct_config());
    host.open_ports();
    host.start().unwrap();
    assert!(host.runs());
    let (_, text) = command_failure(&start(&host).unwrap_err());
    assert!(text.contains("bind() to 0.0.0.0:80 failed (48: Address already in use)"), "{text}");
    host.stop();
    host.set_sysctl("security.mac.portacl.suser_exempt", "0").unwrap();
    let (_, text) = command_failure(&start(&host).unwrap_err());
    assert!(text.contains("failed (1: Operation not permitted)"), "{text}");
}
