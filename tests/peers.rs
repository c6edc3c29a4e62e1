//! With real servers around it. Ignored where they are not installed; `.ci/setup` installs them, `.ci/run` runs these.

use std::process::{Child, Command, Stdio};

use judgement::rollout::ChangeKind;

use crate::support::client::Client;
use crate::support::house::{House, shop};
use crate::support::origin::Do;
use crate::support::{SOON, SmallDisk, wait_until};

/// Debian's nginx with two sites, one a side. Ended when dropped.
struct Nginx {
    child: Child,
    dir: tempfile::TempDir,
    ports: [u16; 2],
}

impl Nginx {
    fn start() -> Nginx {
        let dir = tempfile::tempdir().unwrap();
        let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let ports = [free(), free()];
        let site = |port: u16, name: &str| {
            format!(
                "server {{ listen 127.0.0.1:{port}; location / {{ default_type text/plain; return 200 {name}; }} }}"
            )
        };
        let conf = format!(
            "daemon off; pid {0}/pid; error_log {0}/error.log; worker_processes 1; events {{ worker_connections 1024; }}\n\
             http {{ access_log {0}/access.log; client_body_temp_path {0}/b; proxy_temp_path {0}/p; fastcgi_temp_path {0}/f; \
             uwsgi_temp_path {0}/u; scgi_temp_path {0}/s; {1} {2} }}",
            dir.path().display(),
            site(ports[0], "blue"),
            site(ports[1], "green"),
        );
        let path = dir.path().join("nginx.conf");
        std::fs::write(&path, conf).unwrap();
        let nginx = Command::new("nginx").arg("-c").arg(&path).stderr(Stdio::null()).spawn();
        let child = nginx.expect("nginx is installed: .ci/setup does it");
        wait_until("nginx listens", SOON, || {
            ports.iter().all(|port| std::net::TcpStream::connect(("127.0.0.1", *port)).is_ok())
        });
        Nginx { child, dir, ports }
    }

    fn lines(&self) -> usize {
        std::fs::read_to_string(self.dir.path().join("access.log")).unwrap_or_default().lines().count()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

#[test]
#[ignore = "needs nginx: .ci/setup installs it"]
fn ten_thousand_requests_to_two_nginx_split_exactly_and_sticky_clients_never_go_back() {
    let nginx = Nginx::start();
    let house = House::start("", "");
    let urls = nginx.ports.map(|port| format!("http://127.0.0.1:{port}"));
    let write = |split: &str| std::fs::write(house.routing_path(), shop(&urls[0], &urls[1], split, "")).unwrap();
    write("weight = 10");
    house.wait_for_weight(1000);
    let mut client = house.client();
    wait_until("nginx serves", SOON, || {
        client.get("/", &[]);
        nginx.lines() > 0
    });
    let count = |clients: usize| -> usize {
        let threads: Vec<_> = (0..clients)
            .map(|_| {
                let mut client = house.client();
                std::thread::spawn(move || {
                    (0..10_000 / clients).filter(|_| client.get("/", &[]).body == "green").count()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    };
    for clients in [1, 8] {
        let green = count(clients);
        assert!((996..=1004).contains(&green), "{green} of 10,000 on green");
    }

    // 100,000 keys are asked of the pure table in `traffic`; here a thousand through the sockets, at every step.
    let mut before = vec![false; 1000];
    for weight in [10, 25, 50, 75, 100] {
        write(&format!("weight = {weight}\nsticky = {{ header = \"x-user\" }}"));
        house.wait_for_weight(weight * 100);
        wait_until("stickiness is in force", SOON, || {
            let sides: Vec<String> = (0..20).map(|_| client.get("/", &["X-User: one"]).body).collect();
            sides.iter().all(|side| *side == sides[0])
        });
        for (user, was_green) in before.iter_mut().enumerate() {
            let green = client.get("/", &[&format!("X-User: {user}")]).body == "green";
            assert!(green || !*was_green, "user {user} went back at {weight} %");
            *was_green = green;
        }
    }
    assert!(before.iter().all(|green| *green), "everybody is on green at 100 %");
}

#[test]
#[ignore = "needs root, to mount a small disk: .ci/run is root"]
fn a_full_disk_stops_neither_routing_nor_rollback_and_is_caught_up_with() {
    let mount = SmallDisk::of("256k");
    let house = House::with("weight = 50", "", |settings| settings.state = mount.path().join("cutover.db"));
    wait_until("the first entry is written", SOON, || house.history().len() == 1);
    let filler = mount.path().join("filler");
    // Fills what is left, down to the last block.
    let _ = std::fs::write(&filler, vec![0_u8; 1 << 20]);
    house.green.always(Do::Status(500));
    let mut client: Client = house.client();
    wait_until("it is rolled back", SOON, || {
        assert_eq!(client.get("/", &[]).status, 200);
        house.weight() == 0
    });
    wait_until("the full disk is counted", SOON, || !house.metrics().contains("cutover_journal_waiting 0\n"));
    assert!((0..50).all(|_| client.get("/", &[]).status == 200));
    std::fs::remove_file(&filler).unwrap();
    wait_until("the entry is written after all", SOON, || house.find(ChangeKind::Rollback).is_some());

    // And a start on a full disk goes on by what it says.
    let House { blue, green, running, settings, dir } = house;
    drop(running);
    let _ = std::fs::write(&filler, vec![0_u8; 1 << 20]);
    let again = cutover::serve::start(&settings).unwrap();
    let weight = again.published.load().table.services().next().unwrap().2.weight;
    assert!(weight.is_zero(), "rolled back before, rolled back after: {weight}");
    drop((blue, green, dir));
}
