//! Random orders of events.

use super::*;

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(300))]

    /// Whatever happens in whatever order, the plan leaves no step whose suites have not passed, suites are ordered
    /// whenever a step waits for them, and no run is ordered twice.
    #[test]
    fn no_order_of_events_lets_the_plan_past_its_suites(doings in proptest::collection::vec(0_u8..16, 1..60), hold: bool) {
        let mut bench = Bench::new(gated(if hold { OnFailure::Hold } else { OnFailure::Rollback }));
        for doing in doings {
            let before = bench.durable().clone();
            let acts = [OperatorAction::Pause, OperatorAction::Resume, OperatorAction::Abort, OperatorAction::Rollback, shift(10.0, false), shift(100.0, true)];
            let person = match doing {
                0 => bench.order(OperatorAction::Deploy(DeployRequest { version: "2".into(), force: true, ..DeployRequest::default() })),
                1 => {
                    bench.preflighted(Ok(""));
                    Ok(())
                }
                2 => {
                    bench.restart();
                    Ok(())
                }
                3 => bench.load(),
                4..=6 if !bench.orders.is_empty() => {
                    let result = [passed(), failed("no"), Err(SuiteRunError::NotRun("no".into()))][usize::from(doing) - 4].clone();
                    bench.answer(bench.orders.len() - 1, result);
                    Ok(())
                }
                7 if bench.orders.len() > 1 => {
                    bench.answer(bench.orders.len() - 2, passed());
                    Ok(())
                }
                8..=13 => bench.order(acts[usize::from(doing) - 8].clone()),
                _ => {
                    bench.run(32);
                    let (was, is) = (before.release.as_ref(), bench.durable().release.as_ref());
                    if let (Some(was), Some(is)) = (was, is) && (was.step, was.phase) != (is.step, is.phase) {
                        proptest::prop_assert!(was.suites_owed().is_empty(), "{was:?} -> {is:?}");
                    }
                    Ok(())
                }
            };
            drop(person);
            let release = bench.durable().release.as_ref();
            let owed = release.is_some_and(|release| !release.suites_owed().is_empty());
            let view = bench.state.views(Millis(bench.now)).remove(0);
            proptest::prop_assert_eq!(owed, view.run.is_some());
            proptest::prop_assert!(!owed || view.awaits(bench.orders.last().unwrap()));
            let runs: std::collections::BTreeSet<_> = bench.orders.iter().map(|order| order.run).collect();
            proptest::prop_assert_eq!(runs.len(), bench.orders.len());
        }
    }
}
