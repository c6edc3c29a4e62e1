//! Data of both sides compared, in the real PostgreSQL, MariaDB and MySQL, and in SQLite beside them.

mod engines;
mod kinds;
mod large;
mod mysql;
mod pooler;
mod values;

use std::path::Path;
use std::time::{Duration, Instant};

use config::suite::{DataCheck, DataCheckKind, DataTolerance, TableCheck};
use judgement::time::Millis;
use memory::snapshot::health_check::SqlEngine;
use memory::snapshot::secret_url::SecretUrl;
use validation::consistency::{check, digest};
use wire::{DataResult, Outcome, RowHow};

use crate::support::servers::{self, IN_URL, PASSWORD, Store};
use crate::support::{SOON, wait_until};

const PATIENCE: Millis = Millis::seconds(60);

fn wait_for<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn postgres(store: &Store, database: &str) -> SqlEngine {
    SqlEngine::Postgres(SecretUrl::new(format!("postgres://shop:{IN_URL}@127.0.0.1:{}/{database}", store.port)))
}

/// MariaDB or MySQL.
fn mariadb(store: &Store) -> SqlEngine {
    SqlEngine::Mysql(SecretUrl::new(format!("mysql://shop:{IN_URL}@127.0.0.1:{}/shop", store.port)))
}

/// One PostgreSQL with a database for each side.
fn two_postgres() -> (Store, [SqlEngine; 2]) {
    let store = servers::postgres();
    let engines = ["blue", "green"].map(|name| {
        run(&postgres(&store, "postgres"), &format!("create database {name}"));
        postgres(&store, name)
    });
    (store, engines)
}

fn two_mariadb() -> ([Store; 2], [SqlEngine; 2]) {
    two(servers::mariadb)
}

fn two(server: fn() -> Store) -> ([Store; 2], [SqlEngine; 2]) {
    let stores = [server(), server()];
    let engines = stores.each_ref().map(mariadb);
    (stores, engines)
}

#[track_caller]
fn run(engine: &SqlEngine, sql: &str) {
    use sqlx::{AssertSqlSafe, Connection, MySqlConnection, PgConnection};
    let sql = sql.to_owned();
    wait_for(async {
        match engine {
            SqlEngine::Postgres(url) => {
                let mut connection = PgConnection::connect(url.reveal()).await.unwrap();
                sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
                connection.close().await.unwrap();
            }
            SqlEngine::Mysql(url) => {
                let mut connection = MySqlConnection::connect(url.reveal()).await.unwrap();
                sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
                connection.close().await.unwrap();
            }
            SqlEngine::Sqlite(path) => rusqlite::Connection::open(path).unwrap().execute_batch(&sql).unwrap(),
        }
    });
}

/// A single number.
fn number(engine: &SqlEngine, sql: &str) -> i64 {
    use sqlx::{AssertSqlSafe, Connection, MySqlConnection, PgConnection};
    let sql = sql.to_owned();
    wait_for(async {
        match engine {
            SqlEngine::Postgres(url) => {
                let mut connection = PgConnection::connect(url.reveal()).await.unwrap();
                sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut connection).await.unwrap()
            }
            SqlEngine::Mysql(url) => {
                let mut connection = MySqlConnection::connect(url.reveal()).await.unwrap();
                sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut connection).await.unwrap()
            }
            SqlEngine::Sqlite(path) => {
                rusqlite::Connection::open(path).unwrap().query_row(&sql, [], |row| row.get(0)).unwrap()
            }
        }
    })
}

fn table(name: &str, key: &[&str]) -> TableCheck {
    TableCheck {
        name: name.to_owned(),
        key: key.iter().map(|name| (*name).to_owned()).collect(),
        columns: None,
        ignore: Vec::new(),
        filter: None,
        chunk: 1000,
        rows_only: false,
        most_rows: 20,
        tolerance: DataTolerance::default(),
        settle: Millis::seconds(1),
        timeout: Millis(30_000),
    }
}

#[track_caller]
fn compared(databases: &[SqlEngine; 2], table: TableCheck) -> DataResult {
    checked(DataCheckKind::Table { databases: databases.clone(), table })
}

#[track_caller]
fn asked(databases: &[SqlEngine; 2], query: &str, tolerance: f64) -> DataResult {
    let tolerance = DataTolerance { relative: tolerance, columns: Vec::new() };
    let (databases, query) = (databases.clone(), query.to_owned());
    checked(DataCheckKind::Query { databases, query, tolerance, settle: Millis(10), timeout: PATIENCE })
}

fn query_of(databases: &[SqlEngine; 2], query: &str, timeout: Millis) -> DataCheckKind {
    let (databases, query) = (databases.clone(), query.to_owned());
    DataCheckKind::Query { databases, query, tolerance: DataTolerance::default(), settle: Millis(10), timeout }
}

#[track_caller]
fn checked(check_of: DataCheckKind) -> DataResult {
    let data = DataCheck { name: "the data".to_owned(), check: check_of };
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
    let columns = |row: &'_ wire::RowDifference| row.columns.len();
    let rows = result.rows.iter();
    rows.map(|row| {
        assert!(columns(row) > 0 || row.how != RowHow::Differs);
        (row.key.as_str(), row.how, row.columns.iter().map(|column| column.what.as_str()).collect())
    })
    .collect()
}

/// Rows that are missing at either end and in the middle, over a key of numbers and texts, in databases that sort texts
/// by some language.
#[test]
#[ignore = "needs PostgreSQL and MariaDB (.ci/setup)"]
fn rows_are_missing_or_extra_over_compound_and_text_keys() {
    let (_store, in_postgres) = two_postgres();
    let (_stores, in_mariadb) = two_mariadb();
    rows_over_keys(&in_postgres, ["\"C\"", "\"und-x-icu\""]);
    rows_over_keys(&in_mariadb, ["utf8mb4_bin", "utf8mb4_uca1400_as_cs"]);
}

/// By bytes and by a language: the collations of texts.
fn rows_over_keys(engines: &[SqlEngine; 2], collations: [&str; 2]) {
    for engine in engines {
        run(
            engine,
            "create table items (shop int not null, nr bigint not null, name varchar(20), v int, primary key (shop, nr));
             create table copies (id int, v int); insert into copies values (1, 1), (2, 2);
             insert into items select a.n, b.n, concat('n', b.n), 1 from (select 1 as n union select 2 union select 30) a,
             (select 5 as n union select 6 union select 70 union select 800) b",
        );
        for (name, collation) in ["words", "tongues"].into_iter().zip(collations) {
            let words = "('a', 1), ('B', 1), ('é', 1), ('z', 1), ('A', 1), ('ab', 1), ('a b', 1), ('ä', 1), ('_', 1)";
            run(
                engine,
                &format!(
                    "create table {name} (word varchar(20) collate {collation} primary key, v int); insert into {name} values {words}"
                ),
            );
        }
    }
    let [blue, green] = engines;
    run(green, "delete from items where shop = 1 and nr = 5; delete from items where shop = 30 and nr = 70");
    run(green, "insert into items values (30, 900, 'new', 1), (31, 1, 'new', 1), (0, 9, 'new', 1)");
    run(green, "update items set v = 2 where shop = 2 and nr = 800");
    for chunk in [1, 2, 3, 100] {
        let result = compared(engines, TableCheck { chunk, ..table("items", &["shop", "nr"]) });
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
        passes(&compared(engines, TableCheck { chunk: 2, ..table(name, &["word"]) }));
        run(green, &format!("delete from {name} where word = 'B'; update {name} set v = 2 where word = 'ä'"));
        run(blue, &format!("delete from {name} where word = 'a b'"));
        for chunk in [1, 2, 5, 100] {
            let result = compared(engines, TableCheck { chunk, ..table(name, &["word"]) });
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
    fails(&result, "copies: green: the key is not unique: id = 2 occurs more than once");
    run(green, "delete from copies where id = 2; insert into copies values (null, 2)");
    let result = compared(engines, table("copies", &["id"]));
    fails(&result, "copies: green: key column `id` is NULL in a row: a key must identify every row");
    run(green, "delete from copies");
    let result = compared(engines, table("copies", &["id"]));
    fails(&result, "copies: 2 of 2 rows differ: id = 1 is missing in green, id = 2 is missing in green");
    run(blue, "delete from items; delete from copies");
    passes(&compared(engines, table("copies", &["id"])));
    let result = compared(engines, TableCheck { chunk: 3, most_rows: 1, ..table("items", &["shop", "nr"]) });
    fails(&result, "items: 13 of 13 rows differ: (shop = 0, nr = 9) is missing in blue, and 12 more");
    let result = compared(engines, TableCheck { rows_only: true, ..table("items", &["shop", "nr"]) });
    fails(&result, "items: blue has 0 rows, green has 13");
    run(green, "drop table copies");
    fails(&compared(engines, table("copies", &["id"])), "copies: the table does not exist in green");
    run(green, "alter table words add extra int");
    let why = "words: the columns differ: only green has `extra` (`ignore` excludes a column)";
    fails(&compared(engines, table("words", &["word"])), why);
}

#[test]
#[ignore = "needs PostgreSQL and MariaDB (.ci/setup)"]
fn queries_only_read_and_differences_are_named_by_row_and_column() {
    let (_store, in_postgres) = two_postgres();
    let (_stores, in_mariadb) = two_mariadb();
    queries_only_read(&in_postgres);
    queries_only_read(&in_mariadb);
}

fn queries_only_read(engines: &[SqlEngine; 2]) {
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
        assert!(why.starts_with("the data: blue and green: query failed: "), "{writing}: {why}");
        let result = asked(engines, &format!("select 1; {writing}"), 0.0);
        assert_eq!(result.outcome, Outcome::Failed, "{writing}");
        assert_eq!(number(green, "select count(*) from t"), 3, "{writing}");
        let injected = TableCheck { filter: Some(format!("1 = 1); {writing}; select (1")), ..table("t", &["id"]) };
        assert_eq!(compared(engines, injected).outcome, Outcome::Failed);
        assert_eq!(number(green, "select count(*) from t"), 3, "{writing}");
    }
    let executed = asked(engines, "/*!50000 drop table t */", 0.0);
    assert_eq!((executed.outcome, number(green, "select count(*) from t")), (Outcome::Failed, 3));
    let query = "select id, v from t where v < 0".to_owned();
    let result = checked(DataCheckKind::Integrity { databases: engines.clone(), query, timeout: PATIENCE });
    let row = "id = 3, v = -1.00";
    fails(&result, &format!("the data: 1 row violates it in blue: {row}; 1 row violates it in green: {row}"));
    let query = "select id from t where v < -5".to_owned();
    passes(&checked(DataCheckKind::Integrity { databases: engines.clone(), query, timeout: PATIENCE }));
}

#[test]
#[ignore = "needs PostgreSQL and MariaDB (.ci/setup)"]
fn what_a_replica_brings_late_is_no_difference_and_a_digest_tells_whether_data_moved() {
    let (_store, in_postgres) = two_postgres();
    let (_stores, in_mariadb) = two_mariadb();
    late_rows(&in_postgres);
    late_rows(&in_mariadb);
}

fn late_rows(engines: &[SqlEngine; 2]) {
    for engine in engines {
        run(engine, "create table t (id int primary key, v int); insert into t values (1, 1), (2, 2), (3, 3)");
    }
    let [_, green] = engines;
    let data = DataCheck {
        name: "t".to_owned(),
        check: DataCheckKind::Table { databases: engines.clone(), table: table("t", &["id"]) },
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

#[test]
#[ignore = "needs PostgreSQL and MariaDB (.ci/setup)"]
fn a_future_that_is_dropped_stops_the_query_in_the_database() {
    let (store, in_postgres) = two_postgres();
    run(&in_postgres[0], "create table t (id int); insert into t select generate_series(1, 1000)");
    run(&in_postgres[1], "create table t (id int); insert into t select generate_series(1, 1000)");
    let watching = postgres(&store, "postgres");
    let active = "select count(*) from pg_stat_activity where state = 'active' and datname in ('blue', 'green')";
    let slow = TableCheck {
        filter: Some("(select pg_sleep(0.1) where id > 0) is not null".to_owned()),
        ..table("t", &["id"])
    };
    let asleep = "select pg_sleep(30)".to_owned();
    for check_of in [
        query_of(&in_postgres, &asleep, PATIENCE),
        DataCheckKind::Table { databases: in_postgres.clone(), table: slow },
    ] {
        let data = DataCheck { name: "slow".to_owned(), check: check_of };
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
    let short = TableCheck { timeout: Millis(700), ..table("t", &["id"]) };
    let slow = TableCheck { filter: Some("pg_sleep(30) is null".to_owned()), ..short.clone() };
    run(&in_postgres[1], "insert into t values (1)");
    fails(&compared(&in_postgres, slow), "t: green: no response within 700ms");
    let asleep = "select pg_sleep(30)".to_owned();
    let asleep = query_of(&in_postgres, &asleep, Millis(700));
    assert!(checked(asleep).why.unwrap().contains("in 700ms"));
    store.freeze();
    fails(&compared(&in_postgres, short.clone()), "t: blue and green: no response within 700ms");
    store.thaw();
    store.kill();
    fails(&compared(&in_postgres, short.clone()), "t: blue and green: cannot connect: connection refused");
    let nowhere = [SqlEngine::Sqlite(Path::new("/nowhere.db").to_owned()), in_postgres[1].clone()];
    let why = "t: blue: cannot open the file: no such file; green: cannot connect: connection refused";
    fails(&compared(&nowhere, short), why);
}
