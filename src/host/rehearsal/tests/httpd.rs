//! Apache httpd in front of GoToSocial. What it says was seen of Apache 2.4.

use super::*;
use crate::host::{FrontProgram, Listener, ServiceState};

const FOLDER: &str = "/usr/local/etc/apache24";
const CONF: &str = "/usr/local/etc/apache24/httpd.conf";
const OWN: &str = "/usr/local/etc/apache24/Includes/zz-gts-bootstrap.conf";
const NAME: &str = "gts.example.org";
const MPM: &str = "LoadModule mpm_event_module libexec/apache24/mod_mpm_event.so\n";

fn with_httpd() -> Fresh {
    let host = fresh();
    host.install_package("apache24").unwrap();
    host.set_rc_variable("apache24_enable", Some("YES")).unwrap();
    host.put_certificate("/usr/local/etc/ssl/gts", NAME);
    host
}

/// The configuration of this program, as rendered for the package.
fn rendered() -> Fresh {
    let host = with_httpd();
    host.write(OWN, include_str!("rendered/httpd.conf"));
    host.write(&format!("{FOLDER}/gts-bootstrap/tls.inc"), include_str!("rendered/httpd-tls.inc"));
    host
}

fn act(host: &Fresh, action: ServiceAction) -> Result<(), HostError> {
    host.service_action("apache24", action)
}

/// What a test of a configuration says.
fn test(host: &Fresh, conf: &str) -> String {
    host.write(CONF, conf);
    let output = host.front_test(FrontProgram::Httpd, Path::new(CONF)).unwrap();
    assert_eq!(output.status == Some(0), output.stderr == "Syntax OK\n", "{}", output.stderr);
    output.stderr
}

#[test]
fn our_configuration_leads_to_gotosocial_and_answers_for_it_while_it_is_down() {
    let host = rendered();
    host.install("0.19.2", &proxied_config());
    assert_eq!(test(&host, &host.text(CONF)), "Syntax OK\n");
    act(&host, ServiceAction::Start).unwrap();
    let down = host.ask(true, NAME, "/livez/x").unwrap();
    assert_eq!((down.status, down.retry_after.as_deref()), (503, Some("10")));
    assert!(String::from_utf8(down.body).unwrap().contains("gts.example.org is being restarted"));
    host.start().unwrap();
    let answer = host.ask(true, NAME, "/nodeinfo/2.0").unwrap();
    assert_eq!((answer.certificate.unwrap().names, answer.retry_after), (vec![NAME.to_string()], None));
    assert!(String::from_utf8(answer.body).unwrap().contains("0.19.2"));
    for (path, status) in [
        ("/readyz", 404),
        ("/livez", 404),
        ("//livez", 404),
        ("/livezx", 404),
        ("/assets/logo.webp", 200),
        ("/assets/no", 404),
        ("/", 200),
    ] {
        assert_eq!(host.ask(true, NAME, path).unwrap().status, status, "{path}");
    }
    let redirect = host.ask(false, NAME, "/a?b").unwrap();
    assert_eq!((redirect.status, redirect.location.as_deref()), (301, Some("https://gts.example.org/a?b")));
    let asked = |path: &str| host.ask_unverified("example.org", path).unwrap();
    let webfinger = asked("/.well-known/webfinger?resource=acct:a@example.org");
    let there = "https://gts.example.org/.well-known/webfinger?resource=acct:a@example.org";
    assert_eq!((webfinger.status, webfinger.location.as_deref()), (301, Some(there)));
    assert_eq!(asked("/").status, 404);
    // Another name without TLS gets what the main server has to offer.
    assert_eq!(host.ask(false, "other.example.org", "/").unwrap().body, b"<h1>It works!</h1>\n");
    assert_eq!(host.ask_unverified("other.example.org", "/").unwrap().status, 421);
    host.stop();
    assert_eq!(host.ask(true, NAME, "/").unwrap().status, 503);
}

#[test]
fn a_challenge_is_served_from_its_folder_without_tls() {
    let host = rendered();
    act(&host, ServiceAction::Start).unwrap();
    let token = "/var/db/gts-bootstrap/acme/.well-known/acme-challenge/token";
    let asked = || host.ask(false, NAME, "/.well-known/acme-challenge/token").unwrap();
    assert_eq!(asked().status, 404);
    host.write(token, "token.thumbprint");
    assert_eq!((asked().status, asked().body), (200, b"token.thumbprint".to_vec()));
    host.put(token, "token.thumbprint", 0o600, Owner::ROOT);
    assert_eq!(asked().status, 403);
}

#[test]
fn it_listens_as_root_starts_at_boot_and_stops() {
    let host = rendered();
    host.install("0.19.2", &proxied_config());
    act(&host, ServiceAction::Start).unwrap();
    let sockets = |host: &Fresh| -> Vec<(String, u16, bool, bool)> {
        let all = host.listeners().unwrap().into_iter().filter(|l| l.command == "httpd");
        all.map(|l| (l.user, l.port, l.ipv4, l.ipv6)).collect()
    };
    let root = || "root".to_string();
    let all =
        [(root(), 80, false, true), (root(), 80, true, false), (root(), 443, false, true), (root(), 443, true, false)];
    assert_eq!(sockets(&host), all);
    host.reboot().unwrap();
    assert_eq!(sockets(&host), all);
    assert_eq!(host.ask(true, NAME, "/").unwrap().status, 200);
    act(&host, ServiceAction::Stop).unwrap();
    assert_eq!(host.ask(true, NAME, "/"), Err(WebFailure::Refused));
    assert!(act(&host, ServiceAction::Reload).unwrap_err().to_string().contains("not running?"));
    host.set_rc_variable("apache24_enable", None).unwrap();
    host.reboot().unwrap();
    assert_eq!(host.service("apache24").unwrap(), ServiceState::Stopped);
}

#[test]
fn what_apache_refuses_is_refused_in_its_words() {
    let host = with_httpd();
    host.write(&format!("{FOLDER}/inc/a.conf"), "Foo\n");
    host.write(&format!("{FOLDER}/open/a.conf"), "<VirtualHost *:1>\n");
    host.make_directory(Path::new("/usr/local/etc/apache24/empty"), 0o755, Owner::ROOT).unwrap();
    let with = |modules: &str, rest: &str| {
        let load = |m: &str| format!("LoadModule {m}_module libexec/apache24/mod_{m}.so\n");
        format!("{MPM}{}{rest}", modules.split_whitespace().map(load).collect::<String>())
    };
    for (modules, rest, words) in [
        (
            "",
            "Foo bar",
            "AH00526: Syntax error on line 2 of /usr/local/etc/apache24/httpd.conf:\nInvalid command 'Foo', perhaps misspelled",
        ),
        ("", "<Foo x>\n</Foo>", "Invalid command '<Foo'"),
        ("", "SSLEngine on", "Invalid command 'SSLEngine'"),
        (
            "",
            "<VirtualHost *:80>",
            "httpd: Syntax error on line 2 of /usr/local/etc/apache24/httpd.conf: /usr/local/etc/apache24/httpd.conf:2: <VirtualHost> was not closed.",
        ),
        ("", "<IfModule none>", "<IfModule> was not closed."),
        ("", "</VirtualHost>", "</VirtualHost> without matching <VirtualHost> section"),
        ("", "<Directory /a>\n</VirtualHost>", "Expected </Directory> but saw </VirtualHost>"),
        ("", "<VirtualHost *:80\n</VirtualHost>", "<VirtualHost> directive missing closing '>'"),
        ("", "<Directory>\n</Directory>", "<Directory> directive requires additional arguments"),
        ("", "Include /nosuch.conf", "Could not open configuration file /nosuch.conf: No such file or directory"),
        (
            "",
            "Include /nosuch/*.conf",
            "Include/IncludeOptional: Could not open directory /nosuch: No such file or directory",
        ),
        (
            "",
            "Include etc/apache24/empty/*.conf",
            "No matches for the wildcard '*.conf' in '/usr/local/etc/apache24/empty', failing",
        ),
        (
            "",
            "Include etc/apache24/inc/a.conf",
            "AH00526: Syntax error on line 1 of /usr/local/etc/apache24/inc/a.conf:\nInvalid command 'Foo'",
        ),
        (
            "",
            "Include etc/apache24/open",
            "httpd: Syntax error on line 2 of /usr/local/etc/apache24/httpd.conf: Syntax error on line 1 of /usr/local/etc/apache24/open/a.conf: ",
        ),
        ("", "Include etc/apache24/httpd.conf", "Exceeded maximum include depth"),
        ("", "LoadModule x_module libexec/x.so", "Cannot load /usr/local/libexec/x.so into server"),
        ("", "LoadModule frob_module libexec/apache24/mod_ssl.so", "Can't locate API module structure `frob_module'"),
        ("", "Listen", "Listen requires 1 or 2 arguments."),
        ("", "Listen x:y", "Port must be specified"),
        ("", "Listen 99999", "Invalid address or port"),
        (
            "",
            "Listen 8080\nListen 8080",
            "AH00526: Syntax error on line 3 of /usr/local/etc/apache24/httpd.conf:\nCannot define multiple Listeners on the same IP:port",
        ),
        ("", "<VirtualHost *:1>\nListen 81\n</VirtualHost>", "Listen cannot occur within <VirtualHost> section"),
        (
            "",
            "<VirtualHost *:1>\n<VirtualHost *:2>\n</VirtualHost>\n</VirtualHost>",
            "<VirtualHost> cannot occur within <VirtualHost> section",
        ),
        ("", "ServerAlias x", "ServerAlias only used in <VirtualHost>"),
        ("", "ServerName a b", "ServerName takes one argument"),
        ("", "DocumentRoot /nosuch", "DocumentRoot '/nosuch' is not a directory, or is not readable"),
        ("", "LimitRequestBody x", "LimitRequestBody requires a non-negative integer."),
        ("", "ErrorDocument 999 x", "Unsupported HTTP response code 999"),
        ("authz_core", "Require all granted", "Require not allowed here"),
        ("ssl", "<VirtualHost *:1>\nSSLEngine maybe\n</VirtualHost>", "Argument must be On or Off"),
        ("rewrite", "RewriteEngine maybe", "RewriteEngine must be On or Off"),
        ("ssl", "SSLProtocol foo", "SSLProtocol: Illegal protocol 'foo'"),
        ("ssl", "SSLCertificateFile /nosuch.pem", "SSLCertificateFile: file '/nosuch.pem' does not exist or is empty"),
        ("proxy", "ProxyPass /", "ProxyPass|ProxyPassMatch needs a path when not defined in a location"),
        ("proxy", "ProxyPass / 127.0.0.1/", "ProxyPass URL must be absolute!: 127.0.0.1/"),
        ("proxy", "ProxyPass / http://127.0.0.1:x/", "ProxyPass Unable to parse URL"),
        ("proxy", "ProxyPass / http://127.0.0.1/ frob=1", "ProxyPass unknown Worker parameter"),
        ("headers", "Header foo bar baz", "first argument must be 'add', 'set'"),
        ("alias", "Alias /x", "Alias must have two arguments when used globally"),
        ("alias", "RedirectMatch 301 \"^(\" /x", "Regular expression could not be compiled."),
        ("alias", "Redirect 421 /x /y", "Redirect URL not valid for this status"),
        ("alias", "Redirect 301 /x", "URL to redirect to is missing"),
        ("alias", "Redirect 301", "Redirect URL missing"),
        ("rewrite", "RewriteRule x", "RewriteRule: bad argument line 'x'"),
        ("rewrite", "RewriteRule ^( -", "RewriteRule: cannot compile regular expression '^('"),
        ("rewrite", "RewriteCond x", "RewriteCond: bad argument line"),
    ] {
        let conf = with(modules, rest);
        let said = test(&host, &conf);
        assert!(said.contains(words), "{rest}: {said}");
        assert!(act(&host, ServiceAction::Start).is_err(), "{rest}");
    }
    assert!(test(&host, "Listen 80").contains("AH00534: httpd: Configuration error: No MPM loaded."));
    let none = host.front_test(FrontProgram::Httpd, Path::new("/nosuch.conf")).unwrap();
    assert!(none.stderr.contains("Could not open configuration file /nosuch.conf"), "{}", none.stderr);
}

#[test]
fn what_apache_takes_is_taken() {
    let host = with_httpd();
    for rest in [
        "# Foo\n<IfModule foo_module>\nBar\n<IfModule x>\n</IfModule>\n</IfModule>\n<IfDefine X>\nBar\n</IfDefine>",
        "IncludeOptional /nosuch/*.conf\nIncludeOptional /nosuch.conf",
        "servername \\\n  x\nDefine X y\n<IfDefine X>\nListen 81 https\n</IfDefine>\nListen [::]:82\nListen 0.0.0.0:82",
        "LoadModule authz_core_module libexec/apache24/mod_authz_core.so\n<Directory /x>\nRequire all granted\n</Directory>",
    ] {
        assert_eq!(test(&host, &format!("{MPM}{rest}\n")), "Syntax OK\n", "{rest}");
    }
}

#[test]
fn a_test_does_not_look_into_certificates_and_a_graceful_restart_dies_of_them() {
    let host = rendered();
    let (chain, key) = ("/usr/local/etc/ssl/gts/chain.pem", "/usr/local/etc/ssl/gts/key.pem");
    let good = (host.text(chain), host.text(key));
    let log = "/var/log/httpd-error.log";
    for (chain_text, key_text, logged) in [
        ("x", good.1.as_str(), "AH02562: Failed to configure certificate"),
        (&good.0, "x", "AH02564: Failed to configure encrypted (?) private key"),
        (&good.0, &other_key(), "AH02565: Certificate and private key"),
    ] {
        host.put(chain, &good.0, 0o644, Owner::ROOT);
        host.put(key, &good.1, 0o600, Owner::ROOT);
        act(&host, ServiceAction::Start).unwrap();
        host.write(chain, chain_text);
        host.put(key, key_text, 0o600, Owner::ROOT);
        assert_eq!(test(&host, &host.text(CONF)), "Syntax OK\n");
        assert_eq!(host.ask_unverified(NAME, "/").unwrap().status, 503);
        act(&host, ServiceAction::Reload).unwrap();
        assert_eq!(host.service("apache24").unwrap(), ServiceState::Stopped, "{logged}");
        let (_, words) = command_failure(&act(&host, ServiceAction::Start).unwrap_err());
        assert!(words.contains("AH00016: Configuration Failed"), "{words}");
        assert!(host.text(log).contains(logged) && host.text(log).contains("AH00020"), "{}", host.text(log));
    }
    // A key that is not there is seen by the test, and nothing happens to what runs.
    host.put(key, &good.1, 0o600, Owner::ROOT);
    act(&host, ServiceAction::Start).unwrap();
    host.remove(Path::new(key)).unwrap();
    let (_, words) = command_failure(&act(&host, ServiceAction::Reload).unwrap_err());
    assert!(words.contains("SSLCertificateKeyFile: file '/usr/local/etc/ssl/gts/key.pem' does not exist"), "{words}");
    assert!(host.service("apache24").unwrap().is_running());
    let without = host.text(OWN).replace("SSLCertificateFile", "#").replace("SSLCertificateKeyFile", "#");
    host.write(OWN, &without);
    act(&host, ServiceAction::Stop).unwrap();
    assert!(act(&host, ServiceAction::Start).is_err());
    assert!(host.text(log).contains("AH02572: Failed to configure at least one certificate"));
}

#[test]
fn ports_that_it_cannot_have() {
    let host = rendered();
    host.install("0.19.2", &direct_config());
    host.open_ports();
    host.start().unwrap();
    let (_, text) = command_failure(&act(&host, ServiceAction::Start).unwrap_err());
    assert!(
        text.contains("(48)Address already in use: AH00072: make_sock: could not bind to address [::]:80"),
        "{text}"
    );
    assert_eq!(test(&host, &host.text(CONF)), "Syntax OK\n");
    host.stop();
    host.set_sysctl("security.mac.portacl.suser_exempt", "0").unwrap();
    let (_, text) = command_failure(&act(&host, ServiceAction::Start).unwrap_err());
    assert!(text.contains("(1)Operation not permitted"), "{text}");
    host.set_sysctl("security.mac.portacl.suser_exempt", "1").unwrap();
    for (conf, words) in [
        (
            format!("{MPM}Listen 192.0.2.99:80\n"),
            "(49)Can't assign requested address: AH00072: make_sock: could not bind to address 192.0.2.99:80",
        ),
        (MPM.to_string(), "no listening sockets available, shutting down"),
    ] {
        assert_eq!(test(&host, &conf), "Syntax OK\n");
        assert!(command_failure(&act(&host, ServiceAction::Start).unwrap_err()).1.contains(words));
    }
}

#[test]
fn a_graceful_restart_dies_of_a_port_that_is_taken() {
    let host = rendered();
    act(&host, ServiceAction::Start).unwrap();
    let other = Listener {
        user: "www".into(),
        uid: Some(80),
        command: "other".into(),
        pid: Some(9),
        address: None,
        ipv4: true,
        ipv6: false,
        port: 81,
    };
    host.edit(|model| model.listeners.push(other)).unwrap();
    host.write(&format!("{FOLDER}/Includes/more.conf"), "Listen 81\n");
    act(&host, ServiceAction::Reload).unwrap();
    assert_eq!(host.service("apache24").unwrap(), ServiceState::Stopped);
}

#[test]
fn rules_and_hosts_are_followed_as_apache_does() {
    let conf = "\
LoadModule alias_module libexec/apache24/mod_alias.so
LoadModule authz_core_module libexec/apache24/mod_authz_core.so
LoadModule rewrite_module libexec/apache24/mod_rewrite.so
LoadModule proxy_module libexec/apache24/mod_proxy.so
Listen 80
<Directory />
    Require all denied
</Directory>
<VirtualHost *:80>
    ServerName first
    Redirect 410 /
</VirtualHost>
<VirtualHost *:80>
    ServerName http://gts.example.org:80
    ServerAlias *.many.example.org
    Alias /files /srv
    <Directory /srv>
        Require all granted
    </Directory>
    <Directory /srv/closed>
        Require all denied
    </Directory>
    Redirect /old http://elsewhere.example/new
    RewriteEngine On
    RewriteRule ^/gone$ - [G]
    RewriteCond /srv/$1 -f
    RewriteRule ^/maybe/(.*)$ /srv/$1 [L]
    RewriteCond %{HTTP_USER_AGENT} bot
    RewriteRule .* - [F]
    RewriteRule ^/r/(\\w+) http://elsewhere.example/$1 [R=307,L]
    ProxyPass /back/ http://127.0.0.1:9/
    ProxyPass /files !
</VirtualHost>
<VirtualHost 203.0.113.10:80>
    ServerName own
    Redirect 402 /
</VirtualHost>
";
    let host = with_httpd();
    host.write(CONF, &format!("{MPM}{conf}"));
    host.write("/srv/x", "x");
    host.write("/srv/closed/x", "x");
    host.write("/elsewhere", "x");
    act(&host, ServiceAction::Start).unwrap();
    let at = |name: &str, path: &str, address: &str| {
        let address = Some(address.parse().unwrap());
        host.web(&WebRequest { address, ..request(false, name, path, true) }).unwrap()
    };
    let asked = |path: &str| at(NAME, path, "127.0.0.1:80");
    for (path, status) in [
        ("/files/x", 200),
        ("/files/closed/x", 403),
        ("/files/no", 404),
        ("/filesx", 403),
        ("/gone", 410),
        ("/maybe/x", 200),
        ("/maybe/no", 403),
        ("/back/x", 503),
        ("/a/../gone", 410),
        ("/../b", 400),
    ] {
        assert_eq!(asked(path).status, status, "{path}");
    }
    assert_eq!(asked("/old/a?b").location.as_deref(), Some("http://elsewhere.example/new/a?b"));
    let redirect = asked("/r/abc/d");
    assert_eq!((redirect.status, redirect.location.as_deref()), (307, Some("http://elsewhere.example/abc")));
    for (name, status) in [("x.y.many.example.org", 503), ("first", 410), ("unknown", 410)] {
        assert_eq!(at(name, "/back/x", "127.0.0.1:80").status, status, "{name}");
    }
    assert_eq!(at(NAME, "/", "203.0.113.10:80").status, 402);
}
