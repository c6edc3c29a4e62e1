//! Who hears of a rollback: real receivers over sockets, and a running house that has something to say.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command as Process, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use config::notify::Sink;
use hmac::{Hmac, KeyInit, Mac};
use judgement::rollout::{OperatorAction, OperatorCommand, Requester};
use judgement::traffic::split::Weight;
use serde_json::Value;
use sidecar::journal::JournalReader;

use crate::cli::cutover;
use crate::support::house::{House, Load};
use crate::support::origin::{Do, Origin, Request};
use crate::support::smtp::{Habits, Server, When};
use crate::support::tls::{Authority, Certificate, serving};
use crate::support::{SOON, wait_until};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OLD_SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
const ROUTING_KEY: &str = "0123456789abcdef0123456789abcdef";
const PASSWORD: &str = "correct horse battery staple";

/// Writes `cutover.toml` with these sinks, and the secrets beside it.
fn write(dir: &Path, sinks: &str) {
    let slack = sinks.lines().find_map(|line| line.strip_prefix("# slack at ")).unwrap_or("http://127.0.0.1:1");
    for (name, text) in [
        ("cutover.toml", format!("version = 1\n{sinks}")),
        ("hook.secret", format!("{SECRET}\n")),
        ("both.secret", format!("{OLD_SECRET}\n{SECRET}\n")),
        ("pagerduty.key", format!("{ROUTING_KEY}\n")),
        ("slack.url", format!("{slack}/services/T000/B000/XXXXXXXX\n")),
        ("mail.password", format!("{PASSWORD}\n")),
    ] {
        std::fs::write(dir.join(name), text).unwrap();
    }
}

fn sinks(dir: &Path, text: &str) -> Vec<Sink> {
    write(dir, text);
    config::load_main(&dir.join("cutover.toml")).unwrap_or_else(|bad| panic!("{bad}")).notify
}

fn house(weight: u8, text: &str) -> House {
    House::with(&format!("weight = {weight}"), "", |settings| {
        settings.notify = sinks(settings.state.parent().unwrap(), text);
    })
}

/// One that is told of everything.
pub fn sinks_at(dir: &Path, to: &Origin) -> Vec<Sink> {
    sinks(dir, &webhook("hook", to, "level = \"info\""))
}

fn webhook(name: &str, to: &Origin, more: &str) -> String {
    let url = to.url();
    format!(
        "[[notify]]\nname = \"{name}\"\nkind = \"webhook\"\nurl = \"{url}/hook\"\nsecret_file = \"hook.secret\"\n{more}\n"
    )
}

fn slack(name: &str, to: &Origin) -> String {
    format!("# slack at {}\n[[notify]]\nname = \"{name}\"\nkind = \"slack\"\nurl_file = \"slack.url\"\n", to.url())
}

fn pagerduty(name: &str, to: &Origin, more: &str) -> String {
    let url = to.url();
    format!(
        "[[notify]]\nname = \"{name}\"\nkind = \"pagerduty\"\nurl = \"{url}/v2/enqueue\"\nrouting_key_file = \"pagerduty.key\"\n{more}\n"
    )
}

fn mail(name: &str, scheme: &str, to: &Server, more: &str) -> String {
    let address = to.address;
    format!(
        "[[notify]]\nname = \"{name}\"\nkind = \"email\"\nsmtp = \"{scheme}://{address}\"\nfrom = \"Cutover <cutover@example.com>\"\n\
         to = [\"ops@example.com\", \"Ann <ann@example.com>\"]\n{more}\n"
    )
}

fn json(request: &Request) -> Value {
    assert_eq!(request.header("content-type"), Some("application/json"));
    serde_json::from_slice(&request.body).unwrap()
}

/// The requests with this value at this place.
fn those(origin: &Origin, pointer: &str, value: &str) -> Vec<(Request, Value)> {
    let all = origin.all().into_iter().map(|request| (request.clone(), json(&request)));
    all.filter(|(_, body)| body.pointer(pointer) == Some(&Value::from(value))).collect()
}

/// As the specification has it, written anew.
pub fn is_signed(request: &Request, secret: &str) -> bool {
    let key = BASE64_STANDARD.decode(&secret["whsec_".len()..]).unwrap();
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&key).unwrap();
    for part in [request.header("webhook-id").unwrap(), ".", request.header("webhook-timestamp").unwrap(), "."] {
        mac.update(part.as_bytes());
    }
    mac.update(&request.body);
    let expected = format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()));
    request.header("webhook-signature").unwrap().split(' ').any(|signature| signature == expected)
}

impl House {
    fn act(&self, act: OperatorAction) -> u64 {
        let command = OperatorCommand {
            service: "shop".into(),
            by: Requester { who: "ann".into(), why: "to see".into(), ..Requester::default() },
            act,
        };
        self.running.sidecar.command(command).unwrap().unwrap().entry.unwrap()
    }

    fn shift(&self, percent: f64) -> u64 {
        self.act(OperatorAction::Shift { weight: Weight::from_percent(percent).unwrap(), gradual: false, force: false })
    }

    fn notices(&self, sink: &str, result: &str) -> u64 {
        self.number(&format!("cutover_notices_total{{sink=\"{sink}\",result=\"{result}\"}} "))
    }

    fn number(&self, line: &str) -> u64 {
        let metrics = self.metrics();
        metrics
            .lines()
            .find_map(|l| l.strip_prefix(line))
            .unwrap_or_else(|| panic!("no {line} in\n{metrics}"))
            .parse()
            .unwrap()
    }
}

#[test]
fn a_rollback_reaches_everybody_with_its_evidence_and_its_entry() {
    let (hook, chat, pager) = (Origin::start("hook"), Origin::start("ok"), Origin::start("pager"));
    pager.always(Do::Status(202));
    let post = Server::start(Habits::default());
    let text = [
        webhook("hook", &hook, ""),
        slack("chat", &chat),
        pagerduty("pager", &pager, "level = \"critical\""),
        mail("post", "smtp", &post, "level = \"critical\""),
    ]
    .concat();
    let house = house(20, &text);
    house.green.always(Do::Status(500));
    let load = Load::start(house.address(), 10, Duration::from_millis(10));
    house.wait_for_weight(0);
    load.stop();

    let rollback = || those(&hook, "/data/kind", "rollback").into_iter().next();
    wait_until("the webhook has it", SOON, || rollback().is_some());
    let (request, body) = rollback().unwrap();
    assert!(is_signed(&request, SECRET));
    assert_eq!((request.line(), &body["type"]), ("POST /hook HTTP/1.1", &Value::from("cutover.rollback")));
    let data = &body["data"];
    let entry = house.entry(judgement::rollout::ChangeKind::Rollback);
    let id = entry.change.id;
    assert_eq!(data["entry"], id);
    assert_eq!(data["explain"], format!("cutover explain {id}"));
    let (newest, hash) = (data["newest"]["entry"].as_u64().unwrap(), data["newest"]["hash"].as_str().unwrap());
    assert!(newest < id, "what was on the disk when it was told: {newest}, {id}");
    let reader = JournalReader::open(&house.settings.state).unwrap();
    assert_eq!(reader.entry_of(&judgement::hex::bytes(hash).unwrap()).unwrap(), Some(newest));
    assert!(data["text"].as_str().unwrap().ends_with(&entry.change.why), "{data}");
    assert_eq!((&data["level"], &data["service"], &data["who"]), (&"critical".into(), &"shop".into(), &"guard".into()));
    assert_eq!((&data["weight"]["before"], &data["weight"]["after"]), (&20.0.into(), &0.0.into()));
    assert_eq!((&data["active"], &data["generation"]), (&"blue".into(), &entry.change.generation.into()));
    assert_eq!(data["evidence"]["verdict"], "unhealthy: evidence of errors");
    let meter = data["evidence"]["meters"][0].as_str().unwrap();
    assert!(meter.starts_with("errors: green fails ") && meter.contains(" : 1"), "{meter}");
    assert_eq!(data["ledger"]["failed"], entry.change.ledger.unwrap().failed);

    let line = format!("cutover explain {id}");
    wait_until("Slack has it", SOON, || {
        chat.all().iter().any(|request| String::from_utf8_lossy(&request.body).contains(&line))
    });
    let told =
        chat.all().into_iter().map(|request| json(&request)).find(|body| body.to_string().contains(&line)).unwrap();
    assert_eq!(told["blocks"][0]["text"]["text"], "critical: shop: rollback");
    assert!(told["text"].as_str().unwrap().contains("rolled back from 20 %"), "{told}");
    assert!(told.to_string().contains("20 % → 0 %") && told.to_string().contains("• errors: green fails "), "{told}");

    wait_until("PagerDuty has it", SOON, || pager.requests() > 0);
    let told = json(&pager.all()[0]);
    assert_eq!((&told["routing_key"], &told["event_action"]), (&ROUTING_KEY.into(), &"trigger".into()));
    assert_eq!(
        (&told["dedup_key"], &told["payload"]["severity"]),
        (&"cutover/shop/rollback".into(), &"critical".into())
    );
    assert_eq!((&told["payload"]["source"], &told["payload"]["custom_details"]["entry"]), (&"shop".into(), &id.into()));

    wait_until("the mail is there", SOON, || !post.mails().is_empty());
    let told = &post.mails()[0];
    assert_eq!(told.to, ["RCPT TO:<ops@example.com>", "RCPT TO:<ann@example.com>"]);
    for part in [
        "Subject: [cutover] critical: shop: rollback",
        "Auto-Submitted: auto-generated",
        "20 % → 0 %",
        "errors: green fails ",
        &line,
    ] {
        assert!(told.text.contains(part), "no {part:?} in {}", told.text);
    }
    wait_until("all of it is counted", SOON, || {
        ["hook", "chat", "pager", "post"].iter().all(|sink| house.notices(sink, "sent") > 0)
    });
}

#[test]
fn good_news_end_an_incident_by_the_key_that_began_it() {
    let pager = Origin::start("pager");
    let house = house(0, &pagerduty("pager", &pager, "level = \"critical\""));
    house.shift(30.0);
    house.act(OperatorAction::Stop);
    house.act(OperatorAction::Clear);
    wait_until("it begins and ends", SOON, || those(&pager, "/event_action", "resolve").len() >= 4);
    let keys = |action: &str| -> Vec<Value> {
        those(&pager, "/event_action", action).into_iter().map(|(_, body)| body["dedup_key"].clone()).collect()
    };
    assert_eq!(keys("trigger"), ["cutover/shop/stop"], "shifts and clears are no incidents");
    assert!(keys("resolve").contains(&"cutover/shop/stop".into()), "{:?}", keys("resolve"));
    assert_eq!(json(&pager.all()[0])["event_action"], "trigger", "in this order");
}

#[test]
fn levels_services_and_kinds_choose_what_is_heard() {
    let hooks: Vec<Origin> = (0..5).map(|_| Origin::start("hook")).collect();
    let more = [
        "level = \"info\"",
        "",
        "services = [\"blog\"]\nlevel = \"info\"",
        "kinds = [\"stop\"]\nlevel = \"info\"",
        "services = [\"shop\", \"blog\"]\nkinds = [\"clear\"]\nlevel = \"info\"",
    ];
    let text: String = (0..5).map(|n| webhook(&format!("hook{n}"), &hooks[n], more[n])).collect();
    let house = house(0, &text);
    house.shift(30.0);
    house.act(OperatorAction::Stop);
    house.act(OperatorAction::Clear);
    let kinds = |n: usize| -> Vec<String> {
        hooks[n].all().iter().map(|request| json(request)["data"]["kind"].as_str().unwrap().to_owned()).collect()
    };
    // Each has its own queue: none of them says anything about the others.
    let heard = [&["added", "shift", "stop", "clear"][..], &["stop"], &[], &["stop"], &["clear"]];
    wait_until("each has heard as many as it is to hear", SOON, || (0..5).all(|n| kinds(n).len() >= heard[n].len()));
    for (n, wanted) in heard.iter().enumerate() {
        assert_eq!(kinds(n), *wanted, "hook{n}");
    }
}

#[test]
fn a_reload_is_told_to_those_who_want_to_hear_of_it() {
    let (all, some, shop, calm, pager) = (
        Origin::start("all"),
        Origin::start("some"),
        Origin::start("shop"),
        Origin::start("calm"),
        Origin::start("ok"),
    );
    let text = [
        webhook("all", &all, "level = \"info\""),
        webhook("some", &some, "level = \"info\"\nkinds = [\"reload\"]"),
        webhook("shop", &shop, "level = \"info\"\nservices = [\"shop\"]"),
        webhook("calm", &calm, ""),
        pagerduty("pager", &pager, "level = \"info\"\nkinds = [\"reload\", \"stop\"]"),
    ]
    .concat();
    let house = house(0, &text);
    house.write("weight = 0", "[service.shop.rollout]\nbake = \"1m\"");
    wait_until("it is told", SOON, || some.requests() > 0);
    let (_, body) = those(&some, "/data/kind", "reload").remove(0);
    let (text, service) = (body["data"]["text"].as_str().unwrap(), &body["data"]["service"]);
    assert!(text.ends_with("changed shop: rollout") && !text.contains('\n'), "{text}");
    assert_eq!((service, &body["data"]["level"]), (&"".into(), &"info".into()));
    // Whoever heard of the stop has heard everything before it.
    house.act(OperatorAction::Stop);
    for hook in [&all, &shop, &calm] {
        wait_until("the stop is told", SOON, || !those(hook, "/data/kind", "stop").is_empty());
    }
    wait_until("an incident begins", SOON, || !those(&pager, "/event_action", "trigger").is_empty());
    let reloads = [&all, &some, &shop, &calm].map(|hook| those(hook, "/data/kind", "reload").len());
    assert_eq!(reloads, [1, 1, 0, 0]);
    assert_eq!(those(&pager, "/payload/class", "reload").len(), 0);
}

#[test]
fn nobody_is_notified_while_alerting_is_off() {
    let hook = Origin::start("hook");
    let house = house(0, &webhook("hook", &hook, "level = \"info\""));
    house.act(OperatorAction::Alerting(false));
    house.shift(30.0);
    house.act(OperatorAction::Alerting(true));
    house.shift(40.0);
    let kinds = || -> Vec<Value> { hook.all().iter().map(|request| json(request)["data"]["kind"].clone()).collect() };
    wait_until("the last one is heard", SOON, || kinds().last() == Some(&"shift".into()));
    assert_eq!(kinds(), ["added", "alerting", "alerting", "shift"]);
}

#[test]
fn a_sink_that_fails_is_tried_again_under_the_same_id() {
    let hook = Origin::start("hook");
    let answers = std::sync::atomic::AtomicUsize::new(0);
    hook.does(move |_| match answers.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
        0 => Do::Status(500),
        1 => Do::Raw("HTTP/1.1 429 Slowly\r\nRetry-After: 5\r\nContent-Length: 0\r\n\r\n".to_owned()),
        _ => Do::Status(200),
    });
    let house = house(0, &webhook("hook", &hook, ""));
    house.act(OperatorAction::Stop);
    wait_until("the second try", SOON, || hook.requests() == 2);
    let second = Instant::now();
    wait_until("it is taken", SOON, || house.notices("hook", "sent") == 1);
    assert!(second.elapsed() > Duration::from_secs(4), "as it asked for: {:?}", second.elapsed());
    let all = hook.all();
    assert_eq!(all.len(), 3);
    let ids: std::collections::BTreeSet<_> = all.iter().map(|request| request.header("webhook-id").unwrap()).collect();
    assert_eq!(ids.len(), 1);
    assert!(all.iter().all(|request| is_signed(request, SECRET) && request.body == all[0].body));
    assert_eq!((house.notices("hook", "failed"), house.notices("hook", "dropped")), (0, 0));
    house.act(OperatorAction::Clear);
}

#[test]
fn what_is_refused_for_good_is_not_repeated_and_redirects_are_not_followed() {
    let (hook, moved, there) = (Origin::start("no"), Origin::start("moved"), Origin::start("there"));
    hook.always(Do::Status(400));
    moved.always(Do::Raw(format!("HTTP/1.1 307 Go\r\nLocation: {}/\r\nContent-Length: 0\r\n\r\n", there.url())));
    let house = house(0, &[webhook("hook", &hook, ""), webhook("moved", &moved, "")].concat());
    house.act(OperatorAction::Stop);
    wait_until("both are given up", SOON, || house.notices("hook", "failed") + house.notices("moved", "failed") == 2);
    assert_eq!((hook.requests(), moved.requests(), there.requests()), (1, 1, 0));
}

#[test]
fn a_sink_that_hangs_delays_neither_a_rollback_nor_another_sink_nor_the_end() {
    let (stuck, hook) = (Origin::start("stuck"), Origin::start("hook"));
    stuck.always(Do::Hang);
    let house = house(30, &[webhook("stuck", &stuck, "level = \"info\""), webhook("hook", &hook, "")].concat());
    house.green.always(Do::Status(500));
    let load = Load::start(house.address(), 10, Duration::from_millis(10));
    let took = house.wait_for_weight(0);
    load.stop();
    assert!(took < Duration::from_secs(5), "{took:?}");
    wait_until("the other one has it", SOON, || !those(&hook, "/data/kind", "rollback").is_empty());
    assert!(house.number("cutover_notices_waiting{sink=\"stuck\"} ") > 0);
    let began = Instant::now();
    house.running.stop();
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
}

#[test]
fn what_waits_at_the_end_is_tried_once_more() {
    let hook = Origin::start("hook");
    let answers = std::sync::atomic::AtomicUsize::new(0);
    hook.does(move |_| {
        Do::Status(if answers.fetch_add(1, std::sync::atomic::Ordering::SeqCst) < 3 { 503 } else { 200 })
    });
    let house = house(0, &webhook("hook", &hook, ""));
    house.act(OperatorAction::Stop);
    // The pause after the third is nine seconds.
    wait_until("the third try", SOON, || hook.requests() == 3);
    let counters = house.running.counters.clone();
    let began = Instant::now();
    house.running.stop();
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    assert_eq!((hook.requests(), memory::counters::read(&counters.notices("hook").sent)), (4, 1));
}

#[test]
fn a_full_queue_loses_the_oldest_and_counts_it() {
    let stuck = Origin::start("stuck");
    stuck.always(Do::Hang);
    let house = house(0, &webhook("stuck", &stuck, "level = \"info\""));
    wait_until("the first one is under way", SOON, || stuck.requests() == 1);
    for n in 0..260 {
        house.shift(f64::from(n % 50 + 1));
    }
    wait_until("four are lost", SOON, || house.notices("stuck", "dropped") == 4);
    assert_eq!(house.number("cutover_notices_waiting{sink=\"stuck\"} "), 257, "256, and the one under way");
}

#[test]
fn mail_is_handed_over_to_who_logs_in_and_never_in_the_clear_by_accident() {
    let login = Some(("cutover".to_owned(), PASSWORD.to_owned()));
    let server = Server::start(Habits { login, receivers: vec!["451 later"], ..Habits::default() });
    let careless = Server::start(Habits { turns_starttls_down: true, ..Habits::default() });
    let bare = Server::start(Habits::default());
    let strict = Server::start(Habits { receivers: vec!["550 nobody here"; 9], ..Habits::default() });
    let user = "username = \"cutover\"\npassword_file = \"mail.password\"";
    let text = [
        mail("known", "smtp", &server, user),
        mail("careless", "starttls", &careless, ""),
        mail("bare", "starttls", &bare, ""),
        mail("strict", "smtp", &strict, ""),
    ]
    .concat();
    let house = house(0, &text);
    house.act(OperatorAction::Stop);
    wait_until("the mail is taken at the second try", SOON, || server.mails().len() == 1);
    assert!(server.commands().iter().any(|line| line.starts_with("AUTH PLAIN ")));
    wait_until("a refusal is final", SOON, || house.notices("strict", "failed") == 1);
    assert_eq!(strict.commands().iter().filter(|line| line.starts_with("MAIL")).count(), 1);
    wait_until("STARTTLS was asked for", SOON, || careless.commands().iter().any(|line| line == "STARTTLS"));
    wait_until("a server without it is no server", SOON, || {
        bare.commands().iter().any(|line| line.starts_with("EHLO"))
    });
    for server in [&careless, &bare] {
        assert!(server.mails().is_empty() && !server.commands().iter().any(|line| line.starts_with("MAIL")));
    }
}

#[test]
fn a_test_message_tells_of_each_sink_and_shows_no_secret() {
    let (hook, chat, pager) = (Origin::start("hook"), Origin::start("chat"), Origin::start("pager"));
    // A receiver that says what it should not.
    chat.does(|request| {
        let body = format!("no_service {}", request.line());
        Do::Raw(format!("HTTP/1.1 404 No\r\nContent-Length: {}\r\n\r\n{body}", body.len()))
    });
    pager.does(|request| {
        let body = format!("no such key: {}", json(request)["routing_key"].as_str().unwrap());
        Do::Raw(format!("HTTP/1.1 400 No\r\nContent-Length: {}\r\n\r\n{body}", body.len()))
    });
    let mail_server = Server::start(Habits { login: Some(("x".into(), "y".into())), ..Habits::default() });
    let user = "username = \"cutover\"\npassword_file = \"mail.password\"";
    let dir = tempfile::tempdir().unwrap();
    let text = [
        webhook("hook", &hook, "kinds = [\"stop\"]").replace("hook.secret", "both.secret"),
        slack("chat", &chat),
        pagerduty("pager", &pager, ""),
        mail("post", "smtp", &mail_server, user),
    ]
    .concat();
    let settings = {
        write(dir.path(), &text);
        config::load_main(&dir.path().join("cutover.toml")).unwrap()
    };
    let output = Process::new(env!("CARGO_BIN_EXE_cutover"))
        .current_dir(dir.path())
        .args(["notify", "test"])
        .env("CUTOVER_LOG", "trace")
        .output()
        .unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines: Vec<&str> = stdout.lines().collect();
    assert_eq!(output.status.code(), Some(1), "{stdout}");
    assert_eq!(lines[0], "hook: sent");
    assert_eq!(lines[1], "chat: NOT sent: receiver returned 404 Not Found");
    assert_eq!(lines[2], "pager: NOT sent: receiver returned 400 Bad Request");
    assert!(lines[3].starts_with("post: NOT sent: ") && lines[3].contains("who are you"), "{stdout}");
    assert!(is_signed(&hook.last(), SECRET) && is_signed(&hook.last(), OLD_SECRET), "while the secret changes");
    assert_eq!(json(&hook.last())["type"], "cutover.test");

    let shown = format!("{settings:?}{stdout}{}", String::from_utf8_lossy(&output.stderr));
    let encoded = BASE64_STANDARD.encode(format!("\0cutover\0{PASSWORD}"));
    for secret in [&SECRET[6..], &OLD_SECRET[6..], ROUTING_KEY, PASSWORD, "/services/T000", encoded.as_str()] {
        assert!(!shown.contains(secret), "{secret} is shown");
    }

    let output = cutover(dir.path(), &["notify", "test", "--name", "hook"]);
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stdout).as_ref()), (Some(0), "hook: sent\n"));
    let output = cutover(dir.path(), &["notify", "test", "--name", "hok"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("did you mean `hook`?"));
}

/// A webhook's receiver behind TLS, that takes everything.
fn tls_hook(config: Arc<rustls::ServerConfig>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // Ends with the test's process.
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut stream = rustls::StreamOwned::new(rustls::ServerConnection::new(config.clone()).unwrap(), stream);
            let mut heard = Vec::new();
            let mut piece = [0; 4096];
            while !heard.ends_with(b"}}") {
                match stream.read(&mut piece) {
                    Ok(0) | Err(_) => break,
                    Ok(read) => heard.extend_from_slice(&piece[..read]),
                }
            }
            let _ = stream.write_all(b"HTTP/1.1 204 Taken\r\nConnection: close\r\n\r\n");
        }
    });
    address
}

#[test]
fn receivers_behind_tls_are_known_by_the_systems_authorities() {
    let authority = Authority::new();
    let config = serving(&authority.sign(&["localhost"]), &[], None);
    let hook = tls_hook(config.clone());
    let [at_once, asked] = [When::AtOnce, When::Asked]
        .map(|when| Server::start(Habits { tls: Some((config.clone(), when)), ..Habits::default() }));
    let dir = tempfile::tempdir().unwrap();
    let text = [
        format!(
            "[[notify]]\nname = \"hook\"\nkind = \"webhook\"\nurl = \"https://localhost:{}/\"\nsecret_file = \"hook.secret\"\n",
            hook.port()
        ),
        mail("smtps", "smtps", &at_once, "").replace("127.0.0.1", "localhost"),
        mail("starttls", "starttls", &asked, "").replace("127.0.0.1", "localhost"),
    ];
    write(dir.path(), &text.concat());
    authority.certificate.write(dir.path(), "authority");
    let test = |trusted: &str| {
        let output = Process::new(env!("CARGO_BIN_EXE_cutover"))
            .current_dir(dir.path())
            .args(["notify", "test"])
            .env("SSL_CERT_FILE", trusted)
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert_eq!(test("authority.pem"), "hook: sent\nsmtps: sent\nstarttls: sent\n");
    assert_eq!((at_once.mails().len(), asked.mails().len()), (1, 1));
    Certificate::of(&["other.test"]).write(dir.path(), "other");
    let told = test("other.pem");
    assert_eq!(told.matches("NOT sent").count(), 3, "{told}");
    assert_eq!((at_once.mails().len(), asked.mails().len()), (1, 1));
}

/// The piece of docs/src/notifications.md in this language.
fn snippet(language: &str) -> String {
    let docs =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/src/notifications.md")).unwrap();
    let (_, rest) = docs.split_once(&format!("```{language}\n")).unwrap_or_else(|| panic!("no {language} in the docs"));
    rest.split_once("```").unwrap().0.to_owned()
}

#[test]
#[ignore = "needs python3 and nodejs: .ci/setup installs them"]
fn the_documented_ways_to_verify_a_signature_do() {
    let hook = Origin::start("hook");
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &webhook("hook", &hook, "").replace("hook.secret", "both.secret"));
    assert_eq!(cutover(dir.path(), &["notify", "test"]).status.code(), Some(0));
    let request = hook.last();
    let names = ["webhook-id", "webhook-timestamp", "webhook-signature"];
    let headers: Value = names
        .map(|name| (name.to_owned(), request.header(name).unwrap().into()))
        .into_iter()
        .collect::<serde_json::Map<_, _>>()
        .into();
    let body = String::from_utf8(request.body).unwrap();
    let mut stale = headers.clone();
    stale["webhook-timestamp"] = "1614265330".into();
    let cases = serde_json::json!([
        [SECRET, headers, body],
        [OLD_SECRET, headers, body],
        [SECRET, headers, body.replace("test", "tset")],
        [SECRET.replace('M', "N"), headers, body],
        [SECRET, stale, body],
    ]);
    let python = "import json, sys\nprint([verify(s, h, b.encode()) for s, h, b in json.load(sys.stdin)])\n";
    let node = "const cases = JSON.parse(require(\"fs\").readFileSync(0));\nconsole.log(JSON.stringify(cases.map(([s, h, b]) => verify(s, h, Buffer.from(b)))));\n";
    for (program, file, language, run) in
        [("python3", "verify.py", "python", python), ("node", "verify.cjs", "js", node)]
    {
        std::fs::write(dir.path().join(file), format!("{}\n{run}", snippet(language))).unwrap();
        let mut child = Process::new(program)
            .arg(dir.path().join(file))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(cases.to_string().as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).to_lowercase().replace(' ', "");
        assert_eq!(said.trim(), "[true,true,false,false,false]", "{program}");
    }
}

#[test]
fn a_receiver_is_reached_through_its_proxy() {
    let proxy = Origin::start("proxy");
    let sink = format!(
        "[[notify]]\nname = \"ops\"\nkind = \"webhook\"\nurl = \"http://hooks.test/hook\"\nproxy = \"{}\"\n\
         secret_file = \"hook.secret\"\nlevel = \"info\"\n",
        proxy.url()
    );
    let house = house(0, &sink);
    house.shift(5.0);
    wait_until("the proxy has it", SOON, || house.notices("ops", "sent") > 0);
    let asked = proxy.all();
    assert!(asked.iter().all(|request| request.line() == "POST http://hooks.test/hook HTTP/1.1"), "{}", asked[0].head);
    assert!(asked.iter().all(|request| is_signed(request, SECRET)));
}

#[test]
fn a_proxy_that_is_none_is_refused_without_its_password() {
    let dir = tempfile::tempdir().unwrap();
    for (proxy, why) in [
        ("socks5://127.0.0.1:1", "the proxy is not http or https"),
        ("proxy.test", "the proxy is not a URL"),
        ("http://ann:s3cret@proxy.test:3128", "the proxy's URL has a password"),
    ] {
        let sink = format!(
            "[[notify]]\nname = \"ops\"\nkind = \"webhook\"\nurl = \"http://hooks.test/\"\nproxy = \"{proxy}\"\n\
             secret_file = \"hook.secret\"\n"
        );
        write(dir.path(), &sink);
        let refused = config::load_main(&dir.path().join("cutover.toml")).unwrap_err().to_string();
        assert!(refused.contains(why) && !refused.contains("s3cret"), "{refused}");
    }
}
