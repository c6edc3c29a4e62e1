//! The binary, as a user types it.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::house::{House, shop};
use crate::support::origin::Do;
use crate::support::{SOON, wait_until};
use judgement::rollout::ChangeKind;

pub fn cutover(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cutover")).current_dir(dir).args(args).env("NO_COLOR", "1").output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn files(main: &str, routing: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("cutover.toml"), main).unwrap();
    std::fs::write(dir.path().join("routing.toml"), routing).unwrap();
    dir
}

#[test]
fn check_says_ok_or_everything_that_is_wrong() {
    let good = shop("http://127.0.0.1:1", "https://green.test/base", "weight = 2.5", "");
    let dir = files("version = 1\n", &good);
    let output = cutover(dir.path(), &["check"]);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(0), "ok: 1 service\n".to_owned()));

    let gated = good.clone()
        + "\n[service.shop.rollout]\nsuites = [\"smoke\"]\nsteps = [{ weight = 10, suites = [\"fast\"] }, 100]\n";
    let dir = files("version = 1\n", &gated);
    std::fs::create_dir(dir.path().join("suites")).unwrap();
    std::fs::write(dir.path().join("suites/smoke.toml"), "version = 1\n[[case]]\npath = \"/\"\n").unwrap();
    let output = cutover(dir.path(), &["check"]);
    let stdout = text(&output.stdout);
    assert_eq!(output.status.code(), Some(3), "{stdout}");
    let why = "there is no suite `fast` in suites\n  --> routing.toml:";
    assert!(stdout.contains(why) && stdout.ends_with("1 problem\n"), "{stdout}");

    let dir = files("version = 1\n[proxi]\n", &good.replace("weight = 2.5", "wieght = 2.5\nactive = \"red\""));
    let output = cutover(dir.path(), &["check"]);
    assert_eq!(output.status.code(), Some(3));
    let stdout = text(&output.stdout);
    assert!(stdout.contains("unknown key `proxi`") && stdout.contains("did you mean `proxy`?"), "{stdout}");

    let output = cutover(dir.path(), &["check", "--routing", "routing.toml", "--format", "json"]);
    assert_eq!(output.status.code(), Some(3));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let lines: Vec<_> = report["problems"].as_array().unwrap().iter().map(|p| p["line"].as_u64().unwrap()).collect();
    assert_eq!((report["ok"].as_bool(), lines), (Some(false), vec![7, 8]), "{report:#}");
}

#[test]
fn the_schema_knows_every_key_and_every_example_fits_it() {
    let dir = tempfile::tempdir().unwrap();
    let schema: Value = serde_json::from_slice(&cutover(dir.path(), &["check", "--schema"]).stdout).unwrap();
    let text = schema.to_string();
    for key in
        ["hosts", "blue", "urls", "weight", "sticky", "client_address", "override", "strip", "trigger", "deadline"]
    {
        assert!(text.contains(&format!("\"{key}\"")), "{key}");
    }
    assert_eq!(schema["additionalProperties"], Value::Bool(false), "unknown keys are errors in an editor too");
}

#[test]
fn the_example_files_are_good() {
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let output = cutover(&config, &["check"]);
    assert_eq!(text(&output.stdout), "ok: 1 service\n", "{}", text(&output.stderr));
    // Secrets are read with the file, and stand beside it.
    let dir = tempfile::tempdir().unwrap();
    std::fs::copy(config.join("every-key.toml"), dir.path().join("every-key.toml")).unwrap();
    let secret = dir.path().join("gate.secret");
    std::fs::write(&secret, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
    let output = cutover(dir.path(), &["check", "--routing", "every-key.toml"]);
    assert_eq!(text(&output.stdout), "ok: 2 services\n", "{}", text(&output.stderr));
}

#[test]
fn no_suite_of_the_folder_is_passed_over_without_a_word() {
    let dir = files("version = 1\n", &shop("http://127.0.0.1:1", "http://127.0.0.1:2", "", ""));
    let suites = dir.path().join("suites");
    std::fs::create_dir(&suites).unwrap();
    let suite = "version = 1\n[[case]]\nname = \"up\"\npath = \"/\"\n";
    for name in ["good.toml", "a b.toml", ".#good.toml", "README.md"] {
        std::fs::write(suites.join(name), suite).unwrap();
    }
    for command in [&["check"][..], &["validate", "check"]] {
        let output = cutover(dir.path(), command);
        let said = text(&output.stdout);
        assert_eq!(output.status.code(), Some(3), "{said}");
        assert!(said.contains("a b.toml") && said.contains("rename the file"), "{said}");
        assert!(!said.contains(".#good") && !said.contains("README"), "{said}");
    }
    std::fs::remove_file(suites.join("a b.toml")).unwrap();
    assert_eq!(text(&cutover(dir.path(), &["validate", "check"]).stdout), "ok: 1 suite\n");
    (0..200).for_each(|n| std::fs::write(suites.join(format!("a{n}.toml")), suite).unwrap());
    let said = text(&cutover(dir.path(), &["check"]).stdout);
    assert!(said.contains("good.toml") && said.contains("the folder has over 200 suites"), "{said}");
}

#[test]
fn a_pipeline_checks_the_files_without_their_secrets() {
    let hook = "[[notify]]\nname = \"ops\"\nkind = \"webhook\"\nurl = \"${A_HOOK_THAT_IS_NOT_SET}\"\nsecret_file = \"gone.secret\"\n";
    let main = format!(
        "version = 1\n[[proxy.tls]]\nlisten = \"127.0.0.1:0\"\ncert_file = \"gone.pem\"\nkey_file = \"gone.key\"\n{hook}"
    );
    let store = "[[service.shop.health]]\nname = \"db\"\nsql = { url_file = \"gone.url\" }\n\
                 [[service.shop.health]]\nname = \"redis\"\nredis = { url_env = \"A_URL_THAT_IS_NOT_SET\" }\n";
    let dir = files(&main, &shop("http://127.0.0.1:1", "http://127.0.0.1:2", "", store));
    let suites = dir.path().join("suites");
    std::fs::create_dir(&suites).unwrap();
    let suite =
        "version = 1\n[[case]]\nname = \"up\"\npath = \"/\"\nheaders = { x-key = \"${env.A_KEY_THAT_IS_NOT_SET}\" }\n";
    std::fs::write(suites.join("smoke.toml"), suite).unwrap();
    let strict = cutover(dir.path(), &["check"]);
    assert_eq!(strict.status.code(), Some(3), "{}", text(&strict.stdout));
    let output = cutover(dir.path(), &["check", "--without-secrets"]);
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("ok: 1 service, 1 suite"), "{said}");
    assert!(said.contains("gone.secret") && said.contains("gone.url"), "they are warnings: {said}");
    // A service that is not known for lack of its URL is not one that there is not.
    let routing = shop("${A_URL_THAT_IS_NOT_SET}", "http://127.0.0.1:2", "", store);
    std::fs::write(dir.path().join("routing.toml"), routing).unwrap();
    std::fs::write(suites.join("smoke.toml"), format!("service = \"shop\"\n{suite}")).unwrap();
    let data = "[database.shop]\nblue = { url_env = \"A_URL_THAT_IS_NOT_SET\" }\ngreen = { url_env = \"ANOTHER\" }\n\
                [[data]]\nname = \"orders\"\ntable = \"orders\"\n";
    std::fs::write(suites.join("data.toml"), format!("version = 1\nservice = \"shop\"\n{data}")).unwrap();
    let output = cutover(dir.path(), &["check", "--without-secrets"]);
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("ok: 1 service, 2 suites, "), "{said}");
    assert!(said.ends_with("\nwithout their secrets, not all of these could be checked: shop\n"), "{said}");
    assert!(said.contains("A_KEY_THAT_IS_NOT_SET") && said.contains("cannot use `ANOTHER`: it is not set"), "{said}");
    let output = cutover(dir.path(), &["check", "--without-secrets", "--format", "json"]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["services"], &report["unchecked"]), (&1.into(), &serde_json::json!(["shop"])), "{report}");
    // A suite for a service that there is not is as wrong as before, and so is everything else.
    std::fs::write(suites.join("data.toml"), format!("version = 1\nservice = \"shpo\"\n{data}")).unwrap();
    let output = cutover(dir.path(), &["check", "--without-secrets"]);
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stdout));
    std::fs::remove_file(suites.join("data.toml")).unwrap();
    std::fs::write(suites.join("smoke.toml"), suite.replace("path", "paht")).unwrap();
    let output = cutover(dir.path(), &["check", "--without-secrets"]);
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stdout));
}

#[test]
fn hosts_that_are_not_known_in_a_pipeline_are_not_those_of_another_service() {
    let service = |name: &str, hosts: &str, port: u16| {
        format!(
            "[service.{name}]\nhosts = {hosts}\nblue = {{ url = \"http://127.0.0.1:{port}\" }}\n\
             green = {{ url = \"http://127.0.0.1:{}\" }}\n",
            port + 1
        )
    };
    let dir = files(
        "version = 1\n",
        &format!(
            "{}{}",
            service("shop", "\"${A_HOST_THAT_IS_NOT_SET}\"", 1),
            service("blog", "[\"${ANOTHER_HOST}\"]", 3)
        ),
    );
    let output = cutover(dir.path(), &["check", "--without-secrets"]);
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("ok: 2 services, 2 warnings") && !said.contains("not all of these"), "{said}");
}

#[test]
fn run_refuses_what_it_cannot_do_and_says_why() {
    let dir = files("version = 1\n", "[service.shop]\n");
    let output = cutover(dir.path(), &["run"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output.stderr).contains("service `shop` has no blue environment"), "{}", text(&output.stderr));

    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let main = format!("version = 1\n[proxy]\nlisten = [\"{address}\"]\n[admin]\nlisten = \"127.0.0.1:0\"\n");
    let dir = files(&main, &shop("http://127.0.0.1:1", "http://127.0.0.1:2", "", ""));
    let output = cutover(dir.path(), &["run"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains(&format!("cannot listen on {address}")), "{}", text(&output.stderr));

    let output = cutover(dir.path(), &["run", "--config", "nowhere.toml"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output.stderr).contains("nowhere.toml"), "{}", text(&output.stderr));
    assert_eq!(cutover(dir.path(), &["rnu"]).status.code(), Some(2), "usage");
}

#[test]
fn history_and_explain_tell_and_replay_and_find_an_altered_entry() {
    let house = House::start("weight = 50", "");
    house.green.always(Do::Status(500));
    let mut client = house.client();
    wait_until("it is rolled back and written", SOON, || {
        client.get("/", &[]);
        house.weight() == 0 && house.find(ChangeKind::Ledger).is_some()
    });
    let id = house.entry(ChangeKind::Rollback).change.id;
    let state = house.settings.state.to_string_lossy().into_owned();
    let dir = house.dir.path();
    let history = text(&cutover(dir, &["history", "--state", &state]).stdout);
    assert!(history.contains("rollback") && history.contains("50 % -> 0 %"), "{history}");
    assert_eq!(cutover(dir, &["history", "--state", &state, "--verify"]).status.code(), Some(0));
    let entries: Value =
        serde_json::from_slice(&cutover(dir, &["history", "--state", &state, "--output", "json"]).stdout).unwrap();
    assert_eq!(entries[0]["kind"], "ledger");

    let id = &id.to_string();
    let output = cutover(dir, &["explain", id, "--state", &state]);
    let explained = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{explained}");
    for word in [
        "green fails ",
        " : 1 that green is worse than tolerated",
        "1,000 : 1 |",
        "as recorded",
        "judged again: unhealthy: evidence of errors",
        "the same verdict as recorded",
        "cost of rollout 1:",
    ] {
        assert!(explained.contains(word), "{word}: {explained}");
    }
    let latest = text(&cutover(dir, &["explain", "--state", &state]).stdout);
    assert_eq!(latest, explained, "the latest rollback");
    let none = cutover(dir, &["explain", "99", "--state", &state]);
    assert_eq!(
        (none.status.code(), text(&none.stderr)),
        (Some(1), "cutover: there is no entry 99: `cutover history` lists them\n".to_owned())
    );
    let nothing = cutover(dir, &["history", "--state", "nowhere.db"]);
    assert!(
        text(&nothing.stderr).contains("nowhere.db does not exist or is not a Cutover journal"),
        "{}",
        text(&nothing.stderr)
    );

    drop(house.running);
    let alter =
        "UPDATE journal SET body = replace(body, '\"verdict\":\"unhealthy\"', '\"verdict\":\"healthy\"') WHERE id = ?1";
    rusqlite::Connection::open(&state).unwrap().execute(alter, [id]).unwrap();
    let output = cutover(dir, &["explain", id, "--state", &state]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
    assert!(text(&output.stdout).contains("NOT the recorded verdict"), "{}", text(&output.stdout));
    assert!(text(&output.stdout).contains(&format!("ALTERED: entry {id}")), "{}", text(&output.stdout));
    let output = cutover(dir, &["history", "--state", &state, "--verify"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains(&format!("entry {id} does not follow")), "{}", text(&output.stdout));
}

#[test]
fn the_demo_plays_its_story_and_measures_it() {
    let dir = tempfile::tempdir().unwrap();
    let output = cutover(dir.path(), &["demo", "--output", "json", "--rate", "400"]);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{told:#}");
    assert_eq!((told["weight_before"].as_f64(), told["weight_after"].as_f64()), (Some(10.0), Some(0.0)));
    assert_eq!(told["failed_seen_by_clients"].as_u64(), Some(0), "{told:#}");
    assert!(told["requests"].as_u64() > Some(500) && told["rescued"].as_u64() > Some(0), "{told:#}");
    assert!(told["detection_ms"].as_u64() < Some(5000), "{told:#}");
    let live = text(&cutover(dir.path(), &["demo", "--output", "text", "--rate", "400"]).stdout);
    assert!(live.contains("green was rolled back automatically") && !live.contains('\x1b'), "{live}");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_panic() {
    let dir = files("version = 1\n", &shop("http://127.0.0.1:1", "http://127.0.0.1:2", "", ""));
    let line = format!("{} check --schema | head -1; {0} check > /dev/full", env!("CARGO_BIN_EXE_cutover"));
    let output = Command::new("sh").args(["-c", &line]).current_dir(dir.path()).output().unwrap();
    let stderr = text(&output.stderr);
    assert_eq!((text(&output.stdout).as_str(), output.status.code()), ("{\n", Some(1)));
    assert!(!stderr.contains("panicked") && stderr.contains("No space left"), "{stderr}");
}
