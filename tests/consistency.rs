//! Data of both sides compared, in the real PostgreSQL and MariaDB, and in SQLite beside them.

use std::path::Path;
use std::time::{Duration, Instant};

use cutover::config::suite::{Check, Data, Table};
use cutover::consistency::{check, digest};
use cutover::snapshot::check::Engine;
use cutover::snapshot::secret::SecretUrl;
use cutover::time::Millis;
use cutover::wire::{DataResult, Outcome, RowHow};

use crate::support::servers::{self, IN_URL, PASSWORD, Store};
use crate::support::{SOON, wait_until};

const PATIENCE: Millis = Millis::seconds(60);

fn wait_for<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn postgres(store: &Store, database: &str) -> Engine {
    Engine::Postgres(SecretUrl::new(format!("postgres://shop:{IN_URL}@127.0.0.1:{}/{database}", store.port)))
}

fn mariadb(store: &Store) -> Engine {
    Engine::Mysql(SecretUrl::new(format!("mysql://shop:{IN_URL}@127.0.0.1:{}/shop", store.port)))
}

/// One PostgreSQL with a database for each side.
fn two_postgres() -> (Store, [Engine; 2]) {
    let store = servers::postgres();
    let engines = ["blue", "green"].map(|name| {
        run(&postgres(&store, "postgres"), &format!("create database {name}"));
        postgres(&store, name)
    });
    (store, engines)
}

fn two_mariadb() -> ([Store; 2], [Engine; 2]) {
    let stores = [servers::mariadb(), servers::mariadb()];
    let engines = stores.each_ref().map(mariadb);
    (stores, engines)
}

#[track_caller]
fn run(engine: &Engine, sql: &str) {
    use sqlx::{AssertSqlSafe, Connection, MySqlConnection, PgConnection};
    let sql = sql.to_owned();
    wait_for(async {
        match engine {
            Engine::Postgres(url) => {
                let mut connection = PgConnection::connect(url.reveal()).await.unwrap();
                sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
                connection.close().await.unwrap();
            }
            Engine::Mysql(url) => {
                let mut connection = MySqlConnection::connect(url.reveal()).await.unwrap();
                sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
                connection.close().await.unwrap();
            }
            Engine::Sqlite(path) => rusqlite::Connection::open(path).unwrap().execute_batch(&sql).unwrap(),
        }
    });
}

/// A single number.
fn number(engine: &Engine, sql: &str) -> i64 {
    use sqlx::{AssertSqlSafe, Connection, MySqlConnection, PgConnection};
    let sql = sql.to_owned();
    wait_for(async {
        match engine {
            Engine::Postgres(url) => {
                let mut connection = PgConnection::connect(url.reveal()).await.unwrap();
                sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut connection).await.unwrap()
            }
            Engine::Mysql(url) => {
                let mut connection = MySqlConnection::connect(url.reveal()).await.unwrap();
                sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut connection).await.unwrap()
            }
            Engine::Sqlite(path) => {
                rusqlite::Connection::open(path).unwrap().query_row(&sql, [], |row| row.get(0)).unwrap()
            }
        }
    })
}

fn table(name: &str, key: &[&str]) -> Table {
    Table {
        name: name.to_owned(),
        key: key.iter().map(|name| (*name).to_owned()).collect(),
        columns: None,
        ignore: Vec::new(),
        filter: None,
        chunk: 1000,
        rows_only: false,
        most_rows: 20,
        timeout: Millis(30_000),
    }
}

#[track_caller]
fn compared(databases: &[Engine; 2], table: Table) -> DataResult {
    checked(Check::Table { databases: databases.clone(), table })
}

#[track_caller]
fn asked(databases: &[Engine; 2], query: &str, tolerance: f64) -> DataResult {
    checked(Check::Query { databases: databases.clone(), query: query.to_owned(), tolerance, timeout: PATIENCE })
}

#[track_caller]
fn checked(check_of: Check) -> DataResult {
    let data = Data { name: "the data".to_owned(), check: check_of };
    let result = wait_for(check(&data, &|_, _| {}));
    let words = format!("{result:?}");
    assert!(!words.contains(PASSWORD) && !words.contains(IN_URL) && !words.contains("://"), "{words}");
    result
}

#[track_caller]
fn passes(result: &DataResult) {
    assert_eq!((result.outcome, result.why.as_deref()), (Outcome::Passed, None), "{result:?}");
    assert_eq!(result.blue.checksum, result.green.checksum);
    assert_eq!(result.blue.rows, result.green.rows);
}

#[track_caller]
fn fails(result: &DataResult, why: &str) {
    assert_eq!((result.outcome, result.why.as_deref()), (Outcome::Failed, Some(why)));
}

/// Each row that differs, with the columns that do.
fn named(result: &DataResult) -> Vec<(&str, RowHow, Vec<&str>)> {
    let columns = |row: &'_ cutover::wire::RowDifference| row.columns.len();
    let rows = result.rows.iter();
    rows.map(|row| {
        assert!(columns(row) > 0 || row.how != RowHow::Differs);
        (row.key.as_str(), row.how, row.columns.iter().map(|column| column.what.as_str()).collect())
    })
    .collect()
}

const POSTGRES_KINDS: &str = "create type mood as enum ('sad', 'glad');
    create table kinds (id bigint primary key, i int, n numeric(12, 3), m numeric, f4 real, f8 double precision,
        b boolean, t text, v varchar(20), c char(5), raw bytea, d date, ti time, ts timestamp, tz timestamptz, j json,
        jb jsonb, u uuid, a text[], iv interval, ip inet, e mood, \"odd \"\"name\" int);
    insert into kinds select g, g, g / 7.0, 1.5, g / 3.0, g / 3.0, g % 2 = 0, 'nö ' || g, 'v', 'c', '\\x00ff', '2026-11-22',
        '10:00:00.5', '2026-11-22 10:00:00.123456', '2026-11-22 10:00:00+02', '{\"b\": 1, \"a\": 2}', '{\"b\": 1, \"a\": [null]}',
        '7d444840-9dc0-11d1-b245-5ffdce74fad2', '{a,\"b c\",null}', '1 day 2 hours', '10.0.0.1/8', 'glad', 5
        from generate_series(1, 40) g;
    insert into kinds (id) values (41); insert into kinds (id, t, v, raw) values (42, '', '', '');
    insert into kinds (id, m, f4, f8, ts) values (43, 'NaN', 'Infinity', '-0', 'infinity')";

/// A change of each column that is hard to see.
const POSTGRES_CHANGES: [(&str, &str); 22] = [
    ("i", "5000"),
    ("n", "n + 0.001"),
    ("m", "1.50"),
    ("f4", "f4 * 1.0000002"),
    ("f8", "f8 * 1.0000000000000003"),
    ("b", "not b"),
    ("t", "t || ' '"),
    ("v", "null"),
    ("c", "'C'"),
    ("raw", "'\\x00fe'"),
    ("d", "d + 1"),
    ("ti", "ti + interval '1 microsecond'"),
    ("ts", "ts + interval '1 microsecond'"),
    ("tz", "tz + interval '1 microsecond'"),
    ("j", "'{\"b\": 1, \"a\": 3}'"),
    ("jb", "'{\"b\": 1, \"a\": []}'"),
    ("u", "'7d444840-9dc0-11d1-b245-5ffdce74fad3'"),
    ("a", "'{a,b,c,null}'"),
    ("iv", "'1 day 3 hours'"),
    ("ip", "'10.0.0.1/9'"),
    ("e", "'sad'"),
    ("odd \"name", "null"),
];

#[test]
#[ignore = "needs PostgreSQL (.ci/setup)"]
fn every_type_of_postgresql_is_compared_to_the_last_bit() {
    let (_store, engines) = two_postgres();
    let [blue, green] = &engines;
    run(blue, POSTGRES_KINDS);
    run(blue, "alter database blue set timezone = 'Asia/Tokyo'; alter database blue set bytea_output = 'escape'");
    run(green, &format!("set timezone = 'America/New_York'; {}", POSTGRES_KINDS.replace("10:00:00+02", "08:00:00Z")));
    run(green, "alter database green set extra_float_digits = -3; alter database green set datestyle = 'German'");
    for chunk in [7, 1000] {
        passes(&compared(&engines, Table { chunk, ..table("public.kinds", &["id"]) }));
    }
    // By rows: no index holds both.
    passes(&compared(&engines, table("kinds", &["t", "id"]).without_null()));
    for (at, (column, value)) in POSTGRES_CHANGES.iter().enumerate() {
        let quoted = column.replace('"', "\"\"");
        run(green, &format!("update kinds set \"{quoted}\" = {value} where id = {}", at + 1));
    }
    run(green, "update kinds set t = '', v = null where id in (41, 42)");
    let result = compared(&engines, Table { chunk: 7, most_rows: 30, ..table("kinds", &["id"]) });
    let mut expected: Vec<(String, RowHow, Vec<&str>)> = Vec::new();
    for (at, (column, _)) in POSTGRES_CHANGES.iter().enumerate() {
        expected.push((format!("id = {}", at + 1), RowHow::Differs, vec![column]));
    }
    expected.push(("id = 41".to_owned(), RowHow::Differs, vec!["t"]));
    expected.push(("id = 42".to_owned(), RowHow::Differs, vec!["v"]));
    let found: Vec<_> = named(&result).into_iter().map(|(key, how, columns)| (key.to_owned(), how, columns)).collect();
    assert_eq!(found, expected);
    assert_eq!((result.rows_differing, result.blue.rows), (24, Some(43)));
    let tz = result.rows.iter().find(|row| row.columns[0].what == "tz").unwrap();
    assert_eq!(tz.columns[0].expected, "2026-11-22 08:00:00+00");
}

trait WithoutNull {
    fn without_null(self) -> Table;
}

impl WithoutNull for Table {
    fn without_null(self) -> Table {
        Table { filter: Some("t is not null".to_owned()), ..self }
    }
}

const MARIADB_KINDS: &str = "create table kinds (id bigint unsigned primary key, i int, n decimal(12, 3), f float, d double,
        fd double(8, 3), b boolean, bits bit(12), t text, v varchar(20) character set latin1, c char(5), raw varbinary(9),
        large longblob, day date, ti time(3), dt datetime(6), ts timestamp(3) null, j json, e enum('sad', 'glad'),
        s set('a', 'b'), u uuid, y year, `odd ``name` int);
    insert into kinds select seq, seq, seq / 7, seq / 3, seq / 3, seq / 3, seq % 2, 2049, concat('nö ', seq), 'ö', 'c', x'00ff',
        x'00', '2026-11-22', '10:00:00.5', '2026-11-22 10:00:00.123456', '2026-11-22 10:00:00.5', '{\"b\": 1}', 'glad', 'a,b',
        '7d444840-9dc0-11d1-b245-5ffdce74fad2', 2026, 5 from seq_1_to_40;
    insert into kinds (id) values (41); insert into kinds (id, t, v, raw) values (42, '', '', '');
    insert into kinds (id, t) values (18446744073709551615, 'it''s \\\\ \\0')";

const MARIADB_CHANGES: [(&str, &str); 22] = [
    ("i", "5000"),
    ("n", "n + 0.001"),
    ("f", "f * 1.0000002"),
    ("d", "d * 1.0000000000000003"),
    ("fd", "fd + 0.001"),
    ("b", "1 - b"),
    ("bits", "2050"),
    ("t", "concat(t, ' ')"),
    ("v", "null"),
    ("c", "'C'"),
    ("raw", "x'00fe'"),
    ("large", "x''"),
    ("day", "'2026-11-23'"),
    ("ti", "'10:00:00.501'"),
    ("dt", "'2026-11-22 10:00:00.123457'"),
    ("ts", "'2026-11-22 10:00:00.501'"),
    ("j", "'{\"b\": 2}'"),
    ("e", "'sad'"),
    ("s", "'b'"),
    ("u", "'7d444840-9dc0-11d1-b245-5ffdce74fad3'"),
    ("y", "2027"),
    ("odd `name", "null"),
];

#[test]
#[ignore = "needs MariaDB (.ci/setup)"]
fn every_type_of_mariadb_is_compared_to_the_last_bit() {
    let (_stores, engines) = two_mariadb();
    let [blue, green] = &engines;
    run(blue, &format!("set time_zone = '+00:00'; {MARIADB_KINDS}"));
    run(green, &format!("set time_zone = '+00:00'; {MARIADB_KINDS}"));
    run(green, "alter table kinds modify v varchar(20) character set utf8mb4");
    for chunk in [7, 1000] {
        passes(&compared(&engines, Table { chunk, ..table("shop.kinds", &["id"]) }));
    }
    passes(&compared(&engines, table("kinds", &["t", "id"]).without_null()));
    for (at, (column, value)) in MARIADB_CHANGES.iter().enumerate() {
        let quoted = column.replace('`', "``");
        run(green, &format!("set time_zone = '+00:00'; update kinds set `{quoted}` = {value} where id = {}", at + 1));
    }
    run(green, "update kinds set t = '', v = null where id in (41, 42)");
    run(green, "delete from kinds where id = 18446744073709551615");
    let result = compared(&engines, Table { chunk: 7, most_rows: 30, ..table("kinds", &["id"]) });
    let mut expected: Vec<(String, RowHow, Vec<&str>)> = Vec::new();
    for (at, (column, _)) in MARIADB_CHANGES.iter().enumerate() {
        expected.push((format!("id = {}", at + 1), RowHow::Differs, vec![column]));
    }
    expected.push(("id = 41".to_owned(), RowHow::Differs, vec!["t"]));
    expected.push(("id = 42".to_owned(), RowHow::Differs, vec!["v"]));
    expected.push(("id = 18446744073709551615".to_owned(), RowHow::MissingInGreen, vec![]));
    let found: Vec<_> = named(&result).into_iter().map(|(key, how, columns)| (key.to_owned(), how, columns)).collect();
    assert_eq!(found, expected);
    // Packets have 16 MiB: in hexadecimal digits, these are longer.
    for (engine, letter) in [(blue, 'x'), (green, 'y')] {
        run(engine, &format!("update kinds set large = repeat('{letter}', 9000000) where id = 30"));
    }
    let thirty = || Table { filter: Some("id = 30".to_owned()), ..table("kinds", &["id"]) };
    let result = compared(&engines, thirty());
    fails(&result, "kinds: 1 of 1 rows differs: id = 30 differs in large");
    assert_eq!(result.rows[0].columns[0].expected, "md5 c40c5126c11d10857c04858e8a0dd833");
    run(green, "update kinds set large = null where id = 30");
    fails(&compared(&engines, thirty()), "kinds: 1 of 1 rows differs: id = 30 differs in large");
    run(green, "update kinds set large = repeat('x', 9000000) where id = 30");
    passes(&compared(&engines, thirty()));
}

/// Rows that are missing at either end and in the middle, over a key of numbers and texts, in databases that sort texts
/// by some language.
#[test]
#[ignore = "needs PostgreSQL and MariaDB (.ci/setup)"]
fn rows_are_missing_or_extra_over_compound_and_text_keys() {
    let (_store, in_postgres) = two_postgres();
    let (_stores, in_mariadb) = two_mariadb();
    for engines in [&in_postgres, &in_mariadb] {
        let (bytes, language) = match engines[0] {
            Engine::Postgres(_) => ("varchar(20) collate \"C\"", "varchar(20) collate \"und-x-icu\""),
            _ => ("varchar(20) collate utf8mb4_bin", "varchar(20) collate utf8mb4_uca1400_as_cs"),
        };
        for engine in engines {
            run(
                engine,
                "create table items (shop int not null, nr bigint not null, name varchar(20), v int, primary key (shop, nr));
                 create table copies (id int, v int); insert into copies values (1, 1), (2, 2);
                 insert into items select a.n, b.n, concat('n', b.n), 1 from (select 1 as n union select 2 union select 30) a,
                 (select 5 as n union select 6 union select 70 union select 800) b",
            );
            for (name, kind) in [("words", bytes), ("tongues", language)] {
                let words =
                    "('a', 1), ('B', 1), ('é', 1), ('z', 1), ('A', 1), ('ab', 1), ('a b', 1), ('ä', 1), ('_', 1)";
                run(
                    engine,
                    &format!("create table {name} (word {kind} primary key, v int); insert into {name} values {words}"),
                );
            }
        }
        let [blue, green] = engines;
        run(green, "delete from items where shop = 1 and nr = 5; delete from items where shop = 30 and nr = 70");
        run(green, "insert into items values (30, 900, 'new', 1), (31, 1, 'new', 1), (0, 9, 'new', 1)");
        run(green, "update items set v = 2 where shop = 2 and nr = 800");
        for chunk in [1, 2, 3, 100] {
            let result = compared(engines, Table { chunk, ..table("items", &["shop", "nr"]) });
            let expected = vec![
                ("(shop = 0, nr = 9)", RowHow::MissingInBlue, vec![]),
                ("(shop = 1, nr = 5)", RowHow::MissingInGreen, vec![]),
                ("(shop = 2, nr = 800)", RowHow::Differs, vec!["v"]),
                ("(shop = 30, nr = 70)", RowHow::MissingInGreen, vec![]),
                ("(shop = 30, nr = 900)", RowHow::MissingInBlue, vec![]),
                ("(shop = 31, nr = 1)", RowHow::MissingInBlue, vec![]),
            ];
            assert_eq!(named(&result), expected, "{chunk}");
            assert_eq!((result.blue.rows, result.green.rows), (Some(12), Some(13)));
        }
        for name in ["words", "tongues"] {
            passes(&compared(engines, Table { chunk: 2, ..table(name, &["word"]) }));
            run(green, &format!("delete from {name} where word = 'B'; update {name} set v = 2 where word = 'ä'"));
            run(blue, &format!("delete from {name} where word = 'a b'"));
            for chunk in [1, 2, 5, 100] {
                let result = compared(engines, Table { chunk, ..table(name, &["word"]) });
                let mut found = named(&result);
                found.sort_by_key(|(word, ..)| *word);
                let expected = vec![
                    ("word = B", RowHow::MissingInGreen, vec![]),
                    ("word = a b", RowHow::MissingInBlue, vec![]),
                    ("word = ä", RowHow::Differs, vec!["v"]),
                ];
                assert_eq!(found, expected, "{name} {chunk}");
            }
        }
        run(green, "insert into copies values (2, 2)");
        let result = compared(engines, table("copies", &["id"]));
        fails(&result, "copies: green: the key is not unique: id = 2 is there more than once");
        run(green, "delete from copies where id = 2; insert into copies values (null, 2)");
        let result = compared(engines, table("copies", &["id"]));
        fails(&result, "copies: green: `id` of the key is NULL in a row: a key must tell every row apart");
        run(green, "delete from copies");
        let result = compared(engines, table("copies", &["id"]));
        fails(&result, "copies: 2 of 2 rows differ: id = 1 is missing in green, id = 2 is missing in green");
        run(blue, "delete from items; delete from copies");
        passes(&compared(engines, table("copies", &["id"])));
        let result = compared(engines, Table { chunk: 3, most_rows: 1, ..table("items", &["shop", "nr"]) });
        fails(&result, "items: 13 of 13 rows differ: (shop = 0, nr = 9) is missing in blue, and 12 more");
        let result = compared(engines, Table { rows_only: true, ..table("items", &["shop", "nr"]) });
        fails(&result, "items: blue has 0 rows, green has 13");
        run(green, "drop table copies");
        fails(&compared(engines, table("copies", &["id"])), "copies: green has no such table");
        run(green, "alter table words add extra int");
        let why = "words: the columns differ: only green has `extra` (`ignore` leaves a column out)";
        fails(&compared(engines, table("words", &["word"])), why);
    }
}

const POSTGRES_ORDERS: &str = "create table orders (id bigint primary key, total numeric(10, 2), ratio float8, small real,
        paid boolean, note text, raw bytea, made timestamptz, day date, info jsonb, code uuid);
    insert into orders select g, g / 4.0, g / 3.0, g / 10.0, g % 2 = 0, case g % 3 when 0 then null when 1 then '' else 'nö ' || g end,
        '\\x00ff', '2026-11-22 10:00:00.5+02', '2026-11-22', '{\"b\": [1, 2], \"a\": \"x\"}', '7d444840-9dc0-11d1-b245-5ffdce74fad2'
        from generate_series(1, 2500) g";

const MARIADB_ORDERS: &str = "create table orders (id bigint primary key, total decimal(12, 4), ratio double, small float,
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
    let (postgresql, maria) = (servers::postgres(), servers::mariadb());
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("orders.db");
    let all = [postgres(&postgresql, "postgres"), mariadb(&maria), Engine::Sqlite(file)];
    for (engine, words) in all.iter().zip([POSTGRES_ORDERS, MARIADB_ORDERS, SQLITE_ORDERS]) {
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
    let why = "orders: `made` of the key is a time: two engines do not sort by it alike, so name another key";
    fails(&result, why);
    let result = compared(&pairs[0], table("orders", &["raw", "note"]));
    assert!(result.why.as_deref().unwrap_or_default().contains("of the key is NULL"), "{result:?}");
    let result = compared(&[all[0].clone(), all[2].clone()], table("orders", &["note"]).without(&["id"]));
    assert!(result.why.as_deref().unwrap_or_default().contains("key"), "{result:?}");
}

trait Without {
    fn without(self, columns: &[&str]) -> Table;
}

impl Without for Table {
    fn without(self, columns: &[&str]) -> Table {
        Table { ignore: columns.iter().map(|name| (*name).to_owned()).collect(), ..self }
    }
}

#[test]
#[ignore = "needs PostgreSQL and MariaDB (.ci/setup)"]
fn queries_only_read_and_differences_are_named_by_row_and_column() {
    let (_store, in_postgres) = two_postgres();
    let (_stores, in_mariadb) = two_mariadb();
    for engines in [&in_postgres, &in_mariadb] {
        for engine in engines {
            run(
                engine,
                "create table t (id int primary key, v decimal(8, 2)); insert into t values (1, 1.5), (2, 100), (3, -1)",
            );
        }
        let [_, green] = engines;
        passes(&asked(engines, "select id, v from t order by id;", 0.0));
        run(green, "update t set v = 101 where id = 2");
        assert_eq!(asked(engines, "select id, v from t order by id", 0.02).outcome, Outcome::Passed);
        let result = asked(engines, "select id, v from t order by id", 0.0);
        fails(&result, "the data: 1 row differs: row 2, v: blue has 100, green has 101");
        for writing in [
            "delete from t",
            "drop table t",
            "create table u (id int)",
            "update t set v = 0",
            "truncate table t",
            "insert into t values (9, 9) returning id",
            // A comment to PostgreSQL, and to MySQL not.
            "delete from t /*! where id = 1 */",
        ] {
            let result = asked(engines, writing, 0.0);
            assert_eq!(result.outcome, Outcome::Failed, "{writing}");
            let why = result.why.unwrap();
            assert!(why.starts_with("the data: blue and green: the query failed: "), "{writing}: {why}");
            let result = asked(engines, &format!("select 1; {writing}"), 0.0);
            assert_eq!(result.outcome, Outcome::Failed, "{writing}");
            assert_eq!(number(green, "select count(*) from t"), 3, "{writing}");
            let injected = Table { filter: Some(format!("1 = 1); {writing}; select (1")), ..table("t", &["id"]) };
            assert_eq!(compared(engines, injected).outcome, Outcome::Failed);
            assert_eq!(number(green, "select count(*) from t"), 3, "{writing}");
        }
        let executed = asked(engines, "/*!50000 drop table t */", 0.0);
        assert_eq!((executed.outcome, number(green, "select count(*) from t")), (Outcome::Failed, 3));
        let query = "select id, v from t where v < 0".to_owned();
        let result = checked(Check::Integrity { databases: engines.clone(), query, timeout: PATIENCE });
        let row = "id = 3, v = -1.00";
        fails(&result, &format!("the data: 1 row violates it in blue: {row}; 1 row violates it in green: {row}"));
        let query = "select id from t where v < -5".to_owned();
        passes(&checked(Check::Integrity { databases: engines.clone(), query, timeout: PATIENCE }));
    }
}

/// What the process holds at the most while something runs, above what it held before, in bytes.
fn growth<T>(work: impl FnOnce() -> T) -> (T, u64) {
    let field = |name: &str| -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    };
    let before = field("VmRSS");
    // The peak begins anew.
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let result = work();
    (result, field("VmHWM").saturating_sub(before))
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let began = Instant::now();
    let result = work();
    (result, began.elapsed().as_secs_f64())
}

#[test]
#[ignore = "needs PostgreSQL and MariaDB (.ci/setup)"]
fn a_million_rows_are_compared_in_little_memory() {
    let (_store, in_postgres) = two_postgres();
    let (_stores, in_mariadb) = two_mariadb();
    let dir = tempfile::tempdir().unwrap();
    let file = Engine::Sqlite(dir.path().join("big.db"));
    let columns = "(id bigint primary key, customer int, total decimal(10, 2), note varchar(40), made timestamp)";
    for engine in &in_postgres {
        let rows = "select g, g % 1000, g / 100.0, 'note of ' || g, timestamp '2026-01-01' + g * interval '1 second' \
                    from generate_series(1, 1000000) g";
        run(
            engine,
            &format!("create table big {columns}; insert into big {rows}; create table plain as select * from big"),
        );
        run(engine, "analyze big");
    }
    for engine in &in_mariadb {
        let rows = "select seq, seq % 1000, seq / 100, concat('note of ', seq), \
                    timestamp('2026-01-01') + interval seq second from seq_1_to_1000000";
        let columns = columns.replace("timestamp", "datetime");
        run(engine, &format!("create table big {columns}; insert into big {rows}"));
        run(engine, "create table plain as select * from big");
    }
    let rows = "with recursive n(i) as (select 1 union all select i + 1 from n where i < 1000000) insert into big select i, \
                i % 1000, i / 100.0, 'note of ' || i, datetime('2026-01-01', i || ' seconds') from n";
    run(&file, &format!("create table big {columns}; {rows}"));

    let mixed = [file, in_postgres[1].clone()];
    let runs = [
        ("PostgreSQL, checksums", &in_postgres, "big"),
        ("PostgreSQL, rows", &in_postgres, "plain"),
        ("MariaDB, checksums", &in_mariadb, "big"),
        ("MariaDB, rows", &in_mariadb, "plain"),
        ("SQLite and PostgreSQL, rows", &mixed, "big"),
    ];
    let chunk = 10_000;
    let (_, seen) = growth(|| std::hint::black_box(vec![1_u8; 64 << 20]).len());
    assert!(seen >= 60 << 20, "a peak is seen: {seen}");
    for (what, engines, name) in &runs[..4] {
        let work = || timed(|| compared(engines, Table { chunk, ..table(name, &["id"]) }));
        let ((result, took), grown) = growth(work);
        println!("{what}: equal in {took:.2} s, {} MB", grown >> 20);
        passes(&result);
        assert_eq!(result.blue.rows, Some(1_000_000));
        assert!(grown < 100 << 20, "{what}: {grown}");
    }
    for engine in [&in_postgres[1], &in_mariadb[1]] {
        for name in ["big", "plain"] {
            run(engine, &format!("update {name} set total = 0 where id = 5; delete from {name} where id = 500077"));
            run(engine, &format!("insert into {name} (id) values (1000001)"));
        }
    }
    for (what, engines, name) in runs {
        let work = || timed(|| compared(engines, Table { chunk, ..table(name, &["id"]) }));
        let ((result, took), grown) = growth(work);
        println!("{what}: three differ, in {took:.2} s, {} MB", grown >> 20);
        let why = "3 of 1,000,000 rows differ: id = 5 differs in total, id = 500077 is missing in green, \
                   id = 1000001 is missing in blue";
        fails(&result, &format!("{name}: {why}"));
        assert!(grown < 100 << 20, "{what}: {grown}");
    }
    // All of them differ, and some have a million rows between two neighbours of the other side.
    run(&in_postgres[0], "delete from big where id between 2 and 999999");
    let work = || compared(&in_postgres, Table { chunk, ..table("big", &["id"]) });
    let (result, grown) = growth(work);
    assert!(result.why.as_deref().unwrap_or_default().starts_with("big: at least "), "{result:?}");
    // All but the first and the last, without the one that green lacks too, and with green's own.
    assert_eq!(result.rows_differing, 999_998);
    assert!(grown < 100 << 20, "{grown}");
}

#[test]
#[ignore = "needs PostgreSQL and MariaDB (.ci/setup)"]
fn what_a_replica_brings_late_is_no_difference_and_a_digest_tells_whether_data_moved() {
    let (_store, in_postgres) = two_postgres();
    let (_stores, in_mariadb) = two_mariadb();
    for engines in [&in_postgres, &in_mariadb] {
        for engine in engines {
            run(engine, "create table t (id int primary key, v int); insert into t values (1, 1), (2, 2), (3, 3)");
        }
        let [_, green] = engines;
        let data = Data {
            name: "t".to_owned(),
            check: Check::Table { databases: engines.clone(), table: table("t", &["id"]) },
        };
        let first = wait_for(digest(&data));
        assert_eq!((first[0].rows, &first[0].checksum), (Some(3), &first[1].checksum));
        run(green, "update t set v = 0 where id = 2; delete from t where id = 3");
        let second = wait_for(digest(&data));
        assert_eq!(first[0], second[0]);
        assert_ne!(first[1].checksum, second[1].checksum);
        let late = green.clone();
        let told = move |done: u64, all: u64| {
            if done == all {
                let late = late.clone();
                let writes = move || run(&late, "update t set v = 2 where id = 2; insert into t values (3, 3)");
                std::thread::spawn(writes).join().unwrap();
            }
        };
        let result = wait_for(check(&data, &told));
        passes(&result);
        assert_eq!((result.rows_differing, result.blue.checksum), (0, first[0].checksum.clone()));
        assert_eq!(wait_for(digest(&data)), first);
    }
}

#[test]
#[ignore = "needs PostgreSQL and MariaDB (.ci/setup)"]
fn a_future_that_is_dropped_stops_the_query_in_the_database() {
    let (store, in_postgres) = two_postgres();
    run(&in_postgres[0], "create table t (id int); insert into t select generate_series(1, 1000)");
    run(&in_postgres[1], "create table t (id int); insert into t select generate_series(1, 1000)");
    let watching = postgres(&store, "postgres");
    let active = "select count(*) from pg_stat_activity where state = 'active' and datname in ('blue', 'green')";
    let slow =
        Table { filter: Some("(select pg_sleep(0.1) where id > 0) is not null".to_owned()), ..table("t", &["id"]) };
    let asleep = "select pg_sleep(30)".to_owned();
    for check_of in [
        Check::Query { databases: in_postgres.clone(), query: asleep, tolerance: 0.0, timeout: PATIENCE },
        Check::Table { databases: in_postgres.clone(), table: slow },
    ] {
        let data = Data { name: "slow".to_owned(), check: check_of };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let task = runtime.spawn(async move { check(&data, &|_, _| {}).await });
        wait_until("both are at work", SOON, || number(&watching, active) == 2);
        task.abort();
        wait_until("nobody is", Duration::from_secs(10), || number(&watching, active) == 0);
    }
}

#[test]
#[ignore = "needs PostgreSQL and MariaDB (.ci/setup)"]
fn a_database_that_does_not_answer_is_named_without_its_password() {
    let (mut store, in_postgres) = two_postgres();
    run(&in_postgres[0], "create table t (id int primary key)");
    run(&in_postgres[1], "create table t (id int primary key)");
    let short = Table { timeout: Millis(700), ..table("t", &["id"]) };
    let slow = Table { filter: Some("pg_sleep(30) is null".to_owned()), ..short.clone() };
    run(&in_postgres[1], "insert into t values (1)");
    fails(&compared(&in_postgres, slow), "t: green: no answer in 700ms");
    let asleep = "select pg_sleep(30)".to_owned();
    let asleep = Check::Query { databases: in_postgres.clone(), query: asleep, tolerance: 0.0, timeout: Millis(700) };
    assert!(checked(asleep).why.unwrap().contains("in 700ms"));
    store.freeze();
    fails(&compared(&in_postgres, short.clone()), "t: blue and green: no answer in 700ms");
    store.thaw();
    store.kill();
    fails(&compared(&in_postgres, short.clone()), "t: blue and green: cannot connect: connection refused");
    let nowhere = [Engine::Sqlite(Path::new("/nowhere.db").to_owned()), in_postgres[1].clone()];
    let why = "t: blue: cannot open the file: there is no such file; green: cannot connect: connection refused";
    fails(&compared(&nowhere, short), why);
}
