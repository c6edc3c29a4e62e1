//! Broken files, and what a user is told: read `snapshots/` as a user would.

use config::routing_text;

use crate::cli::cutover;
use crate::support::tls::Certificate;

/// A good service with one thing changed.
fn good() -> String {
    "\
[service.shop]
hosts = [\"shop.test\"]

[service.shop.blue]
url = \"https://main--shop.netlify.app\"

[service.shop.green]
url = \"https://next--shop.netlify.app\"

[service.shop.split]
weight = 10
"
    .to_owned()
}

fn with(more: &str) -> String {
    format!("{}\n{more}\n", good())
}

/// With more keys of the service itself.
fn with_service(lines: &str) -> String {
    good().replace("hosts = [\"shop.test\"]", &format!("hosts = [\"shop.test\"]\n{lines}"))
}

fn rule(lines: &str) -> String {
    with(&format!("[[service.shop.rule]]\n{lines}"))
}

fn trigger(lines: &str) -> String {
    with(&format!("[[service.shop.guard.trigger]]\n{lines}"))
}

fn broken_files() -> Vec<(&'static str, String)> {
    vec![
        ("a key that is misspelt", good().replace("weight", "wieght")),
        ("a section that is misspelt", good().replace("service.shop.split", "service.shop.spilt")),
        ("a table that is not closed", good().replace("[service.shop.split]", "[service.shop.split")),
        ("a text without its end", good().replace("netlify.app\"\n\n[service.shop.split]", "netlify.app\n\n[service.shop.split]")),
        ("a key twice", with("weight = 20")),
        ("a weight in words", good().replace("10", "\"ten\"")),
        ("a weight over 100", good().replace("10", "150")),
        ("a weight with three decimals", good().replace("10", "0.125")),
        ("no green", good().replace("[service.shop.green]\nurl = \"https://next--shop.netlify.app\"\n", "")),
        ("no url", good().replace("url = \"https://next--shop.netlify.app\"\n", "")),
        ("a url without a scheme", good().replace("https://next", "next")),
        ("a url with a query", good().replace("next--shop.netlify.app", "next--shop.netlify.app/?deploy=1")),
        ("a url of another kind", good().replace("https://next", "ftp://next")),
        ("a port out of range", good().replace("https://next--shop.netlify.app", "http://127.0.0.1:99999")),
        ("an empty list", good().replace("\"shop.test\"", "")),
        ("two rules of one name", format!("{}{}", rule("name = \"a\"\npath = \"/x\"\nto = \"green\""), "[[service.shop.rule]]\nname = \"a\"\npath = \"/y\"\nto = \"green\"\n")),
        ("two triggers alike", format!("{}{}", trigger("metric = \"error_rate\"\nabove = 5"), "[[service.shop.guard.trigger]]\nmetric = \"error_rate\"\nabove = 2\naction = \"warn\"\n")),
        ("a path with a space", rule("path = \"/a b\"\nto = \"green\"")),
        ("url and urls", good().replace("\n\n[service.shop.split]", "\nurls = [\"http://a.test\"]\n\n[service.shop.split]")),
        ("a host with a port", good().replace("shop.test", "shop.test:8080")),
        ("a star for a host", good().replace("shop.test", "*")),
        ("a host in two services", with("[service.other]\nhosts = [\"SHOP.test\"]\n[service.other.blue]\nurl = \"http://a.test\"\n[service.other.green]\nurl = \"http://b.test\"")),
        ("two services for every host", format!("{}{}", good(), good().replace("service.shop", "service.other")).replace("hosts = [\"shop.test\"]\n", "")),
        ("an environment that is not", good().replace("weight = 10", "active = \"grene\"")),
        ("two kinds of stickiness", good().replace("weight = 10", "sticky = { cookie = \"c\", header = \"x-user\" }")),
        (
            "attributes of no cookie",
            good().replace("weight = 10", "sticky = { header = \"x-user\", domain = \"shop.test\", partitioned = true }"),
        ),
        (
            "a cookie that browsers ignore",
            good().replace("weight = 10", "sticky = { cookie = \"c\", same_site = \"none\", secure = false }"),
        ),
        (
            "a cookie of one host with a domain",
            good().replace("weight = 10", "sticky = { cookie = \"__Host-c\", domain = \"shop.test\", path = \"/a\" }"),
        ),
        ("stickiness that is not known", good().replace("weight = 10", "sticky = { coookie = \"c\" }")),
        ("a duration without a unit", with("[service.shop.timeouts]\nconnect = \"30\"")),
        ("a duration that is a number", with("[service.shop.timeouts]\nconnect = 30")),
        ("a rule without a condition", rule("to = \"candidate\"")),
        ("a rule that goes nowhere", rule("header = { name = \"x-canary\", equals = \"always\" }")),
        ("a rule that goes two ways", rule("method = \"GET\"\nto = \"green\"\ncandidate = 25")),
        ("a condition without an operator", rule("header = { name = \"x-canary\" }\nto = \"green\"")),
        ("a condition with two operators", rule("header = { name = \"x-canary\", equals = \"a\", prefix = \"b\" }\nto = \"green\"")),
        ("a header with an underscore", rule("header = { name = \"x_canary\", equals = \"a\" }\nto = \"green\"")),
        ("a method in lower case", rule("method = [\"get\", \"POST\"]\nto = \"green\"")),
        ("a regular expression that is none", rule("path = { regex = \"/api/(\" }\nto = \"green\"")),
        ("a network with host bits", rule("client_address = \"10.1.2.3/8\"\nto = \"green\"")),
        ("a route that is not there", with("[[service.shop.route]]\nname = \"attempts\"\npath = \"/api/*\"\n[[service.shop.rule]]\nroute = \"atempts\"\nto = \"green\"")),
        ("a path that is not normalised", with("[[service.shop.route]]\nname = \"a\"\npath = \"/a/../b\"\n[[service.shop.route]]\nname = \"b\"\npath = \"b\"")),
        ("two routes of one name", with("[[service.shop.route]]\nname = \"a\"\npath = \"/a\"\n[[service.shop.route]]\nname = \"a\"\npath = \"/b\"")),
        ("a trigger on nothing", trigger("metric = \"eror_rate\"\nabove = 5")),
        ("a trigger without a limit", trigger("metric = \"error_rate\"\nfor = \"2m\"")),
        ("a latency in percent", trigger("metric = \"latency_p95\"\nabove = 5")),
        ("an availability that is too high", trigger("metric = \"availability\"\nabove = 99")),
        ("a preset that is not", with_service("preset = \"netlfy\"")),
        ("a preset for https, and an origin in the clear", with_service("preset = \"https\"").replace("https://next", "http://next")),
        ("sizes that are none", with_service("max_body = \"10mb\"").replace("weight = 10", "weight = 10\n[service.a]\nhosts = [\"a.test\"]\nmax_body = \"much\"\nblue = { url = \"http://a.test\" }\ngreen = { url = \"http://a.test\" }\n[service.b]\nhosts = [\"b.test\"]\nmax_body = -1\nblue = { url = \"http://a.test\" }\ngreen = { url = \"http://a.test\" }\n[service.c]\nhosts = [\"c.test\"]\nmax_body = 1.5\nblue = { url = \"http://a.test\" }\ngreen = { url = \"http://a.test\" }")),
        ("a version with a space", good().replace("url = \"https://next", "version = \"2 0\"\nurl = \"https://next")),
        ("edits of what is not the user's", with_service("request_headers = { set = { Host = \"a\", x_a = \"b\", \"a b\" = \"c\" }, remove = [\"Connection\", \"proxy-authorization\"] }")),
        ("edits with values that are none", with_service("response_headers = { set = { x-a = \"b\\r\\nset-cookie: c\", x-b = \" b\", x-c = \"\\u0000\" }, add = { x-d = \"é\" } }")),
        ("a header edited twice", with_service("request_headers = { set = { x-a = \"1\", X-A = \"2\", x-b = \"1\" }, add = { x-b = \"2\" }, remove = [\"x-c\", \"X-C\", \"x-b\"] }")),
        ("a health check that asks nothing", with("[[service.shop.health]]\nname = \"home\"")),
        ("a health check of much that is wrong", with("[[service.shop.health]]\nname = \"the home\"\nenvironment = \"gren\"\nhttp = { path = \"/a b\" }\ninterval = \"1ms\"\ntimeout = \"2m\"\nretries = 11\nfall = 0\non_down = [\"ejct\"]")),
        ("a health check that cannot be asked so", with("[[service.shop.health]]\nhttp = { method = \"HEAD\", body = \"ok\", headers = { Host = \"a\", \"x y\" = \"b\" }, status = [99] }\n[[service.shop.health]]\nhttp = { method = \"POST\" }")),
        ("a webhook of a health check that nobody tells", with("[[service.shop.health]]\nhttp = {}\nwebhook = \"https://hooks.test/health\"")),
        ("webhooks of health checks that cannot be told", with("[[service.shop.health]]\nname = \"a\"\nhttp = {}\non_down = [\"eject\", \"webhook\"]\n[[service.shop.health]]\nname = \"b\"\nhttp = {}\non_down = \"webhook\"\nwebhook = \"http://169.254.169.254/latest\"\n[[service.shop.health]]\nname = \"c\"\nhttp = {}\non_down = \"webhook\"\nwebhook = \"ftp://hooks.test\"")),
        ("health failures that are no count", with("[[service.shop.guard.trigger]]\nname = \"a\"\nmetric = \"health_failures\"\nabove = 2.5\n[[service.shop.guard.trigger]]\nname = \"b\"\nmetric = \"health_failures\"\nabove = \"3s\"")),
        ("two health checks of one name", with("[[service.shop.health]]\nhttp = {}\n[[service.shop.health]]\nhttp = { path = \"/other\" }")),
        ("a failover to nowhere", good().replace("weight = 10", "failover = \"blue\"")),
        ("edits of nothing", with("[[service.shop.route]]\nname = \"a\"\npath = \"/a\"\nresponse_headers = {}")),
        ("suites of a rollout that are none", with("[service.shop.rollout]\nsuites = [\"smoke.toml\", \"../smoke\", \"smoke.toml\"]\non_fail = \"hold\"")),
        ("suites of steps that are odd", with("[service.shop.rollout]\nsteps = [{ weight = 10, on_fail = \"hold\" }, { weight = 50, suites = [\"smoke\"], on_fail = \"hodl\" }, { weight = 100, suites = \"smoke\" }]")),
        ("everything at once", "[service.\"my shop\"]\nhosts = [\"a b\"]\n[service.\"my shop\".blue]\nurl = 5\n[service.\"my shop\".split]\nweight = -1\nrescue = \"yes\"\nstiky = 1\n".to_owned()),
    ]
}

#[test]
fn broken_files_are_refused_with_place_and_way_out() {
    let mut told = String::new();
    for (name, text) in broken_files() {
        let refused = routing_text("routing.toml", &text).err().unwrap_or_else(|| panic!("{name}: taken"));
        for problem in refused.problems() {
            assert!(problem.line >= 1 && problem.span.end <= text.len(), "{name}: {problem:?}");
        }
        told.push_str(&format!("--- {name}\n{}\n\n", refused.render(false)));
    }
    insta::assert_snapshot!("broken_files", told);
}

#[test]
fn a_broken_main_file_is_refused_with_place_and_way_out() {
    let mut told = String::new();
    for (name, text) in [
        ("no version", "routing = \"routing.toml\"\n"),
        ("another version", "version = 2\n"),
        ("a listener without a port", "version = 1\n[proxy]\nlisten = [\"0.0.0.0\", \"localhost:80\"]\n"),
        ("listening nowhere", "version = 1\n[proxy]\nlisten = []\n"),
        ("half a thread", "version = 1\n[proxy]\nthreads = 0.5\n"),
        ("an open admin", "version = 1\n[admin]\nlisten = \"0.0.0.0:9700\"\n"),
        (
            "half a certificate for the admin",
            "version = 1\n[admin]\ncert_file = \"admin.pem\"\nhosts = [\"http://x/\"]\n",
        ),
        (
            "tokens that are none",
            "version = 1\n[[admin.token]]\nname = \"ci\"\nrole = \"oprator\"\nsha256 = \"12\"\nexpires = \"soon\"\n\
             [[admin.token]]\nname = \"guard\"\nrole = \"viewer\"\n",
        ),
        (
            "a token that must not stand in a file",
            "version = 1\n[[admin.token]]\nname = \"ci\"\nrole = \"viewer\"\n\
             sha256 = \"cut_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"\n",
        ),
        (
            "two tokens of one name, and one that two have",
            "version = 1\n\
             [[admin.token]]\nname = \"ci\"\nrole = \"viewer\"\n\
             sha256 = \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"\n\
             [[admin.token]]\nname = \"ci\"\nrole = \"viewer\"\n\
             sha256 = \"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\"\n\
             [[admin.token]]\nname = \"ann\"\nrole = \"viewer\"\n\
             sha256 = \"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\"\n",
        ),
        ("a journal that is kept for nothing", "version = 1\n[state]\nkeep = \"1h\"\nkeep_size = \"1KiB\"\n"),
        ("a tick of nothing", "version = 1\n[guard]\ntick = \"0s\"\n"),
        ("a routing file", "[service.shop]\n"),
        ("nothing at all", "\n"),
        ("an access log that goes nowhere", "version = 1\n[proxy.access_log]\nformat = \"jsn\"\nsample = 0.125\n"),
        (
            "an access log in a folder that is not there",
            "version = 1\n[proxy]\naccess_log = { path = \"logs/access.log\" }\n",
        ),
        ("an access log that is a folder", "version = 1\n[proxy]\naccess_log = { path = \".\", sampel = 1 }\n"),
        ("TLS without anything", "version = 1\n[[proxy.tls]]\n"),
        (
            "a certificate that is not there",
            "version = 1\n[[proxy.tls]]\nlisten = \"127.0.0.1:8443\"\ncert_file = \"shop.pem\"\nkey_file = \"shop.key\"\n",
        ),
        (
            "limits that limit nothing",
            "version = 1\n[proxy]\nredirect_to_https = 0\n[proxy.limits]\nheader_time = \"0s\"\nheader_bytes = \"1GiB\"\n\
             header_fields = 1000\nrequests = 0\nbody_rate = -1\n",
        ),
        ("notices to nobody", "version = 1\n[[notify]]\n[[notify]]\nname = \"the ops\"\nkind = \"pager\"\n"),
        (
            "a webhook that nobody could trust",
            "version = 1\n[[notify]]\nname = \"a\"\nkind = \"webhook\"\nurl = \"https://user:hunter2@hooks.test/\"\n\
             [[notify]]\nname = \"a\"\nkind = \"webhook\"\nurl = \"http://169.254.169.254/\"\nsecret_file = \"cutover.toml\"\n\
             [[notify]]\nname = \"b\"\nkind = \"webhook\"\nurl = \"hooks.test\"\nsecret_file = \"missing.secret\"\nsmtp = \"smtp://mail.test\"\n",
        ),
        (
            "notices that choose what is not",
            "version = 1\n[[notify]]\nname = \"a\"\nkind = \"slack\"\nurl = \"https://hooks.slack.com/services/T0/B0/hunter2\"\n\
             level = \"warn\"\nservices = []\nkinds = [\"rolback\"]\n",
        ),
        (
            "a pager without a key",
            "version = 1\n[[notify]]\nname = \"a\"\nkind = \"pagerduty\"\nurl = \"http://events.test/\"\nroutingkey_file = \"x\"\n",
        ),
        (
            "a mail from nobody to nobody",
            "version = 1\n[[notify]]\nname = \"a\"\nkind = \"email\"\nsmtp = \"mail.test:25\"\nfrom = \"cutover\"\nto = []\nusername = \"x\"\n\
             [[notify]]\nname = \"b\"\nkind = \"email\"\nsmtp = \"smtp://mail.test\"\nfrom = \"a@b.test\"\nto = [\"a\"]\nusername = \"x\"\npassword_file = \"routing.toml\"\n",
        ),
        (
            "headers of the PROXY protocol from nobody",
            "version = 1\n[proxy]\nlisten = [{ address = \"127.0.0.1:8080\", proxy_protocol = \"required\" }, { address = \"127.0.0.1:8081\", proxy_protocol = \"optional\" }]\n\
             [[proxy.tls]]\nlisten = \"127.0.0.1:8443\"\nproxy_protocol = \"required\"\ncert_file = \"a.pem\"\nkey_file = \"a.key\"\n",
        ),
        (
            "listeners that are tables with mistakes",
            "version = 1\n[proxy]\ntrusted_proxies = \"private\"\nlisten = [{ address = \"127.0.0.1:8080\", proxy_protocol = \"require\" }, { adress = \"127.0.0.1:8081\" }, { proxy_protocol = \"off\" }, { address = \":80\" }, true]\n",
        ),
        ("a network that is none", "version = 1\n[proxy]\ntrusted_proxies = [\"10.0.0.0/40\", \"mars\"]\n"),
        (
            "sets of networks that are none",
            "version = 1\n[proxy]\ntrusted_proxies = [\"cloudflair\", \"Private\", \"cloudfront\", \"10.1.2.3/8\", \"mars.test\", 10]\n",
        ),
    ] {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("cutover.toml"), text).unwrap();
        std::fs::write(dir.path().join("routing.toml"), good()).unwrap();
        let output = cutover(dir.path(), &["check"]);
        assert_eq!(output.status.code(), Some(3), "{name}");
        told.push_str(&format!("--- {name}\n{}\n", String::from_utf8_lossy(&output.stdout)));
    }
    let empty = tempfile::tempdir().unwrap();
    let output = cutover(empty.path(), &["check"]);
    told.push_str(&format!("--- no file\n{}\n", String::from_utf8_lossy(&output.stdout)));
    insta::assert_snapshot!("broken_main_files", told);
}

#[test]
fn trusted_proxies_are_networks_addresses_and_named_sets() {
    let proxies = |typed: &str| {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cutover.toml");
        std::fs::write(&path, format!("version = 1\n[proxy]\ntrusted_proxies = {typed}\n")).unwrap();
        let networks = config::load_main(&path).unwrap().trusted_proxies;
        networks.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(proxies("[]"), "");
    assert_eq!(proxies("\"loopback\""), "127.0.0.0/8 ::1/128");
    assert_eq!(proxies("[\"192.0.2.1\", \"loopback\"]"), "192.0.2.1/32 127.0.0.0/8 ::1/128");
    let private = "10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 169.254.0.0/16 fc00::/7 fe80::/10";
    assert_eq!(proxies("[\"private\", \"2001:db8::/32\"]"), format!("{private} 2001:db8::/32"));
    let cloudflare = proxies("\"cloudflare\"");
    assert_eq!(cloudflare.split(' ').count(), 22, "{cloudflare}");
    assert!(cloudflare.contains("104.16.0.0/13") && cloudflare.contains("2606:4700::/32"), "{cloudflare}");
}

#[test]
fn every_key_of_both_files_is_shown_in_a_file_that_is_taken() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    // Secrets are read with the file, and stand beside it.
    let dir = tempfile::tempdir().unwrap();
    std::fs::copy(folder.join("every-main-key.toml"), dir.path().join("cutover.toml")).unwrap();
    for (name, secret) in [
        ("hook.secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        ("slack.url", "https://hooks.slack.com/services/T000/B000/XXXX"),
        ("pagerduty.key", "0123456789abcdef0123456789abcdef"),
        ("mail.password", "correct horse"),
        ("eab.key", "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"),
        ("ca.pem", &crate::support::tls::Certificate::of(&["ca.test"]).pem),
    ] {
        std::fs::write(dir.path().join(name), secret).unwrap();
    }
    let settings = config::load_main(&dir.path().join("cutover.toml")).unwrap();
    assert_eq!(settings.notify.len(), 4);
    assert_eq!(settings.tls[0].certificates.len(), 2);
    assert_eq!(settings.tls.iter().map(|listener| listener.acme).collect::<Vec<_>>(), [false, true]);
    let folder_of_ca = settings.acme.unwrap().folder;
    assert!(folder_of_ca.ends_with("cutover.db.acme/acme-v02.api.letsencrypt.org-directory"), "{folder_of_ca:?}");
    assert_eq!(settings.limits, config::ClientLimits::default(), "what it shows are the defaults");
    let shown = |file: &str, schema: serde_json::Value| {
        let text = std::fs::read_to_string(folder.join(file)).unwrap();
        let mut keys = Vec::new();
        names(&schema, &mut keys);
        let missing: Vec<_> = keys.into_iter().filter(|key| !text.contains(key.as_str())).collect();
        assert!(missing.is_empty(), "{file} does not show {missing:?}");
    };
    let schema = |schema: schemars::Schema| serde_json::to_value(schema).unwrap();
    shown("every-main-key.toml", schema(config::file::schema::main()));
    shown("every-key.toml", schema(config::file::schema::routing()));
    shown("every-suite-key.toml", schema(config::file::schema::suite()));
    config::load_suite(&folder.join("every-suite-key.toml")).unwrap();
}

/// A good suite, and what is wrong with others.
fn broken_suites() -> Vec<(&'static str, String)> {
    let with = |more: &str| format!("version = 1\n[[case]]\nname = \"up\"\npath = \"/up\"\n{more}\n");
    vec![
        ("nothing to prove", "version = 1".to_owned()),
        ("no version", with("").replace("version = 1\n", "")),
        ("a version to come", with("").replace("version = 1", "version = 2")),
        ("keys that are misspelt", with("expct = {}\n[[lod]]").replace("path", "pth")),
        ("a variable that nobody knows", with("headers = { authorization = \"Bearer ${tokn}\" }")),
        ("a variable of the environment that is not set", with("headers = { a = \"${env.CUTOVER_NOT_SET}\" }")),
        ("variables that cannot be", with("[variables]\nrun = 1\n\"a b\" = 2")),
        (
            "paths that are none",
            with("[[case]]\nname = \"b\"\npath = \"https://elsewhere.test/\"\n[[case]]\nname = \"c\"\npath = \"/a b\""),
        ),
        (
            "variables in names, and a name that is taken",
            with(
                "query = { \"${run}\" = 1 }\njson = { a = { \"${unique}\" = 1 } }\n[[case]]\nname = \"setup\"\npath = \"/<a>\"",
            ),
        ),
        ("two bodies", with("json = 1\nbody = \"a\"")),
        ("a request and steps", with("[[case.step]]\npath = \"/\"")),
        ("a method in lower case", with("method = \"get\"")),
        ("headers of the connection", with("headers = { Host = \"a\", \"a b\" = \"c\" }")),
        (
            "expectations that are none",
            with(
                "expect = { status = \"9xx\", latency = \"0s\", json = { \"$.[\" = 1, \"$.a\" = { equal = 2 }, \"$.b\" = { length = -1 }, \"$.c\" = {} }, schema = \"gone.json\", tolerance = 2, ignore = [\"$.a\"] }",
            ),
        ),
        ("a variable in an expression", with("expect = { body = { matches = \"order ${run}\" } }")),
        (
            "captures that are none",
            with("[[setup]]\npath = \"/\"\ncapture = { a = \"id\", b = \"regex:(\", c = \"$[\", unique = \"$.id\" }"),
        ),
        ("a secret that nobody captures", with("").replace("version = 1\n", "version = 1\nsecret = [\"token\"]\n")),
        ("cases of one name", with("[[case]]\nname = \"up\"\npath = \"/\"")),
        (
            "resources of loads that cannot be",
            with(
                "[[load]]\nrate = 1\nfor = \"1s\"\npath = \"/\"\nlimits = { cpu = 1, memory = \"1.2 x active\" }\n[[load]]\nname = \"b\"\nrate = 1\nfor = \"1s\"\npath = \"/\"\nresources = \"prot\"\nlimits = { cpu = 0, memory = \"0.5GiB\" }\n[[load]]\nname = \"c\"\nrate = 1\nfor = \"1s\"\npath = \"/\"\nresources = { blue = { pid = 7 }, green = { pid = 7 } }\nlimits = { cpu = \"two\", memory = \"active x 2\" }\n[[load]]\nname = \"d\"\nrate = 1\nfor = \"1s\"\npath = \"/\"\nresources = { blue = { pid = 7, pid_file = \"a\" }, green = {}, red = \"port\" }",
            ),
        ),
        (
            "loads that are none",
            with(
                "[[load]]\nprofile = \"flat\"\n[[load]]\nname = \"b\"\nrate = 0\nfrom = 5\nfor = \"1ms\"\nusers = 0\npath = \"/\"\nlimits = { p95 = 5, error_rate = 101 }",
            ),
        ),
        (
            "a parity that would write",
            with("[[parity]]\nrecording = \"gone.har\"\n[[parity.request]]\njson = 1\npath = \"/\""),
        ),
        (
            "keys of another kind of data check",
            with(
                "[database.a]\nblue = { url = \"sqlite:/a\" }\ngreen = { url = \"sqlite:/b\" }\n[[data]]\ntable = \"t\"\ntolerance = 0.1\n[[data]]\nname = \"q\"\nquery = \"select 1\"\nchunk = 500\nkey = \"id\"\nrows_only = true\n[[data]]\nname = \"p\"\npath = \"/a\"\ndatabase = \"a\"\nwhere = \"x > 1\"",
            ),
        ),
        (
            "tolerances that cannot be",
            with(
                "[database.a]\nblue = { url = \"sqlite:/a\" }\ngreen = { url = \"sqlite:/b\" }\n[[data]]\ntable = \"t\"\nkey = [\"shop\", \"nr\"]\ntolerance = { nr = 1 }\n[[data]]\ntable = \"u\"\ntolerance = { id = 1, price = 0.01 }\n[[data]]\nname = \"p\"\npath = \"/a\"\ntolerance = { price = 1 }\n[[data]]\nname = \"i\"\nintegrity = \"select 1\"\nsettle = \"5s\"",
            ),
        ),
        ("a tolerance below zero", with("[[data]]\nquery = \"select 1\"\ntolerance = { price = -0.01 }")),
        ("a tolerance that is no duration", with("[[data]]\nquery = \"select 1\"\ntolerance = { at = \"2 sec\" }")),
        ("a settling time without its unit", with("[[data]]\nquery = \"select 1\"\nsettle = 5")),
        ("a settling time for a night", with("[[data]]\nquery = \"select 1\"\nsettle = \"8h\"")),
        (
            "data that is nowhere",
            with(
                "[database.a]\nblue = { url = \"postgres://u:hidden@db/a\" }\n[[data]]\ntable = \"t\"\n[[data]]\ndatabase = \"b\"\ntable = \"t\"\nquery = \"select 1\"\n[[data]]\ndatabase = \"b\"\ntable = \"u\"\nchunk = 1\n[[data]]",
            ),
        ),
    ]
}

#[test]
fn broken_suites_are_refused_with_place_and_way_out() {
    let dir = tempfile::tempdir().unwrap();
    let mut told = String::new();
    for (name, text) in broken_suites() {
        std::fs::write(dir.path().join("suite.toml"), text).unwrap();
        let output = cutover(dir.path(), &["validate", "check", "suite.toml"]);
        let stdout = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(3), "{name}: {stdout}");
        assert!(!stdout.contains("hidden"), "{name}: {stdout}");
        told.push_str(&format!("--- {name}\n{stdout}\n"));
    }
    insta::assert_snapshot!("broken_suites", told);
}

#[test]
fn the_suites_that_come_with_the_program_are_good() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("config/suites");
    let all = validation::all_suites(&folder).unwrap();
    assert_eq!(all.len(), 5);
    for read in all {
        read.suite.unwrap_or_else(|refused| panic!("{refused}"));
    }
}

/// The names of all properties of a schema.
fn names(schema: &serde_json::Value, into: &mut Vec<String>) {
    if let Some(object) = schema.as_object() {
        if let Some(properties) = object.get("properties").and_then(serde_json::Value::as_object) {
            into.extend(properties.keys().cloned());
        }
        object.values().for_each(|value| names(value, into));
    } else if let Some(list) = schema.as_array() {
        list.iter().for_each(|value| names(value, into));
    }
}

#[test]
fn certificates_for_origins_that_cannot_be_used_are_refused_with_place_and_way_out() {
    let (ours, other) = (Certificate::of(&["proxy.test"]), Certificate::of(&["proxy.test"]));
    let dir = tempfile::tempdir().unwrap();
    ours.write(dir.path(), "ours");
    other.write(dir.path(), "other");
    let garbled = "-----BEGIN CERTIFICATE-----\nbm8gY2VydGlmaWNhdGU=\n-----END CERTIFICATE-----\n";
    let no_key = "-----BEGIN PRIVATE KEY-----\nbm8ga2V5\n-----END PRIVATE KEY-----\n";
    for (name, text) in
        [("empty.pem", ""), ("garbled.pem", garbled), ("garbled.key", no_key), ("torn.pem", &garbled[..50])]
    {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    std::fs::create_dir(dir.path().join("folder")).unwrap();
    let identity = |cert: &str, key: &str| format!("client_cert_file = \"{cert}\"\nclient_key_file = \"{key}\"");
    let mut told = String::new();
    for (name, lines) in [
        ("an authority that is not there", "ca_file = \"missing.pem\"".to_owned()),
        ("an authority that is empty", "ca_file = \"empty.pem\"".to_owned()),
        ("an authority that is a key", "ca_file = \"ours.key\"".to_owned()),
        ("an authority that is no certificate", "ca_file = \"garbled.pem\"".to_owned()),
        ("an authority that is cut off", "ca_file = \"torn.pem\"".to_owned()),
        ("an authority that is a folder", "ca_file = \"folder\"".to_owned()),
        ("a certificate without a key", "client_cert_file = \"ours.pem\"".to_owned()),
        ("a key without a certificate", "client_key_file = \"ours.key\"".to_owned()),
        ("a key that is not there", identity("ours.pem", "missing.key")),
        ("a key that is a certificate", identity("ours.pem", "ours.pem")),
        ("a key that is none", identity("ours.pem", "garbled.key")),
        ("somebody else's key", identity("ours.pem", "other.key")),
        ("neither is there", identity("missing.pem", "missing.key")),
        ("a version of HTTP that is none", "h2 = \"always\"".to_owned()),
    ] {
        let text = good()
            .replace("url = \"https://next--shop.netlify.app\"", &format!("url = \"https://next.test\"\n{lines}"));
        std::fs::write(dir.path().join("cutover.toml"), "version = 1\n").unwrap();
        std::fs::write(dir.path().join("routing.toml"), text).unwrap();
        let output = cutover(dir.path(), &["check"]);
        let stdout = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(3), "{name}: {stdout}");
        told.push_str(&format!("--- {name}\n{stdout}\n"));
    }
    let text = good().replace(
        "https://next--shop.netlify.app\"",
        "http://next.test\"\nca_file = \"ours.pem\"\nclient_cert_file = \"ours.pem\"\nclient_key_file = \"ours.key\"",
    );
    std::fs::write(dir.path().join("routing.toml"), text).unwrap();
    let in_the_clear = cutover(dir.path(), &["check"]);
    told.push_str(&format!("--- an authority without https\n{}\n", String::from_utf8_lossy(&in_the_clear.stdout)));
    insta::assert_snapshot!("broken_certificates", told);
    let text = good().replace(
        "https://next--shop.netlify.app\"",
        &format!("https://next.test\"\n{}", identity("ours.pem", "ours.key")),
    );
    std::fs::write(dir.path().join("routing.toml"), text).unwrap();
    assert_eq!(cutover(dir.path(), &["check"]).status.code(), Some(0));
}

#[test]
fn the_good_file_is_good() {
    let routing = routing_text("routing.toml", &good()).unwrap();
    assert_eq!(routing.services.len(), 1);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(300))]

    /// Whatever is written into a file, reading it ends, panics nowhere, and names places inside the text.
    #[test]
    fn any_damage_is_reported_and_nothing_panics(cut in 0_usize..4000, insert in "[\\[\\]{}=\"'a-z0-9 \n.,#é]{0,12}") {
        let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/config/every-key.toml")).unwrap();
        let cut = text.floor_char_boundary(cut % text.len());
        let damaged = format!("{}{insert}{}", &text[..cut], &text[cut..]);
        if let Err(refused) = routing_text("routing.toml", &damaged) {
            proptest::prop_assert!(refused.problems().all(|problem| problem.span.end <= damaged.len()));
            proptest::prop_assert!(!refused.render(false).is_empty());
        }
    }
}

#[test]
fn what_a_suite_takes_from_the_environment_is_in_no_name() {
    let home = std::env::var("HOME").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.toml");
    let text = "version = 1\n[[case]]\npath = \"/x?key=${env.HOME}\"\nquery = { a = \"${env.HOME}\" }\n";
    std::fs::write(&path, text).unwrap();
    let suite = config::load_suite(&path).unwrap();
    let case = &suite.cases[0];
    let names = [&case.name, &case.steps[0].name];
    assert_eq!(names, ["GET /x?key=${env.HOME}&a=${env.HOME}"; 2]);
    assert!(case.steps[0].path.ends_with(&home));
}

#[test]
fn a_suite_has_a_time_to_settle_for_all_of_its_data() {
    use config::suite::DataCheckKind as Kind;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.toml");
    let settled = |top: &str| {
        let text = format!(
            "version = 1\n{top}\n[database.shop]\nblue = {{ url = \"sqlite:b.db\" }}\ngreen = {{ url = \"sqlite:g.db\" }}\n\
             [[data]]\ntable = \"orders\"\n[[data]]\nquery = \"select 1\"\n[[data]]\npath = \"/\"\n\
             [[data]]\nname = \"own\"\ntable = \"orders\"\nsettle = \"0s\"\n"
        );
        std::fs::write(&path, text).unwrap();
        let suite = config::load_suite(&path).unwrap_or_else(|refused| panic!("{refused}"));
        let settle = |check: &Kind| match check {
            Kind::Table { table, .. } => table.settle.0,
            Kind::Query { settle, .. } | Kind::Http { settle, .. } => settle.0,
            Kind::Integrity { .. } => unreachable!(),
        };
        suite.data.iter().map(|data| settle(&data.check)).collect::<Vec<_>>()
    };
    assert_eq!(settled(""), [5000, 5000, 5000, 0]);
    assert_eq!(settled("settle = \"90s\""), [90_000, 90_000, 90_000, 0]);
}
