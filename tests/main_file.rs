//! `cutover.toml` takes effect when it is saved: as a whole or not at all, and without a failed request.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use cutover::admin::tokens::TokenText;
use judgement::rollout::ChangeKind;

use crate::support::client::{Client, get};
use crate::support::house::Load;
use crate::support::origin::Origin;
use crate::support::tls::{self, Certificate, trusting};
use crate::support::{SOON, wait_until};
use crate::upgrade::{PLAIN, Succession, Tunnel, folder, origin, write_main};

fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// What the journal says of the reloads since an entry, the first at first.
fn said(running: &Succession, since: u64) -> Vec<String> {
    let mut entries = running.entries_after(since);
    entries.retain(|entry| entry.change.kind == ChangeKind::Reload);
    entries.into_iter().rev().map(|entry| entry.change.why).collect()
}

/// Saves the file, and waits until the journal tells of it; returns what it tells.
#[track_caller]
fn save(running: &Succession, main: &str) -> String {
    let newest = running.newest_entry();
    write_main(running.dir.path(), main);
    wait_until("the file is in force", SOON, || !said(running, newest).is_empty());
    said(running, newest).remove(0)
}

fn refused(running: &Succession) -> f64 {
    running.metric("cutover_config_reload_total", "refused")
}

/// A table of tokens, in which everybody is an admin.
fn tokens(tokens: &[(&str, &TokenText)]) -> String {
    let hex = |secret: &TokenText| secret.sha256().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let table = |(name, secret): &(&str, &TokenText)| {
        format!("[[admin.token]]\nname = \"{name}\"\nrole = \"admin\"\nsha256 = \"{}\"\n", hex(secret))
    };
    tokens.iter().map(table).collect()
}

fn bearer(secret: &TokenText) -> String {
    format!("Authorization: Bearer {}", secret.text())
}

#[test]
fn a_token_that_is_taken_out_is_dead_within_a_second_on_connections_that_are_open_too() {
    let [ann, bob] = [(); 2].map(|()| TokenText::make().unwrap());
    let both = tokens(&[("ann", &ann), ("bob", &bob)]);
    let running = Succession::start(folder(origin(), &format!("{both}{PLAIN}")));
    let host = format!("Host: {}", running.admin);
    let ask = |secret: &TokenText| get(running.admin, "/api/admin/whoami", &[&host, &bearer(secret)]).status;
    assert_eq!((ask(&ann), ask(&bob)), (200, 200));
    let mut events = Client::to(running.admin);
    events.send(format!("GET /api/admin/events HTTP/1.1\r\n{host}\r\n{}\r\n\r\n", bearer(&bob)));
    assert!(events.head().starts_with("HTTP/1.1 200"));
    let mut kept = Client::to(running.admin);
    assert_eq!(kept.get("/api/admin/whoami", &[&host, &bearer(&bob)]).status, 200);

    write_main(running.dir.path(), &format!("{}{PLAIN}", tokens(&[("ann", &ann)])));
    let began = Instant::now();
    wait_until("bob is unknown", SOON, || ask(&bob) == 401);
    // A busy machine gets ten times as long as is promised.
    assert!(began.elapsed() < Duration::from_secs(10));
    // It panics if the stream goes on.
    events.rest();
    let again = kept.try_request("GET", "/api/admin/whoami", &[&host, &bearer(&bob)], "");
    assert!(!again.is_ok_and(|answer| answer.status == 200));
    assert!(began.elapsed() < Duration::from_secs(10));
    assert_eq!(ask(&ann), 200);
    assert_eq!(said(&running, 0), ["the main file changes [admin]"]);
}

#[test]
fn listeners_come_and_go_under_load_and_tunnels_stay() {
    let [first, second] = [free(), free()];
    let certificate = Certificate::of(&["shop.test"]);
    let listen = |addresses: &[SocketAddr], more: &str| {
        let listen: Vec<String> = addresses.iter().map(|address| format!("\"{address}\"")).collect();
        format!("[proxy]\nlisten = [{}]\nthreads = 2\n{more}", listen.join(", "))
    };
    let running = Succession::start(folder(origin(), &listen(&[first], "")));
    certificate.write(running.dir.path(), "shop");
    let load = Load::asking(first, 4, Duration::from_millis(2), |client, _| client.try_request("GET", "/", &[], ""));
    let mut tunnel = Tunnel::open(first);
    for turn in 0..5 {
        assert_eq!(save(&running, &listen(&[first, second], "")), "the main file changes proxy.listen");
        assert_eq!(get(second, "/", &[]).status, 200);
        save(&running, &listen(&[first], ""));
        wait_until("nobody listens", SOON, || TcpStream::connect(second).is_err());
        assert!(tunnel.echoes(format!("turn {turn}").as_bytes()));
    }
    let secure = free();
    let files = format!("[[proxy.tls]]\nlisten = \"{secure}\"\ncert_file = \"shop.pem\"\nkey_file = \"shop.key\"\n");
    assert_eq!(save(&running, &listen(&[first], &files)), "the main file changes [[proxy.tls]]");
    tls::connect(secure, "shop.test", &trusting(&[&certificate], &[])).unwrap();
    assert!(tunnel.echoes(b"at the end"));
    drop(tunnel);
    let (requests, failed) = load.stop();
    assert!(requests > 100 && failed == 0, "{failed} of {requests}");
    wait_until("every request is counted", SOON, || {
        running.metric("cutover_requests_total", "") as u64 == requests + 5 + 1
    });
}

#[test]
fn limits_trusted_proxies_and_the_access_log_are_those_of_the_file() {
    let green = Origin::start("green");
    let address: SocketAddr = green.url().trim_start_matches("http://").parse().unwrap();
    let listen = free();
    let proxy = format!("[proxy]\nlisten = \"{listen}\"\nthreads = 2\n");
    let running = Succession::start(folder(address, &proxy));
    let forwarded = || {
        let mut client = Client::to(listen);
        assert_eq!(client.get("/", &["X-Forwarded-For: 203.0.113.9"]).status, 200);
        green.last().header("x-forwarded-for").unwrap().to_owned()
    };
    assert_eq!(forwarded(), "127.0.0.1");
    let mut kept = Client::to(listen);
    assert_eq!(kept.get("/", &[]).status, 200);
    let told = save(
        &running,
        &format!(
            "{proxy}trusted_proxies = \"loopback\"\n[proxy.limits]\ntarget_bytes = \"1KiB\"\n[proxy.access_log]\npath = \"access.log\"\n"
        ),
    );
    assert_eq!(told, "the main file changes [proxy.limits], proxy.trusted_proxies, [proxy.access_log]");
    assert_eq!(forwarded(), "203.0.113.9, 127.0.0.1");
    assert_eq!(get(listen, &format!("/{}", "x".repeat(2000)), &[]).status, 414);
    let log = running.dir.path().join("access.log");
    wait_until("the log has it", SOON, || std::fs::read_to_string(&log).is_ok_and(|text| text.contains("414")));
    // A connection from before is told to go, and not cut under a request.
    if let Ok(answer) = kept.try_request("GET", "/", &[], "") {
        assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    }
}

#[test]
fn a_file_that_cannot_be_had_changes_nothing_and_says_why() {
    let [ann, bob] = [(); 2].map(|()| TokenText::make().unwrap());
    let good = format!("{}{PLAIN}", tokens(&[("ann", &ann), ("bob", &bob)]));
    let running = Succession::start(folder(origin(), &good));
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let without_bob = tokens(&[("ann", &ann)]);
    let busy = format!("{without_bob}[proxy]\nlisten = [\"{}\"]\nthreads = 2\n", taken.local_addr().unwrap());
    let typo = format!("{without_bob}{}", PLAIN.replace("threads", "treads"));
    let host = format!("Host: {}", running.admin);
    for (at, file) in [busy, typo].iter().enumerate() {
        write_main(running.dir.path(), file);
        wait_until("it is refused", SOON, || refused(&running) == (at + 1) as f64);
        let bob = get(running.admin, "/api/admin/whoami", &[&host, &bearer(&bob)]).status;
        assert_eq!((bob, get(running.plain, "/", &[]).status), (200, 200));
    }
    // What another process alone can have waits; the rest of the file is in force.
    let newest = running.newest_entry();
    write_main(running.dir.path(), &format!("{without_bob}{}", PLAIN.replace("threads = 2", "threads = 1")));
    wait_until("bob is unknown", SOON, || {
        get(running.admin, "/api/admin/whoami", &[&host, &bearer(&bob)]).status == 401
    });
    wait_until("it is told", SOON, || said(&running, newest) == ["the main file changes [admin]"]);
}

#[test]
fn notices_go_to_the_receivers_of_the_file() {
    let [first, second] = ["first", "second"].map(Origin::start);
    let sink = |to: &Origin| {
        format!(
            "[[notify]]\nname = \"team\"\nkind = \"webhook\"\nurl = \"{}/hook\"\nsecret_file = \"hook.secret\"\nlevel = \"info\"\n",
            to.url()
        )
    };
    let dir = folder(origin(), &format!("{}{PLAIN}", sink(&first)));
    std::fs::write(dir.path().join("hook.secret"), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").unwrap();
    let running = Succession::start(dir);
    save(&running, &format!("{}{PLAIN}", sink(&second)));
    wait_until("the second hears of the change", SOON, || second.requests() > 0);
    // What the first was still to be told of that has come by then.
    std::thread::sleep(Duration::from_secs(1));
    let heard = first.requests();
    let routing = running.dir.path().join("routing.toml");
    let text = std::fs::read_to_string(&routing).unwrap();
    std::fs::write(&routing, text.replace("weight = 10", "weight = 20")).unwrap();
    wait_until("the second hears of the shift", SOON, || second.requests() > 1);
    assert_eq!(first.requests(), heard);
}
