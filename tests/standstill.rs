//! A real process that is stopped for a while and goes on: one event, and no reason for a rollback.

use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use judgement::rollout::ChangeKind;

use crate::support::house::{House, Load, shop};
use crate::support::{SOON, wait_until};

/// Debian's nginx in one process, so that it can be stopped as a whole. Ended when dropped.
struct Nginx {
    child: Child,
    port: u16,
    _dir: tempfile::TempDir,
}

impl Nginx {
    fn start(name: &str) -> Nginx {
        let dir = tempfile::tempdir().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let path = dir.path().join("nginx.conf");
        let mut conf = std::fs::File::create(&path).unwrap();
        write!(
            conf,
            "daemon off; master_process off; pid {0}/pid; error_log {0}/error.log; events {{ worker_connections 1024; }}\n\
             http {{ access_log off; client_body_temp_path {0}/b; proxy_temp_path {0}/p; fastcgi_temp_path {0}/f; \
             uwsgi_temp_path {0}/u; scgi_temp_path {0}/s; server {{ listen 127.0.0.1:{port}; \
             location / {{ default_type text/plain; return 200 {name}; }} }} }}",
            dir.path().display(),
        )
        .unwrap();
        let nginx = Command::new("nginx").arg("-c").arg(&path).stderr(Stdio::null()).spawn();
        let child = nginx.expect("nginx is installed: .ci/setup does it");
        wait_until("nginx listens", SOON, || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        Nginx { child, port, _dir: dir }
    }

    fn signal(&self, signal: &str) {
        assert!(Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap().success());
    }

    fn stands_still_for(&self, long: Duration) {
        self.signal("-STOP");
        std::thread::sleep(long);
        self.signal("-CONT");
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Two nginx at 50 %, and clients that ask for a while before anything happens. They are many, because each one that hangs
/// asks no more.
fn site() -> ([Nginx; 2], House, Load) {
    let nginx = ["blue", "green"].map(Nginx::start);
    let house = House::start("", "");
    let [blue, green] = nginx.each_ref().map(|nginx| format!("http://127.0.0.1:{}", nginx.port));
    std::fs::write(house.routing_path(), shop(&blue, &green, "weight = 50", "")).unwrap();
    house.wait_for_weight(5000);
    let load = Load::start(house.address(), 100, Duration::from_millis(100));
    wait_until("green serves", SOON, || load.book.green.load(SeqCst) > 0);
    std::thread::sleep(Duration::from_secs(3));
    (nginx, house, load)
}

#[test]
#[ignore = "needs nginx: .ci/setup installs it"]
fn a_side_that_stands_still_now_and_then_is_not_rolled_back() {
    let ([_blue, green], house, load) = site();
    for millis in [400, 1000, 150, 2000, 700, 50, 1500, 300] {
        green.stands_still_for(Duration::from_millis(millis));
        std::thread::sleep(Duration::from_millis(1500));
    }
    assert_eq!(house.weight(), 5000, "{:?}", house.find(ChangeKind::Rollback).map(|entry| entry.change.why));
    let before = load.book.green.load(SeqCst);
    wait_until("green is asked as before", SOON, || load.book.green.load(SeqCst) > before + 20);
    assert_eq!(load.book.failed.load(SeqCst), 0, "{:?}", load.book.first_failures.lock().unwrap());
}

#[test]
#[ignore = "needs nginx: .ci/setup installs it"]
fn a_side_that_stops_for_good_is_spared_and_rolled_back() {
    let ([_blue, green], house, _load) = site();
    green.signal("-STOP");
    wait_until("new requests go to blue", SOON, || house.split().standing || house.weight() == 0);
    wait_until("it is rolled back", SOON, || house.weight() == 0);
    wait_until("it is on record", SOON, || house.find(ChangeKind::Rollback).is_some());
    let why = house.find(ChangeKind::Rollback).unwrap().change.why;
    green.signal("-CONT");
    assert!(why.contains("hang"), "{why}");
}
