//! What happens to a Cutover: one thing after the other, and some of it for a while, so that others happen meanwhile.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use super::ledger::Ledger;
use super::names::Says;
use super::place::{Footprint, Place};
use super::sites::Sites;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    Weight,
    Reload,
    BrokenReload,
    MainFile,
    Upgrade,
    Kill,
    FullDisk,
    Clock,
    NamesMove,
    NamesFail,
    BrokenGreen,
}

impl Fault {
    /// A round: each comes at least once.
    const ROUND: [Fault; 14] = [
        Fault::Weight,
        Fault::Weight,
        Fault::Weight,
        Fault::Reload,
        Fault::BrokenReload,
        Fault::MainFile,
        Fault::Upgrade,
        Fault::Upgrade,
        Fault::Kill,
        Fault::FullDisk,
        Fault::Clock,
        Fault::NamesMove,
        Fault::NamesFail,
        Fault::BrokenGreen,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Fault::Weight => "weight changed through the API",
            Fault::Reload => "routing file reloaded",
            Fault::BrokenReload => "broken routing file refused",
            Fault::MainFile => "cutover.toml reloaded",
            Fault::Upgrade => "upgrade",
            Fault::Kill => "kill -9 and started again",
            Fault::FullDisk => "disk full for seconds",
            Fault::Clock => "wall clock jumped",
            Fault::NamesMove => "names moved to another address",
            Fault::NamesFail => "name server failed for seconds",
            Fault::BrokenGreen => "green broke and was rolled back",
        }
    }
}

/// Time in which something held.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    pub from: Duration,
    pub to: Duration,
}

impl Span {
    pub fn overlaps(self, from: Duration, to: Duration) -> bool {
        from <= self.to && to >= self.from
    }

    pub fn holds(self, from: Duration, to: Duration) -> bool {
        from >= self.from && to <= self.to
    }
}

/// What happened, and when.
#[derive(Debug, Default)]
pub struct Course {
    pub faults: BTreeMap<Fault, u64>,
    /// From a kill until its successor was ready.
    pub kills: Vec<Span>,
    /// While green failed at everything.
    pub broken: Vec<Span>,
    /// While a weight, in percent, was in force and nothing moved it.
    pub steady: Vec<(Span, u64)>,
    /// Upgrades that a full disk has prevented.
    pub refused_upgrades: u64,
    /// The most that a process took up at any time.
    pub most: Option<Footprint>,
}

pub struct Chaos {
    ledger: Arc<Ledger>,
    random: fastrand::Rng,
    turn: u64,
    weight: u64,
    since: Duration,
    full_until: Option<Duration>,
    silent_until: Option<Duration>,
    course: Course,
}

impl Chaos {
    pub fn new(ledger: &Arc<Ledger>, seed: u64) -> Chaos {
        let random = fastrand::Rng::with_seed(seed);
        let (course, since) = (Course::default(), ledger.now());
        let (full_until, silent_until) = (None, None);
        Chaos { ledger: ledger.clone(), random, turn: 0, weight: 0, since, full_until, silent_until, course }
    }

    /// Rounds of all faults in another order each time, until this time has come.
    pub fn run(mut self, place: &mut Place, sites: &Sites, until: Duration) -> Course {
        'rounds: loop {
            let mut round = Fault::ROUND;
            self.random.shuffle(&mut round);
            for fault in round {
                self.end_what_is_over(place);
                if self.ledger.now() >= until {
                    break 'rounds;
                }
                eprintln!("{:6.1} s: {}", self.ledger.now().as_secs_f64(), fault.name());
                self.strike(fault, place, sites);
                *self.course.faults.entry(fault).or_default() += 1;
                let most = self.course.most.get_or_insert(place.footprint());
                *most = most.larger(place.footprint());
                std::thread::sleep(Duration::from_millis(self.random.u64(300..2200)));
            }
        }
        self.make_room(place);
        self.let_names_speak(place);
        self.weight_may_move();
        self.course
    }

    fn strike(&mut self, fault: Fault, place: &mut Place, sites: &Sites) {
        self.turn += 1;
        match fault {
            Fault::Weight => {
                let weight = [0, 5, 10, 25, 50, 75, 90][self.random.usize(..7)];
                self.shift(place, weight);
            }
            Fault::Reload => self.read_again(place, "taken", |place, turn| place.write_routing(turn)),
            Fault::BrokenReload => {
                self.read_again(place, "refused", |place, turn| place.break_routing(turn));
                self.read_again(place, "taken", |place, turn| place.write_routing(turn));
            }
            Fault::MainFile => self.read_again(place, "", |place, turn| place.write_main(turn)),
            Fault::Upgrade => self.upgrade(place),
            Fault::Kill => self.kill(place),
            Fault::FullDisk => {
                place.fill_disk();
                self.full_until = Some(self.ledger.now() + Duration::from_millis(self.random.u64(3000..9000)));
            }
            Fault::Clock => {
                let offset = ["+1h", "-1h", "+1d", "-1d", "+0"][self.random.usize(..5)];
                place.set_clock(offset);
            }
            Fault::NamesMove => {
                self.silent_until = None;
                place.names.says(Says::Address(Ipv4Addr::new(127, 0, 0, 1 + (self.turn % 2) as u8)));
            }
            Fault::NamesFail => {
                let ways = [Says::ServerFailure, Says::NoSuchName, Says::Nothing, Says::Silence];
                place.names.says(ways[self.random.usize(..4)]);
                self.silent_until = Some(self.ledger.now() + Duration::from_millis(self.random.u64(4000..12_000)));
            }
            Fault::BrokenGreen => self.break_green(place, sites),
        }
    }

    fn end_what_is_over(&mut self, place: &Place) {
        let now = self.ledger.now();
        if self.full_until.is_some_and(|until| now >= until) {
            self.make_room(place);
        }
        if self.silent_until.is_some_and(|until| now >= until) {
            self.let_names_speak(place);
        }
    }

    /// Frees the disk, and waits until the journal has everything.
    fn make_room(&mut self, place: &Place) {
        if self.full_until.take().is_some() {
            place.free_disk();
            place.wait_until("nothing waits for the disk", |place| place.metric("cutover_journal_waiting", "") == 0.0);
        }
    }

    fn let_names_speak(&mut self, place: &Place) {
        if self.silent_until.take().is_some() {
            place.names.says(Says::Address(Ipv4Addr::LOCALHOST));
        }
    }

    /// Nobody has moved the weight up to now.
    fn weight_may_move(&mut self) {
        let span = Span { from: self.since, to: self.ledger.now() };
        self.course.steady.push((span, self.weight));
    }

    fn weight_is(&mut self, weight: u64) {
        (self.weight, self.since) = (weight, self.ledger.now());
    }

    fn shift(&mut self, place: &mut Place, weight: u64) {
        // Those that go serve their clients' last requests by what they know.
        crate::support::wait_until("only one serves", crate::support::SOON, || place.running().len() == 1);
        self.weight_may_move();
        let output = place.command(&["shift", &weight.to_string(), "--force"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(place.weight(), weight, "what was acknowledged is in force");
        self.weight_is(weight);
    }

    /// Writes a file, and waits until it was read with this result.
    fn read_again(&mut self, place: &Place, result: &str, write: impl Fn(&Place, u64)) {
        self.turn += 1;
        let label = format!("result=\"{result}");
        let before = place.metric("cutover_config_reload_total", &label);
        write(place, self.turn);
        place.wait_until("the file is read", |place| place.metric("cutover_config_reload_total", &label) > before);
        assert_eq!(place.weight(), self.weight, "a reload moves no weight");
    }

    fn upgrade(&mut self, place: &mut Place) {
        let (done, said) = place.try_upgrade();
        let is_full = self.full_until.is_some();
        assert!(done || is_full, "{said}\n{}", place.log());
        self.course.refused_upgrades += u64::from(!done);
        assert_eq!(place.weight(), self.weight, "an upgrade moves no weight");
    }

    fn kill(&mut self, place: &mut Place) {
        // What a full disk has not taken is lost with the process, as is said; and without names there is no start.
        self.make_room(place);
        self.let_names_speak(place);
        let from = self.ledger.now();
        place.kill();
        self.course.kills.push(Span { from, to: self.ledger.now() });
        assert_eq!(place.weight(), self.weight, "the last weight that was acknowledged is in force");
    }

    fn break_green(&mut self, place: &mut Place, sites: &Sites) {
        self.shift(place, 50);
        self.weight_may_move();
        let from = self.ledger.now();
        sites.break_green(true);
        place.wait_until("green is rolled back", |place| place.weight() == 0);
        self.weight_is(0);
        sites.break_green(false);
        // A request that it has is answered a moment later.
        self.course.broken.push(Span { from, to: self.ledger.now() + Duration::from_secs(1) });
    }
}
