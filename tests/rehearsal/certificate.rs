//! `certificate status` and `certificate renew`, and what becomes of the certificate when an order fails.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gts_bootstrap::certificate::acme::Challenge;
use gts_bootstrap::certificate::placeholder::is_placeholder;
use gts_bootstrap::certificate::renewal::Window;
use gts_bootstrap::certificate::{Bundle, CertificateAuthority, Leaf};
use gts_bootstrap::change::certificate::{leaf_digest, shown};
use gts_bootstrap::change::front::HostFiles;
use gts_bootstrap::change::{Executor, Operator, Plan, Step};
use gts_bootstrap::deployment::{Answers, Deployment, HostName, Layout, Secrets};
use gts_bootstrap::front::Front;
use gts_bootstrap::host::rehearsal::model::Authority;
use gts_bootstrap::host::rehearsal::{Model, Rehearsal};
use gts_bootstrap::host::{Host, Observe, Owner, ServiceAction};
use gts_bootstrap::parts::front::settings;
use gts_bootstrap::parts::{Instance, periodic, tls};
use gts_bootstrap::release;

use crate::machine::{ANSWERS, Machine};

const NAME: &str = "social.example.org";
const CACHE: &str = "/var/db/gotosocial/storage/certs/social.example.org";
const CHAIN: &str = "/usr/local/etc/gts-bootstrap/tls/social.example.org.pem";
const KEY: &str = "/usr/local/etc/gts-bootstrap/tls/social.example.org.key";
const RECORD: &str = "/usr/local/etc/gts-bootstrap/tls/renewal.json";
const DAY: u64 = 86_400;
const RENEW: &[&str] = &["certificate", "renew", "--yes"];

struct Silent;

impl Operator for Silent {
    fn progress(&self) -> &dyn release::Progress {
        &release::NoProgress
    }
}

fn name() -> HostName {
    NAME.parse().unwrap()
}

fn open(machine: &Machine) -> Rehearsal {
    Rehearsal::open(machine.root()).unwrap()
}

fn deployment(text: &str) -> Deployment {
    Answers::parse(text, "t").unwrap().deployment(&Secrets::default()).unwrap()
}

/// Another client's answers to challenges, in the folder that the front serves.
struct Served<'a>(&'a Rehearsal);

impl Challenge for Served<'_> {
    fn publish(&mut self, token: &str, answer: &str) -> Result<(), Box<dyn std::error::Error>> {
        let mut folder = PathBuf::from("/usr/local/www/gts-bootstrap");
        for name in [".well-known", "acme-challenge"] {
            folder.push(name);
            self.0.make_directory(&folder, 0o755, Owner::ROOT)?;
        }
        Ok(self.0.write_file(&folder.join(token), answer.as_bytes(), 0o644, Owner::ROOT)?)
    }

    fn withdraw(&mut self, _token: &str) {
        self.0.remove_tree("/usr/local/www/gts-bootstrap/.well-known".as_ref()).unwrap();
    }
}

fn apply(host: &Rehearsal, steps: Vec<Step>) {
    let plan = Plan { steps, ..Plan::default() };
    Executor { host, source: None, authority: Some(host), operator: &Silent, stop: &|| None, trial: None }
        .apply("test", &plan)
        .unwrap();
}

/// A machine with nginx in front and answers that say so. GoToSocial is stopped: who is behind does not matter here.
fn with_front(answers: &str) -> Machine {
    Machine::prepared(&format!("a front with a certificate, {answers}"), || {
        behind_nginx(Machine::installed(ANSWERS), answers)
    })
}

fn instance<'a>(host: &'a Rehearsal, layout: &'a Layout, deployment: &'a Deployment) -> Instance<'a> {
    Instance { host, layout, deployment }
}

fn behind_nginx(machine: Machine, more: &str) -> Machine {
    let answers = format!("{ANSWERS}\n[exposure]\nmode = \"nginx\"\n").replace("[tls]\n", &format!("[tls]\n{more}\n"));
    machine.write("/usr/local/etc/gts-bootstrap/deployment.toml", &answers);
    let (host, layout, deployment) = (open(&machine), Layout::default(), deployment(&answers));
    if host.service("gotosocial").unwrap().is_running() {
        host.service_action("gotosocial", ServiceAction::Stop).unwrap();
    }
    let planned = tls::plan(instance(&host, &layout, &deployment), &name(), true).unwrap().unwrap();
    if !planned.steps.is_empty() {
        apply(&host, planned.steps);
    }
    host.install_package("nginx").unwrap();
    let settings = settings(Front::NGINX, &deployment, &layout, planned.files, semver::Version::new(1, 26, 2));
    for folder in ["/usr/local/www", "/usr/local/www/gts-bootstrap", "/usr/local/etc/nginx/gts-bootstrap"] {
        if host.entry(Path::new(folder)).unwrap().is_none() {
            host.make_directory(Path::new(folder), 0o755, Owner::ROOT).unwrap();
        }
    }
    for (path, text) in Front::NGINX.render(&settings).unwrap() {
        host.write_file(&path, text.as_bytes(), 0o644, Owner::ROOT).unwrap();
    }
    let main = Path::new("/usr/local/etc/nginx/nginx.conf");
    let text = (Front::NGINX.with_site)(main, &host.read(main).unwrap().unwrap(), &HostFiles(&host)).unwrap();
    host.write_file(main, &text, 0o644, Owner::ROOT).unwrap();
    host.set_rc_variable("nginx_enable", Some("YES")).unwrap();
    host.service_action("nginx", ServiceAction::Start).unwrap();
    if planned.order {
        apply(&host, tls::first_order(&layout, &deployment, &name()).into_iter().collect());
    }
    machine
}

fn wait(machine: &Machine, days: u64) {
    open(machine).sleep(Duration::from_secs(days * DAY));
}

/// What nginx shows, as a digest. It must be what lies in the file.
fn in_service(machine: &Machine) -> String {
    let host = open(machine);
    let shown = shown(&host, "127.0.0.1:443".parse().unwrap(), &name()).expect("nginx shows no certificate");
    assert_eq!(Some(&shown), leaf_digest(machine.read(CHAIN).as_bytes()).as_ref());
    Bundle::from_files(machine.read(KEY).as_bytes(), machine.read(CHAIN).as_bytes()).unwrap();
    shown
}

fn leaf(machine: &Machine) -> Leaf {
    Bundle::from_files(machine.read(KEY).as_bytes(), machine.read(CHAIN).as_bytes()).unwrap().leaf().clone()
}

/// No file but those that are meant to has a key in it.
fn keys_are_where_they_belong(machine: &Machine) {
    for (path, (mode, _, content)) in machine.snapshot() {
        if !path.starts_with(".rehearsal") && String::from_utf8_lossy(&content).contains("PRIVATE KEY-----") {
            let shown = path.display().to_string();
            assert!(shown.ends_with(".key") || shown.contains("storage/certs"), "a key lies in {shown}");
            assert_eq!(mode & 0o077, 0, "{shown}");
        }
    }
}

#[test]
fn gotosocial_keeps_its_own_in_direct_mode() {
    let machine = Machine::installed(ANSWERS);
    let status = machine.run(&["certificate", "status", "--json"]).exits(0).json();
    let certificate = &status["certificates"][0];
    assert_eq!((&certificate["keeper"], &certificate["names"][0]), (&"go-to-social".into(), &NAME.into()));
    assert_eq!((&certificate["certificate"], &certificate["next_renewal"]), (&CACHE.into(), &serde_json::Value::Null));
    machine.run(RENEW).exits(0).says("renews its certificate itself");
    wait(&machine, 82);
    machine.run(&["certificate", "status"]).exits(3).says("last tenth");
    wait(&machine, 9);
    machine.run(&["certificate", "status", "--quiet"]).exits(3).says("expired on");
    std::fs::remove_file(machine.path(CACHE)).unwrap();
    machine.run(&["certificate", "status"]).exits(3).says("there is no certificate yet");
}

#[test]
fn without_an_installation_or_root_there_is_nothing_to_tell() {
    let fresh = Machine::fresh();
    fresh.run(&["certificate", "status"]).exits(1).says("deployment.toml is missing");
    fresh.run(RENEW).exits(1).says("deployment.toml is missing");
    let machine = Machine::installed(ANSWERS);
    machine.edit(|model| model.euid = 1001);
    machine.run(&["certificate", "status"]).exits(1).says("run it as root");
    machine.run(RENEW).exits(1).says("run it as root");
}

#[test]
fn gotosocials_certificate_is_carried_over_and_comes_back() {
    let machine = with_front("");
    let own = Bundle::from_pem(machine.read(CACHE).as_bytes()).unwrap();
    assert_eq!(&leaf(&machine), own.leaf());
    in_service(&machine);
    keys_are_where_they_belong(&machine);
    // A second plan has nothing to do, and the way back neither: what is there is as good.
    let (host, layout) = (open(&machine), Layout::default());
    let deployment = deployment(&machine.read("/usr/local/etc/gts-bootstrap/deployment.toml"));
    // Not even if the cache is refused.
    std::fs::hard_link(machine.path(CACHE), machine.path("/var/db/other")).unwrap();
    let again = tls::plan(instance(&host, &layout, &deployment), &name(), true).unwrap().unwrap();
    assert_eq!((again.steps, again.order), (Vec::new(), false));
    std::fs::remove_file(machine.path("/var/db/other")).unwrap();
    let service = Owner { uid: 209, gid: 209 };
    assert_eq!(tls::back_to_autocert(instance(&host, &layout, &deployment), service).unwrap(), (Vec::new(), None));
    // A renewed one goes back, and is what GoToSocial itself would have written.
    machine.run(&["certificate", "renew", "--yes", "--force"]).exits(0);
    let host = open(&machine);
    let (steps, warning) = tls::back_to_autocert(instance(&host, &layout, &deployment), service).unwrap();
    assert_eq!((steps.len(), warning), (1, None));
    apply(&host, steps);
    let back = Bundle::from_pem(machine.read(CACHE).as_bytes()).unwrap();
    assert_eq!((back.leaf(), back.autocert_pem().unwrap().expose()), (&leaf(&machine), machine.read(CACHE).as_str()));
    // What goes with the front: files, then their folder.
    let files = tls::own_files(&host, &layout).unwrap();
    assert_eq!(files.last().unwrap(), &layout.tls());
    files.iter().for_each(|path| host.remove(path).unwrap());
    assert!(!machine.exists("/usr/local/etc/gts-bootstrap/tls"));
}

#[test]
fn it_is_renewed_when_a_third_of_its_life_is_left() {
    let machine = with_front("");
    let first = in_service(&machine);
    machine.run(RENEW).exits(0).says("not due; valid until");
    let told = machine.run(&["certificate", "renew", "--yes", "--json"]).exits(0).json();
    assert!(told["notes"][0].as_str().unwrap().contains("not due"), "{told}");
    wait(&machine, 59);
    machine.run(RENEW).exits(0).says("not due");
    assert_eq!(in_service(&machine), first);
    wait(&machine, 1);
    let before = machine.system_files();
    let plan = machine.run(&["certificate", "renew", "--plan", "--json"]).exits(0).json();
    assert_eq!((&plan["changed"], &plan["changes"][0]["kind"]), (&true.into(), &"certificate".into()));
    assert_eq!(machine.system_files(), before);
    machine.run(&["certificate", "renew"]).exits(4).says("there is no terminal");
    machine.run(&["certificate", "renew", "--yes", "--quiet"]).exits(0);
    assert_ne!(in_service(&machine), first);
    keys_are_where_they_belong(&machine);
    let status = machine.run(&["certificate", "status", "--json"]).exits(0).json();
    let certificate = &status["certificates"][0];
    assert_eq!((&certificate["keeper"], &certificate["days_left"]), (&"us".into(), &89.into()));
    assert!(certificate["next_renewal"].as_u64() > Some(machine.model().clock + 59 * DAY));
    assert!(!machine.exists("/usr/local/www/gts-bootstrap/.well-known"), "the answer to the challenge is still there");
    machine.run(&["certificate", "status"]).exits(0).says("managed by gts-bootstrap").says("next renewal");
}

#[test]
fn the_authority_may_want_it_earlier() {
    let machine = with_front("");
    // Only an account can ask, and that is made with the first order.
    machine.run(&["certificate", "renew", "--yes", "--force"]).exits(0);
    let clock = machine.model().clock;
    machine.edit(|model| {
        model.renewal_window = Some(Window { start: clock + 100, end: clock + 200, ask_again: 3600 });
    });
    let first = in_service(&machine);
    machine.run(RENEW).exits(0);
    assert_ne!(in_service(&machine), first);
}

#[test]
fn whatever_fails_the_old_certificate_stays_in_service() {
    fn leads_to(model: &mut Model, addresses: Vec<IpAddr>) {
        model.dns.insert(NAME.into(), addresses);
    }
    type Breaks = fn(&mut Model);
    let faults: [(Breaks, &str); 4] = [
        (|model| model.authority = Authority::Unreachable, "cannot be reached"),
        (|model| model.authority = Authority::RateLimited, "rate limit"),
        (|model| leads_to(model, vec![[192, 0, 2, 1].into()]), "did not get the right answer"),
        (|model| leads_to(model, Vec::new()), "NXDOMAIN"),
    ];
    for (edit, words) in faults {
        let machine = with_front("");
        wait(&machine, 61);
        let first = in_service(&machine);
        machine.edit(edit);
        machine.run(RENEW).exits(1).says(words);
        assert_eq!(in_service(&machine), first, "{words}");
        assert!(!machine.exists("/usr/local/www/gts-bootstrap/.well-known"));
        keys_are_where_they_belong(&machine);
        // It is remembered, and not tried again at once.
        machine.run(&["certificate", "status"]).exits(0).says("last failure").says(words);
        let record = machine.read(RECORD);
        let again = machine.run(RENEW).exits(0);
        assert!(again.said().contains("The last attempt failed"), "{}", again.said());
        assert_eq!(machine.read(RECORD), record);
        // Until it works: a day later, or 34 hours where the authority asked for that.
        machine.edit(|model| {
            model.authority = Authority::Issues;
            model.dns.clear();
        });
        wait(&machine, 2);
        machine.run(RENEW).exits(0);
        assert_ne!(in_service(&machine), first, "{words}");
        machine.run(&["certificate", "status"]).exits(0).does_not_say("last failure");
    }
}

#[test]
fn not_even_by_force_against_the_authoritys_wish() {
    let machine = with_front("");
    machine.edit(|model| model.authority = Authority::RateLimited);
    let force = &["certificate", "renew", "--yes", "--force"];
    machine.run(force).exits(1).says("rate limit");
    machine.edit(|model| model.authority = Authority::Issues);
    machine.run(force).exits(1).says("asked for no requests until");
    // Another authority has asked for nothing.
    let url = "https://acme-staging-v02.api.letsencrypt.org/directory";
    machine.run(&["certificate", "renew", "--yes", "--force", "--acme-directory", url]).exits(0);
    assert_eq!(std::fs::read_dir(machine.path("/usr/local/etc/gts-bootstrap/tls")).unwrap().count(), 6);
    machine.run(&["certificate", "renew", "--acme-directory", "http://a.example"]).exits(2).says("https URL");
}

#[test]
fn five_wrong_answers_an_hour_are_the_limit() {
    let machine = with_front("");
    machine.edit(|model| {
        model.dns.insert(NAME.into(), Vec::new());
    });
    let force = &["certificate", "renew", "--yes", "--force"];
    for _ in 0..5 {
        machine.run(force).exits(1).says("NXDOMAIN");
    }
    machine.run(force).exits(1).says("too many failed authorizations");
}

#[test]
fn what_this_host_can_see_by_itself_counts_no_failure() {
    let machine = with_front("");
    let first = in_service(&machine);
    let host = open(&machine);
    // A folder that the workers may not enter, as an administrator's umask would make it.
    let www = Path::new("/usr/local/www/gts-bootstrap");
    host.make_directory(www, 0o700, Owner::ROOT).unwrap();
    machine.run(&["certificate", "renew", "--yes", "--force"]).exits(1).says("answers http://social.example.org");
    assert_eq!(machine.model().failed_validations, Vec::<u64>::new());
    assert_eq!(in_service(&machine), first);
}

#[test]
fn a_stopped_front_is_said_beforehand() {
    let machine = with_front("");
    open(&machine).service_action("nginx", ServiceAction::Stop).unwrap();
    machine.run(&["certificate", "renew", "--yes", "--force"]).exits(1).says("nginx does not run");
}

#[test]
fn a_front_that_does_not_take_it_gets_the_old_one_back() {
    let machine = with_front("");
    let first = in_service(&machine);
    let conf = "/usr/local/etc/nginx/nginx.conf";
    let text = machine.read(conf);
    machine.write(conf, &format!("{text}\nhttp {{\n"));
    machine.run(&["certificate", "renew", "--yes", "--force"]).exits(1).says("never closed");
    machine.write(conf, &text);
    assert_eq!(in_service(&machine), first);
}

#[test]
fn a_power_cut_at_any_change_leaves_a_pair_that_is_settled() {
    for takes_effect in [false, true] {
        for after in 0.. {
            let machine = with_front("");
            let first = in_service(&machine);
            machine.edit(|model| {
                model.faults.change = serde_json::from_value(serde_json::json!({
                    "after": after, "takes_effect": takes_effect, "lasting": true, "errno": 5
                }))
                .unwrap();
            });
            let cut = machine.run(&["certificate", "renew", "--yes", "--force"]);
            machine.edit(|model| model.faults.change = None);
            if cut.code == 0 {
                assert!(after > 15, "{after} changes are too few for an order");
                break;
            }
            // The next run settles it: the pair that nginx shows is whole, and it is the old one unless all was done.
            machine.run(RENEW).exits(0);
            let settled = in_service(&machine);
            let receipts = machine.snapshot();
            let done = receipts.iter().any(|(path, (_, _, text))| {
                path.starts_with("var/db/gts-bootstrap/receipts")
                    && String::from_utf8_lossy(text).contains("certificate renew")
                    && String::from_utf8_lossy(text).contains("{\"done\":")
            });
            assert_eq!(settled == first, !done, "{after} {takes_effect}");
            machine.run(&["certificate", "renew", "--yes", "--force"]).exits(0);
            assert_ne!(in_service(&machine), settled, "{after} {takes_effect}");
            keys_are_where_they_belong(&machine);
        }
    }
}

#[test]
fn without_any_certificate_a_placeholder_lets_the_front_start() {
    let machine = Machine::installed(ANSWERS);
    std::fs::remove_file(machine.path(CACHE)).unwrap();
    let machine = behind_nginx(machine, "");
    assert!(!is_placeholder(&leaf(&machine)), "{:?}", leaf(&machine));
    in_service(&machine);
    keys_are_where_they_belong(&machine);

    // The order fails: the placeholder stays, and the next look orders.
    let machine = Machine::installed(ANSWERS);
    std::fs::remove_file(machine.path(CACHE)).unwrap();
    let layout = Layout::default();
    let answers = format!("{ANSWERS}\n[exposure]\nmode = \"nginx\"\n");
    let host = open(&machine);
    let planned = tls::plan(instance(&host, &layout, &deployment(&answers)), &name(), true).unwrap().unwrap();
    let other: HostName = "example.org".parse().unwrap();
    assert_eq!(tls::plan(instance(&host, &layout, &deployment(&answers)), &other, false).unwrap(), None);
    assert!(planned.order);
    // A plan is data, the same each time, though the key will be another one.
    assert_eq!(tls::plan(instance(&host, &layout, &deployment(&answers)), &name(), true).unwrap().unwrap(), planned);
    apply(&host, planned.steps);
    assert!(is_placeholder(&leaf(&machine)));
    let again = tls::plan(instance(&host, &layout, &deployment(&answers)), &name(), true).unwrap().unwrap();
    assert_eq!((again.steps, again.order), (Vec::new(), true));
    drop(host);
    let machine = behind_nginx(machine, "");
    assert!(!is_placeholder(&leaf(&machine)));
}

#[test]
fn files_of_others_are_watched_and_never_renewed() {
    let live = "/usr/local/etc/letsencrypt/live/social.example.org";
    let (chain, key) = (format!("{live}/fullchain.pem"), format!("{live}/privkey.pem"));
    let named = format!("certificate = \"{chain}\"\nkey = \"{key}\"");
    for (more, kept_by) in [("", "certbot"), (named.as_str(), "the administrator")] {
        let machine = Machine::installed(ANSWERS);
        let put = |bundle: &Bundle| {
            machine.write(&chain, &bundle.chain_pem());
            machine.write(&key, bundle.key_pem().expose());
        };
        put(&Bundle::from_pem(machine.read(CACHE).as_bytes()).unwrap());
        let machine = behind_nginx(machine, more);
        assert!(!machine.exists(CHAIN), "what others keep is not copied");
        machine
            .run(&["certificate", "status"])
            .exits(0)
            .says(&format!("managed by {kept_by}"))
            .does_not_say("next renewal");
        wait(&machine, 80);
        machine.run(&["certificate", "renew", "--yes", "--force"]).exits(0).says("not renewed here");
        machine.run(&["certificate", "status"]).exits(0);
        // Somebody renews it: the front is told.
        let (host, layout) = (open(&machine), Layout::default());
        let ours = deployment(&format!("{ANSWERS}\n[exposure]\nmode = \"nginx\"\n"));
        host.make_directory(&layout.tls(), 0o700, Owner::ROOT).unwrap();
        let order = tls::certificate_order(&layout, &ours, &name(), None);
        let account = host.register(order.directory.as_str(), None).unwrap();
        let issued = host.order(&account, &name(), None, &mut Served(&host)).unwrap();
        drop(host);
        machine.write(&chain, &issued.chain_pem());
        machine.write(&key, issued.key_pem().expose());
        machine.run(RENEW).exits(0).says("nginx reloads");
        let host = open(&machine);
        let shown = shown(&host, "127.0.0.1:443".parse().unwrap(), &name());
        assert_eq!(shown, leaf_digest(issued.chain_pem().as_bytes()));
        drop(host);
        machine.run(RENEW).exits(0).says("not renewed here");
    }
}

#[test]
fn files_that_the_answers_name_must_be_good() {
    let machine = with_front("");
    let cached = machine.read(CACHE);
    let plan = |certificate: &str, key: &str| {
        let text = format!("{ANSWERS}\n[exposure]\nmode = \"nginx\"\n")
            .replace("[tls]\n", &format!("[tls]\ncertificate = \"{certificate}\"\nkey = \"{key}\"\n"));
        tls::plan(instance(&open(&machine), &Layout::default(), &deployment(&text)), &name(), true)
            .map(|planned| planned.unwrap())
    };
    let refusal = |certificate: &str, key: &str| plan(certificate, key).unwrap_err().to_string();
    assert!(refusal("/no.pem", KEY).contains("/no.pem, which the answers name under [tls], is not there"));
    assert!(refusal(CHAIN, "/no.key").contains("/no.key"));
    machine.write("/bad.pem", "x");
    assert!(refusal("/bad.pem", KEY).contains("there is no certificate in it"));
    let planned = plan(CHAIN, KEY).unwrap();
    assert_eq!((planned.steps, planned.order), (Vec::new(), false));
    wait(&machine, 91);
    assert!(refusal(CHAIN, KEY).contains("expired on"));
    assert!(!refusal(CHAIN, KEY).contains("PRIVATE KEY"));
    assert!(!cached.is_empty());
}

#[test]
fn a_key_that_gotosocial_does_not_keep_stays_where_it_is() {
    let machine = Machine::installed(ANSWERS);
    let (host, layout) = (open(&machine), Layout::default());
    let mut params = rcgen::CertificateParams::new(vec![NAME.to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2025, 12, 1);
    params.not_after = rcgen::date_time_ymd(2027, 1, 1);
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    machine.write("/etc/ssl/a.pem", &params.self_signed(&key).unwrap().pem());
    machine.write("/etc/ssl/a.key", &key.serialize_pem());
    let files = "[tls]\ncertificate = \"/etc/ssl/a.pem\"\nkey = \"/etc/ssl/a.key\"\n";
    let proxied = deployment(&format!("{ANSWERS}\n[exposure]\nmode = \"nginx\"\n").replace("[tls]\n", files));
    let service = Owner { uid: 209, gid: 209 };
    assert_eq!(
        tls::plan(instance(&host, &layout, &proxied), &name(), true).unwrap().unwrap().files.chain,
        Path::new("/etc/ssl/a.pem")
    );
    // What GoToSocial has is still good.
    assert_eq!(tls::back_to_autocert(instance(&host, &layout, &proxied), service).unwrap(), (Vec::new(), None));
    host.remove(Path::new(CACHE)).unwrap();
    let (steps, warning) = tls::back_to_autocert(instance(&host, &layout, &proxied), service).unwrap();
    assert_eq!(steps, Vec::new());
    let warning = warning.unwrap();
    assert!(warning.contains("another kind than EC") && warning.contains("orders its own"), "{warning}");
}

#[test]
fn the_daily_script_is_put_in_place_once() {
    let machine = Machine::installed(ANSWERS);
    let host = open(&machine);
    apply(&host, periodic::plan_periodic(&host).unwrap());
    assert_eq!(periodic::plan_periodic(&host).unwrap(), Vec::new());
    let script = machine.read(periodic::SCRIPT);
    assert!(script.contains("certificate renew --yes --quiet"));
    for path in tls::own_files(&host, &Layout::default()).unwrap() {
        host.remove(&path).unwrap();
    }
    assert!(!machine.exists(periodic::SCRIPT));
}
