//! Within one engine: values that are equal and written differently are no difference, and others are.

use super::*;

/// A type, a value in blue, an equal one in green, and another one.
const POSTGRES_VALUES: [(&str, &str, &str, &str); 16] = [
    ("numeric", "1.50", "1.5", "1.51"),
    ("numeric", "12345678901234567890123.0", "12345678901234567890123", "12345678901234567890124"),
    ("float8", "'-0'", "'0'", "'1e-300'"),
    ("float4", "'-0'", "'0'", "'1e-30'"),
    ("json", "'{\"a\":1, \"b\":2}'", "'{\"b\":2.0,\"a\":1}'", "'{\"b\":2,\"a\":1,\"c\":null}'"),
    ("jsonb", "'{\"a\":1.0}'", "'{\"a\":1}'", "'{\"a\":\"1\"}'"),
    ("jsonb", "'18446744073709551617'", "'18446744073709551617.0'", "'18446744073709551616'"),
    ("numeric[]", "array[1.50, null]", "array[1.5, null]", "array[1.5, 0]"),
    ("jsonb[]", "array['{\"a\": 1.0}'::jsonb]", "array['{\"a\": 1}'::jsonb]", "array['{\"a\": 2}'::jsonb]"),
    ("interval", "'1 day'", "'24 hours'", "'25 hours'"),
    ("interval", "'1 mon -1 day'", "'29 days'", "'30 days'"),
    ("interval[]", "array['1 day'::interval]", "array['24 hours'::interval]", "array['1 hour'::interval]"),
    ("numrange", "'[1.50,2)'", "'[1.5,2.0)'", "'[1.5,2.0]'"),
    ("timestamptz", "'2026-11-22 10:00:00+02'", "'2026-11-22 08:00:00Z'", "'2026-11-22 08:00:01Z'"),
    ("char(10)", "'a'", "'a  '", "'b'"),
    ("xml", "'<a/>'", "'<a/>'", "'<b/>'"),
];

#[test]
#[ignore = "needs PostgreSQL (.ci/setup)"]
fn postgresql_compares_by_value() {
    let (_store, engines) = two_postgres();
    let [blue, green] = &engines;
    for (at, (kind, value, equal, other)) in POSTGRES_VALUES.iter().enumerate() {
        let make = |value: &str| {
            format!(
                "create table v{at} (id int primary key, v {kind}); insert into v{at} values (1, {value}), (2, null)"
            )
        };
        run(blue, &make(value));
        run(green, &make(equal));
        let (name, same) = (format!("v{at}"), format!("{kind} {value} {equal}"));
        let result = compared(&engines, TableCheck { settle: Millis(10), ..table(&name, &["id"]) });
        assert_eq!((result.outcome, result.rows_differing), (Outcome::Passed, 0), "{same}: {result:?}");
        assert_eq!(result.blue.checksum, result.green.checksum, "{same}");
        assert_eq!(result.rows_settled, 0, "it was equal from the beginning: {same}");
        assert_eq!(
            asked(&engines, &format!("select v from v{at} order by id"), 0.0).outcome,
            Outcome::Passed,
            "{same}"
        );
        run(green, &format!("update v{at} set v = {other} where id = 1"));
        let result = compared(&engines, TableCheck { settle: Millis(10), ..table(&name, &["id"]) });
        assert_eq!(named(&result), [("id = 1", RowHow::Differs, vec!["v"])], "{kind} {value} {other}");
    }
}

/// More rows than are kept are written differently, and one is different.
#[test]
#[ignore = "needs PostgreSQL (.ci/setup)"]
fn a_table_that_is_written_differently_throughout_is_compared_by_value() {
    let (_store, engines) = two_postgres();
    let [blue, green] = &engines;
    let make = |value: &str| {
        format!(
            "create table t (id numeric primary key, v jsonb);
             insert into t select i, '{{\"price\": {value}}}' from generate_series(1, 12000) i"
        )
    };
    run(blue, &make("1.50"));
    run(green, &make("1.5"));
    passes(&compared(&engines, TableCheck { settle: Millis(10), ..table("t", &["id"]) }));
    run(green, "update t set v = '{\"price\": 1.51}' where id = 11999");
    let result = compared(&engines, TableCheck { settle: Millis(10), ..table("t", &["id"]) });
    fails(&result, "t: 1 of 12,000 rows differs: id = 11999 differs in v");
    let column = &result.rows[0].columns[0];
    assert_eq!((column.expected.as_str(), column.found.as_str()), ("{\"price\":1.5}", "{\"price\":1.51}"));
}

/// A key without a scale is the same key however it is written, and is walked through by checksums.
#[test]
#[ignore = "needs PostgreSQL (.ci/setup)"]
fn a_key_is_matched_by_value() {
    let (_store, engines) = two_postgres();
    let [blue, green] = &engines;
    run(blue, "create table t (id numeric primary key, v int); insert into t values (1.50, 1), (2, 2), (10.0, 3)");
    run(green, "create table t (id numeric primary key, v int); insert into t values (1.5, 1), (2.0, 5), (10, 3)");
    let result = compared(&engines, TableCheck { settle: Millis(10), chunk: 1, ..table("t", &["id"]) });
    assert_eq!(named(&result), [("id = 2", RowHow::Differs, vec!["v"])]);
}

#[test]
#[ignore = "needs PostgreSQL (.ci/setup)"]
fn a_column_of_postgresql_has_a_tolerance() {
    use config::suite::ColumnTolerance;
    let (_store, engines) = two_postgres();
    let [blue, green] = &engines;
    let make = "create table t (id int primary key, price numeric(10, 2), seen timestamptz);
        insert into t select i, i, '2026-11-22 10:00:00Z' from generate_series(1, 20) i";
    run(blue, make);
    run(green, make);
    run(green, "update t set price = price + 0.01, seen = seen + interval '2 seconds'");
    run(
        green,
        "update t set price = price + 0.01 where id = 3; update t set seen = seen - interval '5 s' where id = 4",
    );
    let columns = vec![
        ("price".to_owned(), ColumnTolerance::Number(0.01)),
        ("seen".to_owned(), ColumnTolerance::Time(Millis::seconds(2))),
    ];
    let tolerance = DataTolerance { relative: 0.0, columns };
    let result = compared(&engines, TableCheck { tolerance, settle: Millis(10), chunk: 5, ..table("t", &["id"]) });
    let expected = [("id = 3", RowHow::Differs, vec!["price"]), ("id = 4", RowHow::Differs, vec!["seen"])];
    assert_eq!(named(&result), expected);
}

/// A row that is written all the time is never equal at one moment: green has what blue had a while ago.
#[test]
#[ignore = "needs PostgreSQL (.ci/setup)"]
fn a_row_that_is_written_all_the_time_is_only_late() {
    let (_store, engines) = two_postgres();
    for engine in &engines {
        run(
            engine,
            "create table t (id int primary key, v int); insert into t select i, 0 from generate_series(1, 9) i",
        );
    }
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let (writing, started) = (engines.clone(), std::sync::mpsc::channel());
    let writer = std::thread::spawn(move || {
        let [blue, green] = &writing;
        for n in 1.. {
            run(blue, &format!("update t set v = {n} where id = 7; select pg_sleep(0.05)"));
            run(green, &format!("update t set v = {} where id = 7", n - 10));
            if n == 20 {
                started.0.send(()).unwrap();
            }
            if stopped.try_recv().is_ok() {
                return;
            }
        }
    });
    started.1.recv().unwrap();
    let late = compared(&engines, TableCheck { settle: Millis::seconds(10), ..table("t", &["id"]) });
    stop.send(()).unwrap();
    writer.join().unwrap();
    assert_eq!((late.outcome, late.rows_settled), (Outcome::Passed, 1), "{late:?}");
    assert_eq!(late.blue.checksum, late.green.checksum);
    // It is at rest now, and ten behind: that is a difference.
    let result = compared(&engines, TableCheck { settle: Millis::seconds(1), ..table("t", &["id"]) });
    assert_eq!(named(&result), [("id = 7", RowHow::Differs, vec!["v"])]);
}

/// Servers whose modes write and read texts in other ways.
const ODD_MODE: &[&str] = &["--sql-mode=ANSI,NO_BACKSLASH_ESCAPES,PAD_CHAR_TO_FULL_LENGTH,NO_UNSIGNED_SUBTRACTION"];

#[test]
#[ignore = "needs MariaDB (.ci/setup)"]
fn mariadb_compares_by_value_whatever_the_servers_mode() {
    let stores = [servers::mariadb(), servers::mariadb_with(ODD_MODE)];
    let engines = stores.each_ref().map(mariadb);
    let [blue, green] = &engines;
    let make = |number: &str, set: &str, zero: &str| {
        format!(
            "create table t (id {number} primary key, n {number}, d decimal(8, 2) {zero}, f float {zero},
                 b bigint {zero}, s set({set}), c char(10), w varchar(40), x double)"
        )
    };
    run(blue, &make("int(8) zerofill", "'a', 'b', 'c'", "zerofill"));
    run(green, &make("int unsigned", "'c', 'b', 'a'", "unsigned"));
    let rows = "insert into t values (7, 42, 1.5, 0.5, 18446744073709551615, 'a,c', 'pad', 'it''s', {zero}), \
                (10, 0, 0, 0, 0, '', '', '', 0), (123456, 1, 2, 3, 4, 'b', 'x', 'y', null)";
    run(blue, &rows.replace("{zero}", "-0e0"));
    run(green, &rows.replace("{zero}", "0"));
    for engine in &engines {
        // Each mode reads a backslash in its own way; the value is the same.
        run(engine, "update t set w = concat(w, char(92), '\"', char(39)) where id = 7");
    }
    for chunk in [1, 1000] {
        let result = compared(&engines, TableCheck { settle: Millis(10), chunk, ..table("t", &["id"]) });
        passes(&result);
        assert_eq!(result.rows_settled, 0);
    }
    passes(&asked(&engines, "select id, n, d, s, c, '<' || c || '>' from t order by id", 0.0));
    run(
        green,
        "update t set s = 'a,b' where id = 7; update t set n = 43 where id = 10; update t set c = 'X' where id = 123456",
    );
    let result = compared(&engines, TableCheck { settle: Millis(10), ..table("t", &["id"]) });
    let expected = [
        ("id = 7", RowHow::Differs, vec!["s"]),
        ("id = 10", RowHow::Differs, vec!["n"]),
        ("id = 123456", RowHow::Differs, vec!["c"]),
    ];
    assert_eq!(named(&result), expected);
}

#[test]
#[ignore = "needs MariaDB (.ci/setup)"]
fn sets_in_queries_to_mariadb_are_compared_by_their_words() {
    let (_stores, engines) = two_mariadb();
    sets_in_queries_are_compared_by_their_words(&engines);
}

pub fn sets_in_queries_are_compared_by_their_words(engines: &[SqlEngine; 2]) {
    for (engine, words) in engines.iter().zip(["'a', 'b', 'c'", "'c', 'b', 'a'"]) {
        run(
            engine,
            &format!(
                "create table sets (id int primary key, s set({words}) not null, n set({words}));
                 insert into sets values (1, 'a,c', 'b,c'), (2, '', null)"
            ),
        );
    }
    for query in ["select s, n from sets order by id", "select s from (select * from sets) as x order by id"] {
        passes(&asked(engines, query, 0.0));
    }
    // What is made of a set is a text.
    let result = asked(engines, "select concat(s, '!') as words from sets order by id", 0.0);
    fails(&result, "the data: 1 row differs: row 1, words: blue has a,c!, green has c,a!");
    run(&engines[1], "update sets set s = 'a,b' where id = 1");
    let result = asked(engines, "select s, n from sets order by id", 0.0);
    fails(&result, "the data: 1 row differs: row 1, s: blue has a,c, green has a,b");
}
