//! Editing the routing file while traffic flows.

use std::os::unix::fs::symlink;
use std::time::Duration;

use cutover::serve;

use crate::support::client::{admin, get};
use crate::support::house::{House, Load, settings, shop};
use crate::support::origin::Origin;
use crate::support::{SOON, wait_until};

/// "Under a second" is what is promised; a test on a busy machine gets ten times that.
const UNDER_A_SECOND: Duration = Duration::from_secs(10);

fn reloads(house: &House, result: &str) -> u64 {
    let metrics = house.metrics();
    let line = format!("cutover_config_reload_total{{result=\"{result}\"}} ");
    metrics.lines().find_map(|l| l.strip_prefix(&line)).unwrap().parse().unwrap()
}

#[test]
fn a_file_written_in_place_renamed_over_or_swapped_by_symlink_is_in_force_at_once() {
    let (blue, green) = (Origin::start("blue"), Origin::start("green"));
    let dir = tempfile::tempdir().unwrap();
    let text = |weight: u32| shop(&blue.url(), &green.url(), &format!("weight = {weight}"), "");
    // As Kubernetes lays it: the file is a symlink into ..data, which is a symlink to a dated folder.
    let version = |name: &str, weight| {
        std::fs::create_dir(dir.path().join(name)).unwrap();
        std::fs::write(dir.path().join(name).join("routing.toml"), text(weight)).unwrap();
    };
    version("v1", 1);
    symlink("v1", dir.path().join("..data")).unwrap();
    symlink("..data/routing.toml", dir.path().join("routing.toml")).unwrap();
    let running = serve::start(&settings(dir.path())).unwrap();
    let weight = || running.published.load().table.services().next().unwrap().2.weight.basis_points();
    assert_eq!(weight(), 100);

    version("v2", 2);
    symlink("v2", dir.path().join("..next")).unwrap();
    std::fs::rename(dir.path().join("..next"), dir.path().join("..data")).unwrap();
    wait_until("the swapped symlink is in force", UNDER_A_SECOND, || weight() == 200);

    let path = dir.path().join("routing.toml");
    std::fs::write(dir.path().join("new"), text(3)).unwrap();
    std::fs::rename(dir.path().join("new"), &path).unwrap();
    wait_until("the renamed file is in force", UNDER_A_SECOND, || weight() == 300);

    std::fs::write(&path, text(4)).unwrap();
    wait_until("the file written in place is in force", UNDER_A_SECOND, || weight() == 400);

    // Half written first: refused, then whole.
    let whole = text(5);
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    wait_until("half a file is refused", UNDER_A_SECOND, || {
        admin(running.admin, "/metrics").body.contains("cutover_config_reload_total{result=\"refused\"} 1")
    });
    assert_eq!(weight(), 400, "the last good one stays");
    std::fs::write(&path, &whole).unwrap();
    wait_until("the whole file is in force", UNDER_A_SECOND, || weight() == 500);
}

#[test]
fn what_cannot_be_taken_changes_nothing() {
    let house = House::start("weight = 10", "");
    let good = std::fs::read(house.routing_path()).unwrap();
    let generation = house.running.published.load().generation;
    let huge = "# a comment\n".repeat(500_000);
    let not_text = [&good[..], &[0xff, 0xfe]].concat();
    let bad: [(&str, Vec<u8>); 7] = [
        ("an access log", b"x\n".repeat(6_000)),
        ("empty", vec![]),
        ("no service", b"# nothing\n".to_vec()),
        ("broken", b"[service.shop\n".to_vec()),
        ("not UTF-8", not_text),
        ("over 4 MiB", huge.into_bytes()),
        ("a bad weight", String::from_utf8(good.clone()).unwrap().replace("weight = 10", "weight = 1000").into_bytes()),
    ];
    for (count, (what, bytes)) in bad.iter().enumerate() {
        std::fs::write(house.routing_path(), bytes).unwrap();
        wait_until(&format!("{what}: refused"), SOON, || reloads(&house, "refused") == count as u64 + 1);
    }
    std::fs::remove_file(house.routing_path()).unwrap();
    wait_until("deleted: refused", SOON, || reloads(&house, "refused") == 8);
    assert_eq!((house.running.published.load().generation, house.weight()), (generation, 1000));
    assert_eq!(house.client().get("/", &[]).status, 200);
    assert!(std::process::Command::new("mkfifo").arg(house.routing_path()).status().unwrap().success());
    house.running.reload();
    wait_until("a pipe: refused", SOON, || reloads(&house, "refused") >= 9);
    std::fs::remove_file(house.routing_path()).unwrap();
    std::fs::write(house.routing_path(), good).unwrap();
    wait_until("the good file is back", SOON, || reloads(&house, "taken") == 2);
}

#[test]
fn a_thousand_reloads_under_load_fail_no_request() {
    let house = House::start("weight = 10", "");
    let load = Load::start(house.address(), 8, Duration::ZERO);
    let mut taken = 1;
    for round in 0..1000_u32 {
        // Routes come and go too, so that a torn mix of two files would be seen.
        let route = format!("[[service.shop.route]]\nname = \"r{}\"\npath = \"/r{}/*\"\n", round % 3, round % 3);
        // Renamed over, so that no reader ever sees half of it.
        let text = shop(&house.blue.url(), &house.green.url(), &format!("weight = {}", 10 + round % 40), &route);
        let beside = house.routing_path().with_extension("new");
        std::fs::write(&beside, text).unwrap();
        std::fs::rename(&beside, house.routing_path()).unwrap();
        house.running.reload();
        taken += 1;
        // The watcher may see the same change once more.
        wait_until(&format!("reload {round}"), SOON, || house.weight() == (10 + round as u16 % 40) * 100);
    }
    let (requests, failed) = load.stop();
    assert_eq!(failed, 0, "of {requests}");
    assert!(requests > 1000, "{requests} requests");
    wait_until("every reload is counted", SOON, || reloads(&house, "taken") >= taken);
    assert_eq!(reloads(&house, "refused"), 0);
}

#[test]
fn counters_and_pins_survive_a_reload() {
    let house = House::start("weight = 50\nsticky = { cookie = \"c\" }", "");
    let mut client = house.client();
    let sides: Vec<String> = (0..50).map(|n| client.get("/", &[&format!("Cookie: c=client{n}")]).body).collect();
    let before = house.seen(judgement::traffic::Environment::Blue).classes;
    house.write("weight = 50\nsticky = { cookie = \"c\" }", "[[service.shop.route]]\nname = \"a\"\npath = \"/a\"\n");
    house.running.reload();
    wait_until("the reload is in force", SOON, || reloads(&house, "taken") >= 2);
    let again: Vec<String> = (0..50).map(|n| client.get("/", &[&format!("Cookie: c=client{n}")]).body).collect();
    assert_eq!(sides, again);
    let after = house.seen(judgement::traffic::Environment::Blue).classes;
    assert!(after.iter().zip(before).all(|(after, before)| *after >= before), "{before:?} {after:?}");
    assert_eq!(house.blue.connections() + house.green.connections(), 2, "pools survive too");
}

#[test]
fn a_folder_of_files_is_one_routing() {
    let (blue, green) = (Origin::start("blue"), Origin::start("green"));
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("routing.toml");
    std::fs::create_dir(&folder).unwrap();
    let file = |name: &str, host: &str| {
        let text = shop(&blue.url(), &green.url(), "", "").replace("service.shop", &format!("service.{name}"));
        let text = text.replacen(']', &format!("]\nhosts = [\"{host}\"]"), 1);
        std::fs::write(folder.join(format!("{name}.toml")), text).unwrap();
    };
    file("a", "a.test");
    let running = serve::start(&settings(dir.path())).unwrap();
    let status = |host: &str| get(running.addresses[0], "/", &[&format!("Host: {host}")]).status;
    assert_eq!((status("a.test"), status("b.test")), (200, 404));
    file("b", "b.test");
    wait_until("a new file in the folder is in force", SOON, || status("b.test") == 200);
    file("c", "a.test");
    wait_until("a host in two files refuses the whole", SOON, || {
        admin(running.admin, "/metrics").body.contains("result=\"refused\"} 1")
    });
    assert_eq!((status("a.test"), status("b.test")), (200, 200));
}

#[test]
fn the_series_of_a_service_and_a_route_that_left_the_file_end_and_come_back_as_they_were() {
    let house = House::start("weight = 0", "");
    let service = |name: &str, rest: &str| {
        let text = shop(&house.blue.url(), &house.green.url(), "", rest);
        text.replace("service.shop", &format!("service.{name}"))
            .replace(&format!("[service.{name}]\n"), &format!("[service.{name}]\nhosts = [\"{name}.test\"]\n"))
    };
    let route = "[[service.shop.route]]\nname = \"api\"\npath = \"/api/*\"\n";
    let has = |text: &str| house.metrics().contains(text);
    let write = |text: String| {
        let before = house.running.published.load().generation;
        std::fs::write(house.routing_path(), text).unwrap();
        house.running.reload();
        wait_until("it is in force", SOON, || house.running.published.load().generation > before);
    };
    write(service("shop", route) + &service("gone", ""));
    for (host, path) in [("gone.test", "/"), ("shop.test", "/api/a"), ("shop.test", "/")] {
        let mut client = house.client();
        assert_eq!(client.request("GET", path, &[&format!("Host: {host}")], "").status, 200);
    }
    let requests = "cutover_requests_total{service=\"gone\",route=\"default\",environment=\"blue\",class=\"2xx\"} 1";
    wait_until("all are counted", SOON, || has(requests) && has("route=\"api\""));
    write(service("shop", ""));
    let metrics = house.metrics();
    assert!(!metrics.contains("service=\"gone\"") && !metrics.contains("route=\"api\""), "{metrics}");
    assert!(metrics.contains("cutover_requests_total{service=\"shop\",route=\"default\""), "{metrics}");
    write(service("shop", route) + &service("gone", ""));
    assert!(has(requests) && has("route=\"api\""), "counters only grow");
}
