//! Rollouts as a user sees them: the real program, its command line, real load.

use std::process::{Command, Output};
use std::time::Duration;

use judgement::rollout::ChangeKind;
use serde_json::Value;
use sidecar::journal::JournalReader;

use crate::lifecycle::{Process, folder};
use crate::support::client::get;
use crate::support::house::Load;
use crate::support::origin::{Do, Origin};
use crate::support::{SOON, wait_until};

/// A program of its own before two origins, with a plan.
pub struct Site {
    pub blue: Origin,
    pub green: Origin,
    dir: tempfile::TempDir,
    pub process: Process,
}

/// A whole rollout takes a few seconds; a test on a busy machine gets ten times that.
pub const LONG: Duration = Duration::from_secs(100);

impl Site {
    pub fn new(rollout: &str) -> Site {
        Site::with_env(rollout, &[])
    }

    /// With these variables of its environment.
    pub fn with_env(rollout: &str, env: &[(&str, &str)]) -> Site {
        let (blue, green) = (Origin::start("blue"), Origin::start("green"));
        let dir = folder(&blue.url(), &green.url(), "");
        let routing = dir.path().join("routing.toml");
        let text = std::fs::read_to_string(&routing).unwrap();
        std::fs::write(&routing, format!("{text}\n[service.shop.rollout]\n{rollout}\n")).unwrap();
        let process = Process::start_to(dir.path(), env, std::process::Stdio::inherit());
        Site { blue, green, dir, process }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
        command
            .args(args)
            .current_dir(self.dir.path())
            .env("CUTOVER_ADMIN_URL", format!("http://{}", self.process.admin));
        command
    }

    /// What a command says, and its exit code.
    pub fn cutover(&self, args: &[&str]) -> (Option<i32>, String) {
        let Output { status, stdout, stderr } = self.command(args).output().unwrap();
        (status.code(), format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr)))
    }

    #[track_caller]
    pub fn must(&self, args: &[&str]) -> String {
        let (code, said) = self.cutover(args);
        assert_eq!(code, Some(0), "{args:?}: {said}");
        said
    }

    pub fn status(&self) -> Value {
        let said = self.must(&["status", "--output", "json"]);
        let status: Value = serde_json::from_str(&said).unwrap_or_else(|why| panic!("{why}: {said}"));
        status["services"][0].clone()
    }

    pub fn phase(&self) -> String {
        self.status()["rollout"]["phase"].as_str().unwrap_or("").to_owned()
    }

    #[track_caller]
    pub fn wait_for_phase(&self, phase: &str) {
        wait_until(&format!("the rollout is {phase}"), LONG, || self.phase() == phase);
    }

    pub fn kinds(&self) -> Vec<ChangeKind> {
        let mut kinds: Vec<ChangeKind> = JournalReader::open(&self.dir.path().join("cutover.db"))
            .unwrap()
            .latest(None, 1000)
            .unwrap()
            .into_iter()
            .map(|entry| entry.change.kind)
            .collect();
        kinds.reverse();
        kinds
    }

    /// A validation suite.
    pub fn suite(&self, name: &str, text: &str) {
        let folder = self.dir.path().join("suites");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("{name}.toml")), text).unwrap();
    }

    /// The disk takes no record of a run any more.
    pub fn no_records(&self) {
        let records = self.dir.path().join("cutover.db.runs");
        std::fs::remove_dir_all(&records).unwrap();
        std::fs::write(&records, "").unwrap();
    }

    /// `kill -9`, and started again.
    pub fn crash(self) -> Site {
        self.restart("KILL")
    }

    /// Ended by a signal, and started again.
    pub fn restart(self, signal: &str) -> Site {
        self.process.signal(signal);
        self.after_its_end()
    }

    /// The same, with something done in between.
    pub fn restart_with(mut self, signal: &str, done: impl FnOnce()) -> Site {
        self.process.signal(signal);
        let _ = self.process.child.wait();
        done();
        self.after_its_end()
    }

    pub fn routing(&self) -> std::path::PathBuf {
        self.dir.path().join("routing.toml")
    }

    /// Started again when it has ended.
    pub fn after_its_end(mut self) -> Site {
        let _ = self.process.child.wait();
        self.process = Process::start(self.dir.path());
        self
    }

    /// Started again, and with a drain that no test waits for.
    pub fn patient(self) -> Site {
        let main = self.dir.path().join("cutover.toml");
        std::fs::write(&main, std::fs::read_to_string(&main).unwrap().replace("3s", "10m")).unwrap();
        self.restart("INT")
    }
}

pub const QUICK: &str = "bake = \"300ms\"\nrequests = 20\nwatch = \"2s\"\n";

#[test]
fn a_deploy_walks_from_ten_percent_to_the_promotion_under_load_and_not_one_request_fails() {
    let site = Site::new(QUICK);
    let load = Load::start(site.process.address, 8, Duration::from_millis(1));
    let said = site.must(&["deploy", "2.0.0", "--wait", "--through-watch"]);
    assert!(said.contains("2.0.0 is promoted"), "{said}");
    let status = site.status();
    assert_eq!((status["active"].as_str(), status["weight"].as_f64()), (Some("green"), Some(0.0)));
    let (requests, failed) = load.stop();
    assert_eq!(failed, 0, "of {requests}");
    // What is in force is on the disk a moment later.
    wait_until("all of it is written", SOON, || site.kinds().contains(&ChangeKind::Watched));
    let kinds = site.kinds();
    let steps = kinds.iter().filter(|kind| **kind == ChangeKind::Step).count();
    assert_eq!(steps, 4, "{kinds:?}");
    let order = [ChangeKind::Deploy, ChangeKind::Preflight, ChangeKind::Step, ChangeKind::Promote, ChangeKind::Watched];
    let places: Vec<_> = order.iter().map(|kind| kinds.iter().position(|k| k == kind).unwrap()).collect();
    assert!(places.is_sorted(), "{kinds:?}");
    assert_eq!(get(site.process.address, "/", &["Host: shop.test"]).body, "green");
    site.must(&["history", "--verify"]);
    assert!(site.blue.requests() > 0);

    // And back at once, although it was promoted and watched to the end.
    site.must(&["rollback", "--reason", "second thoughts"]);
    assert_eq!(get(site.process.address, "/", &["Host: shop.test"]).body, "blue");
    let (code, said) = site.cutover(&["deploy", "2.0.0"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("was rolled back") && said.contains("force"), "quarantined, and how to go on: {said}");
}

#[test]
fn a_version_that_turns_bad_at_a_quarter_is_rolled_back_and_the_command_ends_with_five() {
    let site = Site::new(QUICK);
    let load = Load::start(site.process.address, 8, Duration::from_millis(1));
    let deploy = site.command(&["deploy", "2.0.0", "--wait"]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    wait_until("a quarter", LONG, || site.status()["weight"].as_f64() == Some(25.0));
    site.green.always(Do::Status(500));
    let ended = deploy.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert_eq!(ended.status.code(), Some(5), "{said}");
    assert!(said.contains("2.0.0 was rolled back") && said.contains("cutover explain"), "{said}");
    let (requests, failed) = load.stop();
    assert_eq!(failed, 0, "what failed was served again by blue: of {requests}");
    wait_until("written", SOON, || site.kinds().contains(&ChangeKind::Rollback));
    site.must(&["history", "--verify"]);
    let entry = site.status()["latch"]["entry"].as_u64().unwrap().to_string();
    let said = site.must(&["explain", &entry]);
    assert!(said.contains("the same verdict as recorded"), "{said}");
}

#[test]
fn killed_in_any_phase_it_goes_on_from_there() {
    let mut site = Site::new("steps = [30, 100]\nbake = \"1s\"\nrequests = 20\nwatch = \"30s\"\n");
    // Preflight: green does not answer, so that is where it stays.
    site.green.always(Do::Slow(Duration::from_secs(5)));
    site.must(&["deploy", "2.0.0"]);
    assert_eq!(site.phase(), "preflight");
    site = site.crash();
    assert_eq!(site.phase(), "preflight");
    site.green.always(Do::Status(200));
    // Shifting: nobody asks, so it stays on its first step.
    site.wait_for_phase("shifting");
    site = site.crash();
    let status = site.status();
    assert_eq!((site.phase().as_str(), status["weight"].as_f64()), ("shifting", Some(30.0)));
    site.must(&["pause"]);
    site = site.crash();
    assert_eq!((site.phase().as_str(), site.status()["weight"].as_f64()), ("paused", Some(30.0)));
    site.must(&["resume"]);
    let load = Load::start(site.process.address, 8, Duration::from_millis(1));
    site.wait_for_phase("baking");
    load.stop();
    site = site.crash();
    assert_eq!((site.phase().as_str(), site.status()["weight"].as_f64()), ("baking", Some(100.0)));
    let load = Load::start(site.process.address, 8, Duration::from_millis(1));
    site.wait_for_phase("promoted");
    load.stop();
    site = site.crash();
    let status = site.status();
    assert_eq!((status["active"].as_str(), status["rollout"]["watching"].as_bool()), (Some("green"), Some(true)));
    site.must(&["history", "--verify"]);
}

#[test]
fn a_person_holds_approves_and_promotes() {
    let site =
        Site::new("steps = [{ weight = 10, bake = \"0s\", requests = 0, approve = true }, 100]\nbake = \"1h\"\n");
    let load = Load::start(site.process.address, 4, Duration::from_millis(1));
    site.must(&["deploy", "2.0.0", "--reason", "as planned"]);
    wait_until("it waits for a person", LONG, || {
        site.status()["rollout"]["waiting_for"] == serde_json::json!(["approval"])
    });
    let (code, said) = site.cutover(&["deploy", "2.0.1"]);
    assert!(code == Some(1) && said.contains("under way") && said.contains("abort"), "{said}");
    site.must(&["approve"]);
    site.wait_for_phase("baking");
    site.must(&["pause"]);
    assert_eq!(site.phase(), "paused");
    site.must(&["promote"]);
    assert_eq!(site.status()["active"].as_str(), Some("green"));
    load.stop();
}

#[test]
fn exit_codes_say_what_is_the_matter() {
    let site = Site::new(QUICK);
    let (code, said) = site.cutover(&["status", "--admin-url", "http://127.0.0.1:1"]);
    assert!(code == Some(4) && said.contains("127.0.0.1:1") && said.contains("refused"), "{code:?} {said}");
    assert_eq!(site.cutover(&["shift"]).0, Some(2));
    let (code, said) = site.cutover(&["shift", "101"]);
    assert!(code == Some(1) && said.contains("100"), "{code:?} {said}");
    std::fs::write(site.dir.path().join("other.token"), "cut_none").unwrap();
    let (code, said) = site.cutover(&["status", "--token-file", "other.token"]);
    assert!(code == Some(1) && said.contains("token"), "{code:?} {said}");
    let (code, said) = site.cutover(&["rollback"]);
    assert!(code == Some(1) && said.contains("nothing to roll back"), "{code:?} {said}");
    site.must(&["stop", "--all", "--reason", "fire"]);
    assert!(site.must(&["status"]).contains("EMERGENCY STOP"));
    site.must(&["clear", "--all"]);
    site.must(&["freeze", "--reason", "the sale", "--until", "2h"]);
    let (code, said) = site.cutover(&["deploy", "2.0.0", "--wait"]);
    assert!(code == Some(1) && said.contains("the sale"), "{code:?} {said}");
    site.must(&["unfreeze"]);
    assert!(site.must(&["completions", "bash"]).contains("cutover"));
    assert!(site.must(&["man"]).contains("deploy"));
    site.green.always(Do::Status(503));
    let (code, said) = site.cutover(&["deploy", "2.0.0", "--wait"]);
    assert!(code == Some(1) && said.contains("aborted") && said.contains("503"), "{code:?} {said}");
}

#[test]
fn a_kill_with_all_clients_on_the_new_side_forgets_nothing_of_what_the_old_one_did() {
    let site = Site::new("steps = [50, 100]\nbake = \"2s\"\nrequests = 20\nwatch = \"10m\"\n");
    let load = Load::start(site.process.address, 8, Duration::from_millis(2));
    site.must(&["deploy", "2.0.0"]);
    site.wait_for_phase("promoted");
    wait_until("it is on the disk", SOON, || site.kinds().contains(&ChangeKind::Promote));
    load.stop();
    let site = site.crash();
    let load = Load::start(site.process.address, 8, Duration::from_millis(2));
    let verdict = || site.status()["guard"]["verdict"].as_str().unwrap_or_default().to_owned();
    wait_until("it is judged again", LONG, || !["", "insufficient"].contains(&verdict().as_str()));
    // What is compared with nothing is so after a second at the latest.
    let before = load.requests();
    wait_until("time passes", LONG, || load.requests() > before + 500);
    assert_eq!(verdict(), "healthy", "and not `not_compared`");
    load.stop();
}
