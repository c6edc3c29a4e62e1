//! Databases behind a pooler that gives each transaction another session.

use super::*;
use memory::snapshot::health_check::SqlProbe;

#[test]
#[ignore = "needs PostgreSQL and PgBouncer (.ci/setup)"]
fn data_are_compared_and_health_is_checked_behind_pgbouncer() {
    let (store, direct) = two_postgres();
    let [blue, green] = &direct;
    for engine in &direct {
        run(
            engine,
            "create type mood as enum ('sad', 'glad');
             create table t (id int primary key, v text, m mood, n numeric);
             insert into t select i, 'v' || i, 'glad', 1.5 from generate_series(1, 3000) i",
        );
    }
    let pooler = servers::pgbouncer(&store);
    let pooled = ["blue", "green"].map(|name| postgres(&pooler, name));
    // More often than there are sessions: names of prepared statements would meet again.
    for _ in 0..5 {
        passes(&compared(&pooled, TableCheck { chunk: 100, ..table("t", &["id"]) }));
        passes(&asked(&pooled, "select id, m, n from t order by id", 0.0));
        let query = "select id from t where id < 0".to_owned();
        passes(&checked(DataCheckKind::Integrity { databases: pooled.clone(), query, timeout: PATIENCE }));
        for engine in &pooled {
            let probe = SqlProbe { engine: engine.clone(), query: "select m from t limit 1".to_owned() };
            assert_eq!(wait_for(health::sql::probe(&probe, Duration::from_secs(5))), Ok(()));
        }
    }
    run(green, "update t set v = 'x', m = 'sad' where id = 7; delete from t where id = 3000; update t set n = 1.50");
    let result = compared(&pooled, TableCheck { chunk: 100, ..table("t", &["id"]) });
    let expected = vec![("id = 7", RowHow::Differs, vec!["v", "m"]), ("id = 3000", RowHow::MissingInGreen, vec![])];
    assert_eq!(named(&result), expected);
    // Nothing is left in the sessions that others get next.
    let query = "select 1 / (case when exists (select from pg_prepared_statements) then 0 else 1 end)".to_owned();
    let probe = SqlProbe { engine: pooled[0].clone(), query };
    assert_eq!(wait_for(health::sql::probe(&probe, Duration::from_secs(5))), Ok(()));
    let idle = "select count(*) from pg_stat_activity where state like 'idle in transaction%'";
    assert_eq!(number(blue, idle), 0);
}
