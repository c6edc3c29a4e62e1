//! Databases of different engines beside each other.

use super::*;

const POSTGRES_ORDERS: &str = "create table orders (id bigint primary key, total numeric(10, 2), ratio float8, small real,
        paid boolean, note text, raw bytea, made timestamptz, day date, info jsonb, code uuid);
    insert into orders select g, g / 4.0, g / 3.0, g / 10.0, g % 2 = 0, case g % 3 when 0 then null when 1 then '' else 'nö ' || g end,
        '\\x00ff', '2026-11-22 10:00:00.5+02', '2026-11-22', '{\"b\": [1, 2], \"a\": \"x\"}', '7d444840-9dc0-11d1-b245-5ffdce74fad2'
        from generate_series(1, 2500) g";

pub const MARIADB_ORDERS: &str = "create table orders (id bigint primary key, total decimal(12, 4), ratio double, small float,
        paid boolean, note text, raw blob, made datetime(3), day date, info json, code char(36));
    insert into orders select seq, seq / 4, seq / 3e0, seq / 10, seq % 2 = 0, case seq % 3 when 0 then null when 1 then '' else
        concat('nö ', seq) end, x'00ff', '2026-11-22 08:00:00.5', '2026-11-22', '{\"a\":\"x\",\"b\":[1,2]}',
        '7D444840-9DC0-11D1-B245-5FFDCE74FAD2' from seq_1_to_2500";

const SQLITE_ORDERS: &str = "create table orders (id integer primary key, total decimal(10, 2), ratio real, small real,
        paid boolean, note text, raw blob, made timestamp, day date, info json, code uuid);
    with recursive n(i) as (select 1 union all select i + 1 from n where i < 2500)
    insert into orders select i, i / 4.0, i / 3.0, i / 10.0, i % 2 = 0, case i % 3 when 0 then null when 1 then '' else 'nö ' || i end,
        x'00ff', '2026-11-22T08:00:00.500Z', '2026-11-22', '{\"a\": \"x\", \"b\": [1,2]}', '7d444840-9dc0-11d1-b245-5ffdce74fad2' from n";

#[test]
#[ignore = "needs PostgreSQL and MariaDB (.ci/setup)"]
fn databases_of_different_engines_are_compared_by_what_values_mean() {
    compared_by_what_values_mean(&servers::mariadb(), MARIADB_ORDERS);
}

pub fn compared_by_what_values_mean(maria: &Store, orders: &str) {
    let postgresql = servers::postgres();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("orders.db");
    let all = [postgres(&postgresql, "postgres"), mariadb(maria), SqlEngine::Sqlite(file)];
    for (engine, words) in all.iter().zip([POSTGRES_ORDERS, orders, SQLITE_ORDERS]) {
        run(engine, words);
    }
    let pairs = [(0, 1), (0, 2), (1, 2), (2, 0), (1, 0)].map(|(blue, green)| [all[blue].clone(), all[green].clone()]);
    for pair in &pairs {
        passes(&compared(pair, table("orders", &["id"])));
        // MariaDB's FLOAT and PostgreSQL's REAL are written with fewer digits than they have.
        passes(&asked(pair, "select id, total, ratio, paid, note, made, day from orders order by id", 0.0));
        let result = asked(pair, "select id, small from orders order by id", 1e-5);
        assert_eq!(result.outcome, Outcome::Passed, "{result:?}");
    }
    for (id, column, value) in [
        (7, "total", "1.7501"),
        (8, "ratio", "0"),
        (9, "paid", "0 = 0"),
        (10, "note", "'other'"),
        (12, "note", "''"),
        (13, "note", "null"),
        (14, "made", "'2026-11-22 08:00:01'"),
        (15, "day", "'2026-11-23'"),
        (16, "info", "'{\"a\": \"x\", \"b\": [2, 1]}'"),
        (17, "code", "'8d444840-9dc0-11d1-b245-5ffdce74fad2'"),
    ] {
        run(&all[1], &format!("update orders set {column} = {value} where id = {id}"));
    }
    run(
        &all[1],
        "delete from orders where id = 2500; update orders set raw = x'00fe' where id = 18; insert into orders (id) values (9000)",
    );
    for pair in [&pairs[0], &[all[2].clone(), all[1].clone()]] {
        let result = compared(pair, table("orders", &["id"]));
        let found = named(&result);
        let keys: Vec<&str> = found.iter().map(|(key, ..)| *key).collect();
        let expected = [7, 8, 9, 10, 12, 13, 14, 15, 16, 17, 18, 2500, 9000].map(|id| format!("id = {id}"));
        assert_eq!(keys, expected);
        assert_eq!(found[0].2, ["total"]);
        assert_eq!(found[9].2, ["code"]);
        assert_eq!((found[11].1, found[12].1), (RowHow::MissingInGreen, RowHow::MissingInBlue));
    }
    let result = compared(&pairs[0], table("orders", &["made", "id"]));
    let why = "orders: key column `made` is a time, which two engines sort differently: choose another key";
    fails(&result, why);
    let result = compared(&pairs[0], table("orders", &["raw", "note"]));
    assert!(result.why.as_deref().unwrap_or_default().contains("is NULL in a row"), "{result:?}");
    let result = compared(&[all[0].clone(), all[2].clone()], table("orders", &["note"]).without(&["id"]));
    assert!(result.why.as_deref().unwrap_or_default().contains("key"), "{result:?}");
}

trait Without {
    fn without(self, columns: &[&str]) -> TableCheck;
}

impl Without for TableCheck {
    fn without(self, columns: &[&str]) -> TableCheck {
        TableCheck { ignore: columns.iter().map(|name| (*name).to_owned()).collect(), ..self }
    }
}
