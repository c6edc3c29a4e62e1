//! Wrong files, and what their author is told: read `snapshots/` as one of them would.
//!
//! The tables of tests/config.rs hold what makes no sense together; this one holds values that people mistype, in all
//! three files, and what is taken with a warning.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;

use cutover_config as config;
use cutover_config::read::{ProblemSeverity, render};
use cutover_config::{ConfigError, OwnListeners, RoutingContext, SuiteFolder};

/// A good service, with more keys in the section that is named.
fn routing(section: &str, lines: &str) -> String {
    let mut text = String::new();
    for (name, keys) in [
        ("service.shop", ""),
        ("service.shop.blue", "url = \"http://blue.test\""),
        ("service.shop.green", "url = \"http://green.test\""),
        ("service.shop.split", ""),
    ] {
        text.push_str(&format!("[{name}]\n"));
        let replaced = section == name && (lines.contains("url =") || lines.contains("urls ="));
        if !keys.is_empty() && !replaced {
            text.push_str(&format!("{keys}\n"));
        }
        if section == name {
            text.push_str(&format!("{lines}\n"));
        }
    }
    if !text.contains(&format!("[{section}]")) {
        text.push_str(&format!("{section}\n{lines}\n"));
    }
    text
}

fn rule(lines: &str) -> String {
    routing("[[service.shop.rule]]", lines)
}

fn route(lines: &str) -> String {
    routing("[[service.shop.route]]", &format!("name = \"a\"\npath = \"/a\"\n{lines}"))
}

fn rollout(lines: &str) -> String {
    routing("[service.shop.rollout]", lines)
}

fn health(lines: &str) -> String {
    routing("[[service.shop.health]]", lines)
}

fn trigger(lines: &str) -> String {
    routing("[[service.shop.guard.trigger]]", lines)
}

const RULE: &str = "path = \"/x\"\nto = \"green\"";

fn routing_files() -> Vec<(&'static str, String)> {
    let split = |lines: &str| routing("service.shop.split", lines);
    let green = |lines: &str| routing("service.shop.green", lines);
    let service = |lines: &str| routing("service.shop", lines);
    vec![
        ("a weight as a fraction", split("weight = 0.25")),
        ("a weight with a percent sign", split("weight = \"25%\"")),
        ("a weight in words", split("weight = \"half\"")),
        ("a weight of too many decimals", split("weight = 33.333")),
        ("a weight over 100", split("weight = 250")),
        ("an environment by its role", split("active = \"candidate\"")),
        ("an environment that is a number", split("active = 1")),
        ("a switch in words", split("rescue = \"yes\"")),
        ("a switch that is a number", split("rescue = 1")),
        ("a stickiness that is a text", split("sticky = \"cookie\"")),
        ("a cookie with a space", split("sticky = { cookie = \"my cookie\" }")),
        ("a cookie for a URL", split("sticky = { cookie = \"c\", domain = \"https://shop.test\", path = \"shop\" }")),
        ("a cookie for an address", split("sticky = { cookie = \"c\", domain = \"127.0.0.1\", max_age = \"2y\" }")),
        ("a cookie for a word", split("sticky = { cookie = \"c\", domain = \"localhost\", same_site = \"laxe\" }")),
        (
            "a cookie that one of two hosts ignores",
            split("sticky = { cookie = \"c\", domain = \"shop.test\" }")
                .replace("[service.shop]\n", "[service.shop]\nhosts = [\"*.shop.test\", \"notshop.test\"]\n"),
        ),
        (
            "a redirect to itself",
            routing("[[service.shop.route]]", "name = \"a\"\npath = \"/a/*\"\nredirect = { to = \"{path}\" }"),
        ),
        (
            "a redirect that its own prefix leads to",
            routing(
                "[[service.shop.route]]",
                "name = \"a\"\npath = \"/a/*\"\nadd_prefix = \"/a\"\nredirect = { to = \"https://{host}{path}?from=a\" }",
            ),
        ),
        (
            "a redirect of everything, less a prefix that few have",
            routing(
                "[[service.shop.route]]",
                "name = \"a\"\npath = \"/*\"\nstrip_prefix = \"/old\"\nredirect = { to = \"{path}\" }",
            ),
        ),
        (
            "a redirect to https",
            routing(
                "[[service.shop.route]]",
                "name = \"a\"\npath = \"/*\"\nredirect = { to = \"https://{host}{path}\", status = 300 }",
            ),
        ),
        (
            "a redirect that is a text",
            routing("[[service.shop.route]]", "name = \"a\"\npath = \"/a\"\nredirect = \"https://www.test{uri}\""),
        ),
        (
            "a redirect with another's placeholder",
            routing(
                "[[service.shop.route]]",
                "name = \"a\"\npath = \"/a\"\nredirect = { to = \"https://www.test{uri}\" }",
            ),
        ),
        (
            "a redirect to nowhere",
            routing("[[service.shop.route]]", "name = \"a\"\npath = \"/a\"\nredirect = { status = 308 }"),
        ),
        (
            "a prefix that is never there",
            routing("[[service.shop.route]]", "name = \"a\"\npath = \"/a/*\"\nstrip_prefix = \"/b\""),
        ),
        (
            "a prefix with a star",
            routing(
                "[[service.shop.route]]",
                "name = \"a\"\npath = \"/a/*\"\nstrip_prefix = \"/a/*\"\nadd_prefix = \"/\"",
            ),
        ),
        ("a page that is not there", service("error_pages = { 502 = \"no-such.html\" }")),
        ("a page of another kind", service("error_pages = { 502 = \"page.php\" }")),
        ("pages that are no error's", service("error_pages = { 200 = \"ok.html\", \"oops\" = \"a.html\" }")),
        ("a maintenance that is a switch", service("maintenance = true")),
        ("a limit without its time", route("rate_limit = { requests = 100 }")),
        (
            "a limit by two things",
            route(
                "rate_limit = { requests = 0, per = \"100ms\" }\n[[service.shop.route]]\nname = \"b\"\npath = \"/b\"\nrate_limit = { requests = 5, per = \"1m\", by = { header = \"x-key\", cookie = \"a\" } }",
            ),
        ),
        ("a limit by a word", route("rate_limit = { requests = 10, per = \"1m\", by = \"ip\" }")),
        ("a limit that is a text", route("rate_limit = \"100/m\"")),
        (
            "a limit of what is redirected",
            route("redirect = { to = \"/b\" }\nrate_limit = { requests = 10, per = \"1m\" }"),
        ),
        ("an auth service without an address", route("forward_auth = { timeout = \"2s\" }")),
        ("an auth service that is a text", route("forward_auth = \"http://auth:9091/verify\"")),
        (
            "an auth service at no address",
            service(
                "forward_auth = { url = \"auth:9091/verify\", response_headers = [\"*\", \"x-*-user\", \"remote_user\"] }",
            ),
        ),
        (
            "an auth service that says what is the proxy's",
            service(
                "forward_auth = { url = \"http://auth/#a\", request_headers = [\"host\"], response_headers = [\"x-f*\"] }\n[[service.shop.route]]\nname = \"b\"\npath = \"/b\"\nforward_auth = { url = \"http://auth/\", request_headers = [\"host\"], response_headers = [\"x-f*\", \"content-length\"], ca_file = \"no.pem\" }",
            ),
        ),
        (
            "an auth service for what is redirected",
            route("redirect = { to = \"/b\" }\nforward_auth = { url = \"http://auth/\" }"),
        ),
        ("a version of pages that nothing carries", service("skew = { for = \"12h\" }")),
        ("a version of pages in a header of every client", service("skew = { header = \"host\" }")),
        ("a version of pages in the header of all cookies", service("skew = { header = \"Cookie\" }")),
        ("a version of pages in a header that ends at the proxy", service("skew = { header = \"x-forwarded-for\" }")),
        ("a pattern with a placeholder", service("allowed_origins = [\"https://{version}--shop.netlify.app\"]")),
        ("an origin with a placeholder", green("url = \"https://{version}--shop.netlify.app\"")),
        ("a mirror that compares nothing", service("mirror = { share = 0.001, ignore = [\"$\"] }")),
        (
            "a version of pages in a parameter with a question mark",
            service("skew = { query = \"?dpl\", for = \"12\" }"),
        ),
        (
            "a version of pages in the cookie that is the client's",
            service("skew = { cookie = \"c\" }")
                .replace("[service.shop.split]\n", "[service.shop.split]\nsticky = { cookie = \"c\" }\n"),
        ),
        ("a version of pages that have none", service("skew = { header = \"x-deployment-id\" }")),
        ("a queue for nothing", green("queue = 10")),
        ("a failover in other words", split("failover = \"booth\"")),
        ("a host with its scheme", service("hosts = [\"https://shop.example.com\"]")),
        ("a host with scheme, port and path", service("hosts = \"https://shop.example.com:8443/app\"")),
        ("a host with a path", service("hosts = [\"shop.example.com/app\"]")),
        ("a host with a port", service("hosts = [\"shop.example.com:443\"]")),
        ("a host that is a number", service("hosts = 8080")),
        ("a preset that is close", service("preset = \"lambda\"")),
        ("a preset that is far away", service("preset = \"heroku\"")),
        ("a size with a unit that is close", service("max_body = \"10mb\"")),
        ("a size below zero", service("max_body = -5")),
        ("a Host that is close to a word", service("host = \"preserv\"")),
        ("a Host that is a switch", service("host = true")),
        ("a Host that is a URL", service("host = \"https://www.example.com/\"")),
        ("a Host with a path", service("host = \"www.example.com/shop\"")),
        ("a Host for every name", service("host = \"*.example.com\"")),
        ("a Host on no port", service("host = \"www.example.com:0\"")),
        ("a Host of an environment", green("url = \"http://green.test\"\nhost = \"orign\"")),
        ("a Host as a header", service("request_headers = { set = { host = \"www.example.com\" } }")),
        ("an origin without a scheme", green("url = \"localhost:9001\"")),
        ("a site without a scheme", green("url = \"next--shop.netlify.app\"")),
        ("an origin that is a port", green("url = 9001")),
        ("an origin with a misspelt scheme", green("url = \"htps://green.test\"")),
        ("an origin with a user", green("url = \"http://user:hunter2@green.test\"")),
        ("the same origin on both sides", green("url = \"http://blue.test\"")),
        (
            "an environment that is a text",
            "[service.shop]\nblue = \"http://blue.test\"\ngreen = \"http://green.test\"\n".to_owned(),
        ),
        ("a version that is a number", green("url = \"http://green.test\"\nversion = 2")),
        ("HTTP/2 as a switch", green("url = \"http://green.test\"\nh2 = true")),
        ("an authority that is not there", green("url = \"https://green.test\"\nca_file = \"ca.pem\"")),
        ("a pattern that lets anybody in", service("allowed_origins = [\"https://*.app\"]")),
        ("a timeout that is a number", routing("[service.shop.timeouts]", "connect = 2\nidle = 0.5")),
        ("a timeout of nothing", routing("[service.shop.timeouts]", "first_byte = \"0s\"")),
        ("a timeout without a unit", routing("[service.shop.timeouts]", "tls = \"5\"")),
        ("a header as a text", rule("header = \"x-canary\"\nto = \"green\"")),
        ("a cookie as a text", rule("cookie = [\"beta\"]\nto = \"green\"")),
        ("a target that is close", rule("path = \"/x\"\nto = \"canary\"")),
        ("a share as a fraction", rule("path = \"/x\"\ncandidate = 0.1")),
        ("a method in lower case", rule("method = \"get\"\nto = \"green\"")),
        ("a path that is a URL", rule("path = \"https://shop.test/api/*\"\nto = \"green\"")),
        ("a network that is one address too many", rule("client_address = [\"10.0.0.1/8\", \"here\"]\nto = \"green\"")),
        ("an override in words", rule(&format!("{RULE}\noverride = \"true\""))),
        ("a bake time that is a number", rollout("bake = 120")),
        ("steps that are fractions", rollout("steps = [0.1, 0.25, 0.5, 1]")),
        ("a step with a percent sign", rollout("steps = [10, \"50%\", 100]")),
        ("steps that are one number", rollout("steps = 10")),
        ("requests that are half", rollout("requests = 0.5")),
        ("a suite with its ending", rollout("suites = [\"smoke.toml\"]")),
        (
            "what to do in other words",
            rollout("steps = [{ weight = 10, suites = [\"smoke\"], on_fail = \"abort\" }, 100]"),
        ),
        (
            "a suite that is not in the folder",
            rollout("suites = [\"smok\"]\nsteps = [{ weight = 10, suites = [\"load\"] }, 100]"),
        ),
        ("a metric that is close", trigger("metric = \"latency_99\"\nabove = \"1s\"")),
        ("a limit with a percent sign", trigger("metric = \"error_rate\"\nabove = \"5%\"")),
        ("an availability as a fraction", trigger("metric = \"availability\"\nbelow = 0.99")),
        ("a window that is too long", trigger("metric = \"error_rate\"\nabove = 5\nwindow = \"5m\"\nfor = 120")),
        ("an action that is close", trigger("metric = \"error_rate\"\nabove = 5\naction = \"roll back\"")),
        ("a health check that is a path", health("http = \"/healthz\"")),
        (
            "a health check with much that is wrong",
            health(
                "http = { method = \"POST\", status = 204 }\ninterval = 5\ntimeout = \"5m\"\nretries = \"3\"\nenvironment = \"grün\"",
            ),
        ),
        ("what to do when it is down", health("http = {}\non_down = \"restart\"")),
        ("a database with a password", health("sql = { url = \"postgres://shop:hunter2@db/shop\" }")),
        ("an origin that is this proxy", green("url = \"http://localhost:8080/loop\"")),
        ("an origin that is this admin", green("urls = [\"http://green.test\", \"http://127.0.0.1:9700\"]")),
        (
            "a section of cutover.toml",
            "[proxy]\nlisten = [\"0.0.0.0:80\"]\n".to_owned() + &green("url = \"http://green.test\""),
        ),
        ("a variable that is not set", green("url = \"https://${CUTOVER_NOT_SET}.test\"")),
        ("variables that are misspelt", green("url = \"https://${HOME-x}.${\"\nversion = \"${env.HOME}\"")),
        ("an origin that is true", green("url = true")),
        ("an origin that is a database", green("url = \"postgres://user:hunter2@db.test\"")),
        ("an origin with a query", green("url = \"https://next.test/shop/?deploy=1\"")),
        ("an origin with a fragment", green("url = \"https://next.test#top\"")),
        ("an origin on port 0", green("url = \"https://next.test:0\"")),
        ("an origin with a space", green("url = \"https://next.test \"")),
        ("an origin with a space in its path", green("url = \"https://next.test/a b\"")),
        ("an origin that is empty", green("url = \"\"")),
        ("a number from the environment", split("weight = \"${HOME:-37}\"\nrescue = \"${HOME}\"")),
        (
            "numbers that are too large",
            split("weight = 99999999999999999999\nrescue = 9999999999999999999999999999999999999999"),
        ),
        (
            "a whole number that is too large",
            health("http = {}\nretries = 99999999999999999999\nfall = 1000\nrise = \"two\""),
        ),
        ("a date for a weight", split("weight = 2024-01-01\nrescue = 2024-01-01\nactive = 2024-01-01")),
        ("an environment that is true", split("active = true")),
        ("a duration in words", rollout("bake = \"2 minutes\"\nwatch = \"1.5 hours\"")),
        ("a duration below zero", rollout("bake = \"-2m\"\nwatch = -2")),
        ("durations that are too long", rollout("bake = \"99999999999999999999d\"\nwatch = 1e30")),
        ("a window of an hour", trigger("metric = \"error_rate\"\nabove = 5\nwindow = \"1h\"")),
        ("steps that are all of it", rollout("steps = 100")),
        ("a header with its value", rule("header = \"x-canary: always\"\nto = \"green\"")),
        ("a cookie with its value", rule("cookie = \"beta=1\"\nto = \"green\"")),
        ("an expression that is open", rule("path = { regex = \"^/a(\" }\nto = \"green\"")),
        (
            "two routes of one name",
            routing(
                "[[service.shop.route]]",
                "name = \"a\"\npath = \"/a\"\n[[service.shop.route]]\nname = \"a\"\npath = \"/a\"",
            ),
        ),
        ("a list as a table", routing("[service.shop.route]", "name = \"a\"\npath = \"/a\"")),
        ("triggers as a table", routing("[service.shop.guard.trigger]", "metric = \"error_rate\"\nabove = 5")),
        ("a table as a list", routing("[[service.shop.rollout]]", "bake = \"1m\"")),
        ("another table as a list", routing("[[service.shop.timeouts]]", "connect = \"1s\"")),
        ("a limit from the environment", trigger("metric = \"error_rate\"\nabove = \"${CUTOVER_NOT_SET:-5}\"")),
        ("a class of statuses", health("http = { status = \"2xx\" }")),
        (
            "failures that are no statuses",
            service("failures = [\"5xx\", \"4x\", 99, \"504-500\", true]\nignore = \"6xx\""),
        ),
        ("failures that are ignored", service("failures = [\"5xx\", 429]\nignore = [404, \"4xx\"]")),
        ("what fails by default, ignored", service("ignore = [404, \"503\"]")),
        (
            "what fails on the service, ignored on a route",
            service(
                "failures = [\"5xx\", \"429\"]\n[[service.shop.route]]\nname = \"api\"\npath = \"/api/*\"\nignore = \"429\"",
            ),
        ),
        (
            "what is ignored on the service, a failure on a route",
            service(
                "ignore = [\"404\", \"410\"]\n[[service.shop.route]]\nname = \"api\"\npath = \"/api/*\"\nfailures = \"4xx\"",
            ),
        ),
        ("a header of failures that is no name", service("failure_header = \"x_failure\"")),
        ("a header of failures that clients need", service("failure_header = \"Retry-After\"")),
        ("a header of failures for gRPC", service("failure_header = \"grpc-status\"")),
        (
            "a header of failures that is sent to clients",
            service("failure_header = \"x-failure\"\nresponse_headers = { set = { X-Failure = \"none\" } }"),
        ),
        (
            "the same on a route",
            service(
                "failure_header = \"x-failure\"\n[[service.shop.route]]\nname = \"api\"\npath = \"/api/*\"\nresponse_headers = { add = { x-failure = \"1\" } }",
            ),
        ),
        ("a weight of the service", service("weight = 10")),
        ("steps of the guard", routing("[service.shop.guard]", "steps = [10, 100]")),
        ("a version of the file", format!("version = 1\n{}", split(""))),
        ("a weight of the file", format!("weight = 10\n{}", split(""))),
        ("a service with a space", split("").replace("service.shop", "service.\"sh op\"")),
        (
            "a service with a dot that has no green",
            "[service.\"shop.eu\"]\n[service.\"shop.eu\".blue]\nurl = \"http://blue.test\"\n".to_owned(),
        ),
        (
            "two services for every host, the second by name first",
            format!("{}{}", split(""), split("").replace("service.shop", "service.other")),
        ),
        (
            "names of headers",
            routing(
                "[service.shop.request_headers]",
                "set = { x_a = \"1\", Host = \"a\" }\nadd = { \"x b\" = [\"1\"] }",
            ),
        ),
        ("a certificate without its key", green("url = \"https://green.test\"\nclient_cert_file = \"us.pem\"")),
        (
            "a value of the environment",
            routing("service.shop.split", "active = \"${HOME}\"\nsticky = { header = \"${HOME}_x\" }"),
        ),
    ]
}

/// What is not TOML: in the words of its author, not in those of the parser.
fn no_toml() -> Vec<(&'static str, String)> {
    let split = |lines: &str| routing("service.shop.split", lines);
    vec![
        ("a value that is missing", split("weight =")),
        ("a value that is missing before a comment", split("weight = # ten")),
        ("a colon", split("weight: 0")),
        ("a colon before a text", split("active: \"blue=green\"")),
        ("a colon before a word", split("active: blue")),
        ("two signs", split("weight = = 0")),
        ("a key alone", split("weight")),
        ("a key and a value", split("weight 10")),
        ("a variable without quotes", split("weight = ${T_NUM}")),
        ("a word without quotes", split("active = blue # or green")),
        ("a duration without quotes", rollout("bake = 2m")),
        ("an address without quotes", split("sticky = 127.0.0.1:8080")),
        ("a switch in capitals", split("rescue = True")),
        ("a switch that is on", split("rescue = on")),
        ("a percent sign", split("weight = 25%")),
        ("a number that begins with 0", split("weight = 010")),
        ("typographic quotes", split("active = “blue”")),
        ("a table twice", split("weight = 1\n[service.shop.split]\nweight = 10")),
        ("a key twice", split("weight = 1\nrescue = true\nweight = 10")),
        ("a key twice in braces", split("sticky = { cookie = \"a\", cookie = \"b\" }")),
        ("a table without its bracket", split("").replace("split]", "split")),
        ("a list in a table without its brackets", rule("to = \"green\"").replace("rule]]", "rule]")),
        ("a text without its end", split("active = \"blue\nweight = 1")),
        ("a list without its end", rollout("steps = [10, 100\nbake = \"1m\"")),
        ("a list without a comma", rollout("steps = [10 100]")),
        (
            "a list over several lines without a comma",
            rollout("steps = [\n  { weight = 10, bake = \"1m\" }\n  { weight = 50 bake = \"1m\" },\n  100,\n]"),
        ),
        ("a table in braces without its end", split("sticky = { cookie = \"a\"\nweight = 1")),
        ("a backslash", split("active = \"C:\\green\"")),
        ("two on one line", split("weight = 1 rescue = true")),
        ("a key with a space", split("my weight = 1")),
    ]
}

fn main_files() -> Vec<(&'static str, &'static str)> {
    vec![
        ("a listener that is a port", "[proxy]\nlisten = 8080"),
        (
            "listeners in every wrong way",
            "[proxy]\nlisten = [\"8080\", \":8081\", \"localhost:8082\", \"0.0.0.0\", \"http://0.0.0.0:8083/\", \"*:8084\"]",
        ),
        ("admin and proxy on one port", "[proxy]\nlisten = [\"0.0.0.0:9700\"]"),
        ("the admin on the proxy's port", "[admin]\nlisten = \"127.0.0.1:8080\""),
        ("two listeners on one port", "[proxy]\nlisten = [\"127.0.0.1:8080\", \"0.0.0.0:8080\"]"),
        (
            "TLS on the port of a plain listener",
            "[proxy]\nlisten = \"0.0.0.0:8443\"\n[[proxy.tls]]\nlisten = \"0.0.0.0:8443\"\ncert_file = \"a.pem\"\nkey_file = \"a.key\"",
        ),
        ("a folder for a certificate", "[admin]\ncert_file = \"empty\"\nkey_file = \"a.key\""),
        ("a drain that is a number", "[proxy]\ndrain = 30\ndrain_delay = \"1m\""),
        ("threads in words", "[proxy]\nthreads = \"auto\""),
        ("a port that is none", "[proxy]\nredirect_to_https = 70000"),
        ("a size of nothing", "[proxy.limits]\nheader_bytes = \"1KB \"\ntarget_bytes = \"2MiB\"\nrequests = 0"),
        ("an access log that is a text", "[proxy]\naccess_log = \"access.log\""),
        (
            "an access log of a format that is close",
            "[proxy.access_log]\npath = \"stdout\"\nformat = \"JSON\"\nsample = 0.5",
        ),
        (
            "a role that is close",
            "[[admin.token]]\nname = \"ci\"\nrole = \"writer\"\nsha256 = \"00\"\nexpires = 2027-01-01",
        ),
        ("a journal that forgets", "[state]\nkeep = \"12h\"\nkeep_size = \"512KiB\""),
        ("a tick that is a number", "[guard]\ntick = 20"),
        (
            "a kind of notification",
            "[[notify]]\nname = \"ops\"\nkind = \"teams\"\nlevel = \"error\"\nkinds = [\"rollbacks\"]",
        ),
        ("validation by numbers", "[validation]\nat_once = 100\nkeep_for = 90"),
        ("a version to come", "version = 2"),
        ("a section of the routing file", "[split]\nweight = 10"),
        ("a routing file that is close", "routing = \"routng.toml\""),
        ("a routing folder that is not there", "routing = \"shops/\""),
        ("a routing file without a name", "routing = \"\""),
        ("a routing folder that is empty", "routing = \"empty\""),
        ("a folder of suites that is not there", "suites = \"nosuites\""),
        ("a folder of suites that is close", "suites = \"suite\""),
        ("a folder of suites that is a file", "suites = \"routing.toml\""),
        ("a journal in a folder that is not there", "[state]\npath = \"nodir/cutover.db\""),
        ("a journal that is a folder", "[state]\npath = \"empty\""),
        ("a TLS listener as a table", "[proxy.tls]\nlisten = \"0.0.0.0:8443\""),
        ("a CA that nobody has certificates from", "[acme]\nemail = \"ops\""),
        ("certificates of a CA without a CA", "[[proxy.tls]]\nlisten = \"0.0.0.0:8443\"\nacme = true"),
        ("neither a certificate nor a CA", "[[proxy.tls]]\nlisten = \"0.0.0.0:8443\""),
        (
            "certificates of a CA, and none of them",
            "[acme]\n[[proxy.tls]]\nlisten = \"0.0.0.0:8443\"\nacme = false\n[[proxy.tls]]\nlisten = \"0.0.0.0:8444\"",
        ),
        (
            "a CA with everything wrong",
            "[acme]\nemail = \"@ops\"\ndirectory = \"http://ca.test/dir\"\ndirectory_ca_file = \"routing.toml\"\nnames = [\"*.shop.test\", \"localhost\", \"192.0.2.1\", \"https://shop.test/\"]\nchallenge = [\"http-01\", \"dns-01\"]\neab = { kid = \"k\" }\non_demand = {}\n[[proxy.tls]]\nlisten = \"0.0.0.0:8443\"",
        ),
        (
            "a challenge that nobody can answer",
            "[acme]\nchallenge = \"http-01\"\neab = { kid = \"k\", hmac_file = \"routing.toml\" }\n[[proxy.tls]]\nlisten = \"0.0.0.0:8443\"",
        ),
        ("a certificate without its key", "[[proxy.tls]]\nlisten = \"0.0.0.0:8443\"\ncert_file = \"a.pem\""),
        (
            "a token that has expired",
            "[[admin.token]]\nname = \"ci\"\nrole = \"viewer\"\nexpires = \"2020-01-01\"\nsha256 = \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"",
        ),
        (
            "a token that expires on another calendar",
            "[[admin.token]]\nname = \"ci\"\nrole = \"viewer\"\nexpires = \"01/01/2027\"\nsha256 = \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"",
        ),
        (
            "a secret that is not there",
            "[[notify]]\nname = \"ops\"\nkind = \"webhook\"\nurl = \"https://hooks.test\"\nsecret_file = \"nope\"",
        ),
        ("a key of another table", "[state]\ntick = \"20ms\""),
        ("a journal that is kept for an hour", "[state]\nkeep = \"1h\""),
        ("a variable that is not set", "[state]\npath = \"${CUTOVER_NOT_SET}/cutover.db\""),
        (
            "a Slack URL in the file",
            "[[notify]]\nname = \"ops\"\nkind = \"slack\"\nurl = \"https://hooks.slack.com/services/hunter2\"",
        ),
    ]
}

fn suites() -> Vec<(&'static str, &'static str)> {
    vec![
        ("a way that is close", "via = \"proxies\"\n[[case]]\npath = \"/\""),
        ("times that are numbers", "timeout = 10\nevery = \"5s\"\n[[case]]\npath = \"/\"\ntimeout = \"0s\""),
        ("counts that are too large", "concurrency = 1000\nretries = 1.5\n[[case]]\npath = \"/\""),
        (
            "a load of another profile",
            "[[load]]\nprofile = \"peak\"\nrate = \"100\"\nfor = 30\npath = \"/\"\nlimits = { p95 = 250, error_rate = \"1%\" }",
        ),
        (
            "a latency compared with blue",
            "[[load]]\nrate = 10\nfor = \"30s\"\npath = \"/\"\nlimits = { p50 = \"1.2 x blue\", p95 = \"active\", p99 = \"0 x active\" }",
        ),
        ("a rate that no machine sends", "[[load]]\nrate = 1000000\nfor = \"30s\"\npath = \"/\""),
        ("a tolerance in percent", "[[parity]]\npaths = [\"/\"]\ntolerance = 5\ndiffering = 101"),
        ("a latency that is a number", "[[case]]\npath = \"/\"\nexpect = { latency = 250 }"),
        ("a text without quotes", "title = Smoke\n[[case]]\npath = \"/\""),
        ("cases that are called so", "[[cases]]\npath = \"/\""),
        ("a capture of a case", "title = \"a\"\n[[case]]\npath = \"/\"\ncapture = { id = \"$.id\" }"),
        (
            "databases with passwords and variables",
            "[database.shop]\nblue = { url = \"postgres://u:hunter2@h/x\" }\ngreen = { url = \"${env.GREEN}\" }\n[[data]]\ntable = \"t\"",
        ),
        (
            "a database with a query",
            "[database.shop]\nblue = { url = \"sqlite:y.db\", query = \"select 3\" }\ngreen = { url = \"sqlite:z.db\" }\n[[data]]\ntable = \"t\"",
        ),
        (
            "paths into JSON",
            "[[case]]\npath = \"/\"\nexpect = { json = { \"$.Ä[\" = 1, \"$.a[\" = 2 }, headers = { \"x a\" = \"1\" } }",
        ),
        ("retries and users", "retries = -1\n[[load]]\nrate = 10\nfor = \"1s\"\npath = \"/\"\nusers = 100000"),
        ("a recording that is not there", "[[parity]]\nrecording = \"traffic.har\""),
        ("a schema that is not there", "[[case]]\npath = \"/\"\nexpect = { schema = \"product.schema.json\" }"),
    ]
}

fn told(name: &str, outcome: Result<Vec<config::read::FileProblem>, ConfigError>, folder: &Path) -> String {
    let text = match outcome {
        Err(refused) => refused.render(false),
        Ok(warnings) => {
            assert!(!warnings.is_empty(), "{name}: taken without a word");
            render(warnings.iter(), ProblemSeverity::Warning, false)
        }
    };
    assert!(!text.contains("hunter2"), "{name}: {text}");
    format!("--- {name}\n{}\n\n", text.replace(&format!("{}/", folder.display()), ""))
}

#[test]
fn a_wrong_routing_file_is_told_like_a_colleague_would() {
    let dir = tempfile::tempdir().unwrap();
    let listeners =
        OwnListeners { proxy: vec!["0.0.0.0:8080".parse().unwrap()], admin: "127.0.0.1:9700".parse().unwrap() };
    let names = ["smoke", "parity"].map(str::to_owned).to_vec();
    let folder = SuiteFolder { path: "suites".into(), is_there: true, names };
    let context = RoutingContext { listeners: Some(&listeners), suites: Some(&folder), ..RoutingContext::default() };
    let home = std::env::var("HOME").unwrap();
    let mut all = String::new();
    for (name, text) in routing_files() {
        let path = dir.path().join("routing.toml");
        std::fs::write(&path, text).unwrap();
        let read = config::load_routing(&path, &context).map(|routing| routing.warnings);
        let said = told(name, read, dir.path());
        assert!(!said.contains(&home), "{name}: {said}");
        all.push_str(&said);
    }
    insta::assert_snapshot!("routing_files", all);
}

#[test]
fn what_is_no_toml_is_told_like_a_colleague_would() {
    let mut all = String::new();
    for (name, text) in no_toml() {
        let refused = config::routing_text("routing.toml", &text).unwrap_err();
        assert_eq!(refused.problems.len(), 1, "{name}: one mistake, one error: {refused}");
        all.push_str(&told(name, Err(refused), Path::new("routing.toml")));
    }
    insta::assert_snapshot!("no_toml", all);
}

#[test]
fn a_file_or_folder_that_is_missing_says_what_is_there() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("empty")).unwrap();
    std::fs::write(dir.path().join("shop.toml"), routing("service.shop", "")).unwrap();
    let mut all = String::new();
    for name in ["shp.toml", "elsewhere.toml", "empty"] {
        let refused = config::load_routing(&dir.path().join(name), &RoutingContext::default());
        all.push_str(&told(name, refused.map(|_| Vec::new()), dir.path()));
    }
    let refused = config::load_main(&dir.path().join("cutover.toml"));
    all.push_str(&told("cutover.toml", refused.map(|_| Vec::new()), dir.path()));
    let suite = dir.path().join("smoke.toml");
    std::fs::write(&suite, "version = 1\nservice = \"shp\"\n[[case]]\npath = \"/\"\n").unwrap();
    let refused = config::service_of_suite(&suite, &["shop", "blog"]);
    all.push_str(&told("a suite of another service", refused.map(|()| Vec::new()), dir.path()));
    config::service_of_suite(&suite, &["shp"]).unwrap();
    insta::assert_snapshot!("missing_files", all);
}

#[test]
fn a_wrong_main_file_is_told_like_a_colleague_would() {
    let mut all = String::new();
    for (name, text) in main_files() {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["empty", "suites"] {
            std::fs::create_dir(dir.path().join(folder)).unwrap();
        }
        std::fs::write(dir.path().join("routing.toml"), routing("service.shop", "")).unwrap();
        let path = dir.path().join("cutover.toml");
        let version = if text.starts_with("version") { "" } else { "version = 1\n" };
        std::fs::write(&path, format!("{version}{text}\n")).unwrap();
        let read = config::load_main_to_check(&path).map(|main| main.warnings);
        all.push_str(&told(name, read, dir.path()));
    }
    insta::assert_snapshot!("main_files", all);
}

#[test]
fn a_missing_folder_of_suites_is_an_error_for_who_reads_them_and_does_not_keep_the_proxy_from_starting() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cutover.toml");
    std::fs::write(dir.path().join("routing.toml"), routing("service.shop", "")).unwrap();
    let load = |text: &str| {
        std::fs::write(&path, format!("version = 1\n{text}\n")).unwrap();
        let served = config::load_main_with_certificates(&path).unwrap().warnings.len();
        let read = [config::load_main_with_suites(&path), config::load_main_to_check(&path)];
        assert!(config::load_main(&path).unwrap().warnings.is_empty());
        (served, read.map(|read| read.is_ok()))
    };
    assert_eq!(load("suites = \"nosuites\""), (1, [false, false]));
    assert_eq!(load("suites = \"routing.toml\""), (1, [false, false]));
    assert_eq!(load(""), (0, [true, true]), "the default folder need not be there");
    std::fs::create_dir(dir.path().join("nosuites")).unwrap();
    assert_eq!(load("suites = \"nosuites\""), (0, [true, true]));
}

#[test]
fn a_wrong_suite_is_told_like_a_colleague_would() {
    let dir = tempfile::tempdir().unwrap();
    let mut all = String::new();
    for (name, text) in suites() {
        let path = dir.path().join("suite.toml");
        std::fs::write(&path, format!("version = 1\n{text}\n")).unwrap();
        let read = config::load_suite(&path).map(|_| Vec::new());
        all.push_str(&told(name, read, dir.path()));
    }
    insta::assert_snapshot!("suites", all);
}

#[test]
fn a_missing_folder_of_suites_is_not_called_an_empty_one() {
    let text = rollout("suites = [\"smoke\"]");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("routing.toml");
    std::fs::write(&path, text).unwrap();
    for (is_there, why) in [(false, "the folder suites does not exist"), (true, "the folder suites is empty")] {
        let folder = SuiteFolder { path: "suites".into(), is_there, names: Vec::new() };
        let context = RoutingContext { suites: Some(&folder), ..RoutingContext::default() };
        let refused = config::load_routing(&path, &context).unwrap_err().to_string();
        assert!(refused.contains(why), "{refused}");
    }
}

#[test]
fn the_environment_is_put_into_both_files_and_never_into_what_a_suite_or_the_api_says() {
    let home = std::env::var("HOME").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let main = dir.path().join("cutover.toml");
    std::fs::write(&main, "version = 1\nrouting = \"${HOME}/r.toml\"\n[state]\npath = \"${CUTOVER_NOT_SET:-a.db}\"\n")
        .unwrap();
    let config = config::load_main(&main).unwrap();
    assert_eq!(config.routing, Path::new(&home).join("r.toml"));
    assert_eq!(config.state, dir.path().join("a.db"));

    let routing = config::routing_text(
        "routing.toml",
        &health("sql = { url = \"postgres://shop:${HOME}@db/shop\", query = \"select '$$1'\" }"),
    )
    .unwrap();
    assert_eq!(routing.services.len(), 1, "a password from the environment is taken");

    let suite = dir.path().join("a.toml");
    std::fs::write(&suite, "version = 1\n[variables]\nHOME = \"x\"\n[[case]]\npath = \"/${HOME}\"\n").unwrap();
    assert_eq!(config::load_suite(&suite).unwrap().cases[0].steps[0].path, "/${HOME}", "its own variables");

    let mut fragment = config::read::SourceFile::new("rule", "to = \"${HOME}\"");
    let _: config::file::RuleFile = fragment.read();
    assert!(fragment.problems[0].message.contains("${HOME}"), "a text of the API reads no environment");
}
