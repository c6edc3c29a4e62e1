use super::*;

fn at(rate: f64) -> ForecastTraffic {
    ForecastTraffic { rate, active_fails: 0.001, routes: false }
}

fn plan(bake: u64, requests: u64) -> RolloutPlan {
    let mut plan = RolloutPlan::standard();
    plan.steps.iter_mut().for_each(|step| (step.bake, step.requests) = (Millis::seconds(bake), requests));
    plan
}

fn standard(plan: &RolloutPlan, rate: f64) -> RolloutForecast {
    forecast(plan, &GuardPolicy::standard(), at(rate))
}

fn least(forecast: &RolloutForecast) -> Vec<Option<u64>> {
    forecast.steps.iter().map(|step| step.least.map(|least| least.0 / 1000)).collect()
}

#[test]
fn a_step_takes_its_bake_time_or_as_long_as_its_requests_take() {
    let slow = standard(&plan(8, 20), 20.0 / 11.3);
    assert_eq!(least(&slow), [Some(113), Some(45), Some(22), Some(15), Some(11)]);
    assert!(slow.steps.iter().all(|step| step.limit == StepLimit::Requests && (20.0..20.1).contains(&step.requests)));
    assert_eq!(slow.least, Some(Millis(113_000 + 45_200 + 22_600 + 15_067 + 11_300)));
    assert_eq!(
        slow.warnings(),
        ["the requests that the plan wants take longer than the bake time: 10 % (1m 53s), 25 % (45s), 50 % (22s)"]
    );
    let busy = standard(&plan(8, 20), 100.0);
    assert_eq!(least(&busy), [Some(8); 5]);
    assert!(busy.steps.iter().all(|step| step.limit == StepLimit::Bake));
    assert_eq!((busy.steps[0].requests.round(), busy.warnings().len()), (80.0, 0));
}

#[test]
fn without_requests_no_step_that_wants_some_ends() {
    let none = standard(&plan(8, 20), 0.0);
    assert_eq!((least(&none), none.least), (vec![None; 5], None));
    assert!(none.warnings()[0].starts_with("no requests come, so these steps do not end: 10 %, 25 %"), "{none:?}");
    // One that wants none still wants a verdict; the last is alone, and wants nothing.
    let none = standard(&plan(8, 0), 0.0);
    assert_eq!(least(&none), [None, None, None, None, Some(8)]);
}

#[test]
fn more_requests_show_smaller_faults_and_a_step_adds_to_those_before_it() {
    let shows = |forecast: &RolloutForecast| -> Vec<f64> {
        let rate = |step: &StepForecast| if let StepSight::Shows(rate) = step.sight { rate } else { f64::NAN };
        forecast.steps.iter().take(4).map(rate).collect()
    };
    let (few, many) = (shows(&standard(&plan(60, 20), 10.0)), shows(&standard(&plan(60, 20), 1000.0)));
    for seen in [&few, &many] {
        assert!(seen.windows(2).all(|pair| pair[1] < pair[0]), "{seen:?}");
    }
    assert!(few.iter().zip(&many).all(|(few, many)| many < few), "{few:?} {many:?}");
    assert!((0.005..0.01).contains(&many[0]) && (0.1..0.3).contains(&few[0]), "{few:?} {many:?}");
    assert_eq!(standard(&plan(60, 20), 10.0).steps[4].sight, StepSight::Alone);
}

#[test]
fn a_step_that_would_see_nothing_says_so_or_waits_for_a_verdict() {
    // Six requests show a dead candidate on average, and not in 95 of 100 rollouts.
    let short = standard(&plan(1, 6), 1.0);
    assert_eq!(short.steps[0].sight, StepSight::Nothing);
    assert!(
        short.warnings().iter().any(|said| said.starts_with("too short to see anything")),
        "{:?}",
        short.warnings()
    );
    // One request shows nothing at all, so the guard waits for as many as show a fault that matters.
    let eager = standard(&plan(1, 1), 1.0);
    assert_eq!(eager.steps[0].limit, StepLimit::Verdict);
    assert!(eager.steps[0].least > Some(Millis::seconds(600)), "{:?}", eager.steps[0]);
    assert!(eager.warnings()[0].starts_with("the requests that a verdict needs take longer"), "{:?}", eager.warnings());
}

#[test]
fn triggers_alone_say_nothing_of_small_faults() {
    let policy = GuardPolicy { evidence: None, ..GuardPolicy::standard() };
    let forecast = forecast(&plan(60, 20), &policy, at(10.0));
    assert!(forecast.steps.iter().all(|step| step.sight == StepSight::NoEvidence));
    assert!(forecast.notes()[0].starts_with("the guard weighs no evidence"));
}

#[test]
fn rates_are_written_with_two_digits() {
    for (rate, text) in [(0.0058, "0.58 %"), (0.049, "4.9 %"), (0.05, "5 %"), (0.6234, "62 %"), (1.0, "100 %")] {
        assert_eq!(percent(rate), text);
    }
}
