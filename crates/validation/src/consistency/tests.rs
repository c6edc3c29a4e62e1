//! Facts about comparing, with SQLite files.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rusqlite::Connection;

use super::*;
use config::suite::{ColumnTolerance, DataTolerance, TableCheck};
use judgement::time::Millis;
use wire::{RowDifference, RowHow};

const PATIENCE: Millis = Millis::seconds(60);
/// No replica here is late, except where a test says so.
const SETTLE: Millis = Millis(10);

/// Two files, each made by its own statements.
struct Pair(tempfile::TempDir);

impl Pair {
    fn new(both: &str, blue: &str, green: &str) -> Pair {
        let dir = tempfile::tempdir().unwrap();
        for (name, own) in [("blue.db", blue), ("green.db", green)] {
            let connection = Connection::open(dir.path().join(name)).unwrap();
            connection.execute_batch(both).unwrap();
            connection.execute_batch(own).unwrap();
        }
        Pair(dir)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn engines(&self) -> [SqlEngine; 2] {
        ["blue.db", "green.db"].map(|name| SqlEngine::Sqlite(self.path(name)))
    }

    fn table(&self, table: TableCheck) -> DataCheck {
        DataCheck { name: "the orders".to_owned(), check: DataCheckKind::Table { databases: self.engines(), table } }
    }

    fn query(&self, query: &str, tolerance: f64) -> DataResult {
        self.query_within(query, DataTolerance { relative: tolerance, columns: Vec::new() })
    }

    fn query_within(&self, query: &str, tolerance: DataTolerance) -> DataResult {
        let (databases, query) = (self.engines(), query.to_owned());
        let check = DataCheckKind::Query { databases, query, tolerance, settle: SETTLE, timeout: PATIENCE };
        checked(&DataCheck { name: "totals".to_owned(), check })
    }

    fn integrity(&self, query: &str) -> DataResult {
        let check = DataCheckKind::Integrity { databases: self.engines(), query: query.to_owned(), timeout: PATIENCE };
        checked(&DataCheck { name: "no orphans".to_owned(), check })
    }
}

fn orders() -> TableCheck {
    TableCheck {
        name: "orders".to_owned(),
        key: vec!["id".to_owned()],
        columns: None,
        ignore: Vec::new(),
        filter: None,
        chunk: 10,
        rows_only: false,
        most_rows: 10,
        tolerance: DataTolerance::default(),
        settle: SETTLE,
        timeout: Millis(10_000),
    }
}

fn wait_for<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn checked(data: &DataCheck) -> DataResult {
    wait_for(check(data, &|_, _| {}))
}

#[track_caller]
fn passes(result: &DataResult) {
    assert_eq!((result.outcome, result.why.as_deref()), (Outcome::Passed, None), "{result:?}");
}

#[track_caller]
fn fails(result: &DataResult, why: &str) {
    assert_eq!((result.outcome, result.why.as_deref()), (Outcome::Failed, Some(why)), "{result:?}");
}

fn named(rows: &[RowDifference]) -> Vec<(&str, RowHow)> {
    rows.iter().map(|row| (row.key.as_str(), row.how)).collect()
}

const ORDERS: &str = "create table orders (id integer primary key, total real, note text, data blob);
    with recursive n(i) as (select 1 union all select i + 1 from n where i < 100)
    insert into orders select i, i / 4.0, case i % 3 when 0 then null when 1 then '' else 'nö ' || i end, x'00ff' from n;";

#[test]
fn equal_tables_pass_with_equal_checksums() {
    let pair = Pair::new(ORDERS, "", "");
    let seen = Mutex::new(Vec::new());
    let result = wait_for(check(&pair.table(orders()), &|done, all| seen.lock().unwrap().push((done, all))));
    passes(&result);
    assert_eq!((result.blue.rows, result.green.rows), (Some(100), Some(100)));
    assert_eq!((&result.blue.checksum, result.check.as_str()), (&result.green.checksum, "table"));
    assert_eq!((result.chunks, result.chunks_differing, result.blue.engine.as_str()), (11, 0, "sqlite"));
    let seen = seen.into_inner().unwrap();
    assert_eq!((seen.first(), seen.last()), (Some(&(0, 10)), Some(&(11, 11))));
    assert!(seen.is_sorted(), "{seen:?}");
}

#[test]
fn rows_that_differ_are_named_with_their_columns() {
    let green = "update orders set total = 1.5, data = x'01' where id = 5; delete from orders where id = 77;
        insert into orders values (1001, 1, 'x', null); update orders set note = null where id = 1";
    let pair = Pair::new(ORDERS, "", green);
    let result = checked(&pair.table(orders()));
    let why = "orders: 4 of 100 rows differ: id = 1 differs in note, id = 5 differs in total and data, \
               id = 77 is missing in green, and 1 more";
    fails(&result, why);
    let all = [
        ("id = 1", RowHow::Differs),
        ("id = 5", RowHow::Differs),
        ("id = 77", RowHow::MissingInGreen),
        ("id = 1001", RowHow::MissingInBlue),
    ];
    assert_eq!(named(&result.rows), all);
    let told = |row: usize| -> Vec<(String, String, String)> {
        let columns = result.rows[row].columns.iter();
        columns.map(|column| (column.what.clone(), column.expected.clone(), column.found.clone())).collect()
    };
    assert_eq!(told(0), [("note".into(), "\"\"".into(), "NULL".into())]);
    assert_eq!(told(1)[0], ("total".into(), "1.25".into(), "1.5".into()));
    assert_eq!(told(1)[1], ("data".into(), "00ff".into(), "01".into()));
    assert_eq!((result.rows_differing, result.chunks_differing), (4, 3));
    assert_ne!(result.blue.checksum, result.green.checksum);
    let fewer = checked(&pair.table(TableCheck { most_rows: 1, ..orders() }));
    fails(&fewer, "orders: 4 of 100 rows differ: id = 1 differs in note, and 3 more");
    let none = checked(&pair.table(TableCheck { most_rows: 0, ..orders() }));
    fails(&none, "orders: 4 of 100 rows differ");
}

#[test]
fn columns_and_rows_can_be_left_out() {
    let green = "update orders set total = 0 where id = 5; delete from orders where id > 90";
    let pair = Pair::new(ORDERS, "", green);
    let table = TableCheck {
        ignore: vec!["total".to_owned()],
        filter: Some("id <= 90 -- the others are new".to_owned()),
        ..orders()
    };
    passes(&checked(&pair.table(table)));
    let chosen = TableCheck { columns: Some(vec!["note".to_owned()]), filter: Some("id <= 90".to_owned()), ..orders() };
    passes(&checked(&pair.table(chosen)));
    let counted = TableCheck { rows_only: true, ..orders() };
    let result = checked(&pair.table(counted.clone()));
    fails(&result, "orders: blue has 100 rows, green has 90");
    assert_eq!((result.check.as_str(), result.rows_differing, &result.blue.checksum), ("rows", 10, &None));
    passes(&checked(&pair.table(TableCheck { filter: Some("id < 50".to_owned()), ..counted })));
}

#[test]
fn empty_tables_are_equal_and_an_empty_side_lacks_everything() {
    let empty = Pair::new("create table orders (id integer primary key, total real)", "", "");
    passes(&checked(&empty.table(orders())));
    let table_query = Pair::new(ORDERS, "", "delete from orders");
    let result = checked(&table_query.table(orders()));
    assert_eq!((result.rows_differing, result.green.rows), (100, Some(0)));
    let other = Pair::new(ORDERS, "delete from orders", "");
    let result = checked(&other.table(TableCheck { most_rows: 1, ..orders() }));
    fails(&result, "orders: 100 of 100 rows differ: id = 1 is missing in blue, and 99 more");
}

#[test]
fn what_cannot_be_compared_is_said_in_words() {
    let pair =
        Pair::new(ORDERS, "create table only (id); alter table orders add x text", "alter table orders add y text");
    let told = |table: TableCheck| checked(&pair.table(table)).why.unwrap();
    let named = |name: &str| TableCheck { name: name.to_owned(), ..orders() };
    assert_eq!(told(named("gone")), "gone: the table does not exist on either side");
    assert_eq!(told(named("only")), "only: the table does not exist in green");
    let differ = "orders: the columns differ: only blue has `x`, only green has `y` (`ignore` excludes a column)";
    assert_eq!(told(orders()), differ);
    let keyed = |key: &str| TableCheck { key: vec![key.to_owned()], ..orders() };
    assert_eq!(told(keyed("nr")), "orders: neither side has a column `nr`");
    assert_eq!(told(keyed("x")), "orders: green has no column `x`");
    assert_eq!(
        told(TableCheck { key: Vec::new(), ..orders() }),
        "orders: no key: name the columns that identify a row"
    );
    let both = |key: &str| TableCheck { ignore: vec!["x".to_owned(), "y".to_owned()], ..keyed(key) };
    passes(&checked(&pair.table(both("id"))));
    assert_eq!(
        told(both("note")),
        "orders: blue and green: key column `note` is NULL in a row: a key must identify every row"
    );
    assert_eq!(told(both("data")), "orders: blue and green: the key is not unique: data = 00ff occurs more than once");
    let wrong = TableCheck { filter: Some("nr > 5".to_owned()), ..both("id") };
    assert_eq!(told(wrong), "orders: blue and green: query failed: no such column: nr");
    let injected = TableCheck { filter: Some("1 = 1); delete from orders; select (1".to_owned()), ..both("id") };
    let why = told(injected);
    assert!(why.contains("query failed"), "{why}");
    std::fs::remove_file(pair.path("green.db")).unwrap();
    assert_eq!(told(orders()), "orders: green: cannot open the file: no such file");
}

#[test]
fn keys_of_several_columns_and_of_text_are_walked_through_in_one_order() {
    let both = "create table orders (shop text, id integer, total integer, primary key (shop, id));
        with recursive n(i) as (select 1 union all select i + 1 from n where i < 60)
        insert into orders select char(96 + i % 7) || substr('éÄz~ ', i % 5 + 1, 1), i, i from n;";
    let pair = Pair::new(both, "", "update orders set total = 0 where id = 12; delete from orders where id = 9");
    let table = TableCheck { key: vec!["shop".to_owned(), "id".to_owned()], chunk: 7, ..orders() };
    let result = checked(&pair.table(table));
    assert_eq!(
        named(&result.rows),
        [("(shop = b , id = 9)", RowHow::MissingInGreen), ("(shop = ez, id = 12)", RowHow::Differs)]
    );
    let names = "create table orders (id text primary key, total); insert into orders values ('a', 1), ('B', 1), ('é', 1), ('a ', 1), ('A', 1)";
    let pair = Pair::new(names, "", "delete from orders where id = 'a '");
    let result = checked(&pair.table(orders()));
    assert_eq!(named(&result.rows), [("id = a ", RowHow::MissingInGreen)]);
    let any = "create table orders (id, total); insert into orders values (10, 1), ('b', 1), (9, 1), (1.5, 1)";
    passes(&checked(&Pair::new(any, "", "").table(orders())));
    let pair = Pair::new(any, "", "insert into orders values (x'61', 1)");
    let why = "orders: green: key column `id` is NULL in a row: a key must identify every row";
    fails(&checked(&pair.table(orders())), why);
}

#[test]
fn so_many_rows_that_differ_are_counted_and_not_all_kept() {
    let many = "create table orders (id integer primary key, total int);
        with recursive n(i) as (select 1 union all select i + 1 from n where i < 12000)
        insert into orders select i, i from n;";
    let pair = Pair::new(many, "", "update orders set total = total + 1");
    let result = checked(&pair.table(TableCheck { most_rows: 2, chunk: 1000, ..orders() }));
    let why = "orders: at least 12,000 of 12,000 rows differ: id = 1 differs in total, id = 2 differs in total, \
               and 11,998 more";
    fails(&result, why);
    assert_eq!(result.rows.len(), 2);
}

#[test]
fn progress_is_told_without_counting_the_rows() {
    // Such a table has no row ids: nobody knows how large it is.
    let without_ids = ORDERS.replacen(");", ") without rowid;", 1);
    assert_ne!(without_ids, ORDERS);
    for (orders_of, first) in [(ORDERS.to_owned(), 10), (without_ids, 1)] {
        let pair = Pair::new(&orders_of, "", "");
        let data = pair.table(TableCheck { chunk: 10, ..orders() });
        let heard = std::sync::Mutex::new(Vec::new());
        let result = wait_for(check(&data, &|done: u64, all: u64| heard.lock().unwrap().push((done, all))));
        passes(&result);
        let heard = heard.into_inner().unwrap();
        assert_eq!(heard.first(), Some(&(0, first)), "{heard:?}");
        assert!(heard.last().is_some_and(|(done, all)| done == all), "{heard:?}");
    }
}

#[test]
fn rows_that_are_only_late_are_no_difference() {
    let pair = Pair::new(ORDERS, "", "update orders set total = -1 where id = 5; delete from orders where id = 7");
    let data = pair.table(TableCheck { settle: Millis::seconds(5), ..orders() });
    // All rows are compared by now: the second look is a second later.
    let told = |done: u64, all: u64| {
        if done == all {
            late_rows(&pair.path("blue.db"), &pair.path("green.db"));
        }
    };
    let result = wait_for(check(&data, &told));
    passes(&result);
    assert_eq!((result.rows_differing, result.chunks_differing, result.green.rows), (0, 0, Some(100)));
    assert_eq!((result.rows_settled, result.blue.checksum), (2, result.green.checksum));
    assert!(result.took_ms < 4_000.0, "the first look again was enough");
    let at_once = TableCheck { settle: Millis(0), ..orders() };
    let pair = Pair::new(ORDERS, "", "update orders set total = -1 where id = 5");
    let result = checked(&pair.table(at_once));
    assert_eq!((result.rows_differing, result.rows_settled), (1, 0));
}

#[test]
fn a_side_that_has_what_the_other_had_before_is_only_late() {
    let pair = Pair::new(ORDERS, "", "update orders set total = -1 where id = 5");
    let data = pair.table(TableCheck { settle: Millis::seconds(1), ..orders() });
    // Blue has moved on by the second look, and green has what blue had.
    let told = |done: u64, all: u64| {
        if done == all {
            let files = [(pair.path("blue.db"), 9.0), (pair.path("green.db"), 1.25)];
            std::thread::spawn(move || files.into_iter().for_each(|(path, total)| set_total(&path, total)));
        }
    };
    let result = wait_for(check(&data, &told));
    passes(&result);
    assert_eq!((result.rows_settled, result.blue.checksum), (1, result.green.checksum));
}

fn set_total(path: &Path, total: f64) {
    let connection = Connection::open(path).unwrap();
    connection.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
    connection.execute("update orders set total = ? where id = 5", [total]).unwrap();
}

#[test]
fn a_column_has_a_tolerance_of_its_own() {
    let both = "create table orders (id integer primary key, price decimal(10, 2), seen timestamp, note text);
        insert into orders values (1, 10.00, '2026-11-22 10:00:00', 'a'), (2, 20, '2026-11-22 10:00:00', 'b'),
        (3, 30, null, 'c'), (4, 40, '2026-11-22 10:00:00', 'd')";
    let green = "update orders set price = 10.01, seen = '2026-11-22 10:00:02' where id = 1;
        update orders set price = 20.02, seen = '2026-11-22 10:00:02.5' where id = 2;
        update orders set price = 30.005 where id = 3; update orders set note = 'x' where id = 4";
    let pair = Pair::new(both, "", green);
    let columns = vec![
        ("price".to_owned(), ColumnTolerance::Number(0.01)),
        ("seen".to_owned(), ColumnTolerance::Time(Millis::seconds(2))),
    ];
    let tolerance = DataTolerance { relative: 0.0, columns };
    let result = checked(&pair.table(TableCheck { tolerance: tolerance.clone(), ..orders() }));
    fails(&result, "orders: 2 of 4 rows differ: id = 2 differs in price and seen, id = 4 differs in note");
    let ignore = vec!["note".to_owned()];
    let filter = Some("id <> 2".to_owned());
    let near = checked(&pair.table(TableCheck { tolerance: tolerance.clone(), ignore, filter, ..orders() }));
    passes(&near);
    assert_eq!(near.blue.checksum, near.green.checksum);
    let query = "select id, price from orders order by id";
    let price = |number: f64| DataTolerance {
        relative: 0.0,
        columns: vec![("price".to_owned(), ColumnTolerance::Number(number))],
    };
    passes(&pair.query_within(query, price(0.02)));
    let result = pair.query_within(query, price(0.01));
    fails(&result, "totals: 1 row differs: row 2, price: blue has 20, green has 20.02");
    let of_gone = DataTolerance { columns: vec![("gone".to_owned(), ColumnTolerance::Number(1.0))], ..price(0.0) };
    let why = "totals: `tolerance` has a column `gone`, which the query does not return: it returns id, price";
    fails(&pair.query_within(query, of_gone.clone()), why);
    let result = checked(&pair.table(TableCheck { tolerance: of_gone, ..orders() }));
    fails(&result, "orders: neither side has a column `gone`");
    let of_note = DataTolerance { columns: vec![("note".to_owned(), ColumnTolerance::Number(1.0))], ..price(0.0) };
    let why = "orders: `note` has a tolerance, and holds neither numbers nor times: remove it from `tolerance`";
    fails(&checked(&pair.table(TableCheck { tolerance: of_note, ..orders() })), why);
}

#[test]
fn a_replica_that_is_late_with_very_many_rows_is_waited_for() {
    let many = "create table orders (id integer primary key, total int);
        with recursive n(i) as (select 1 union all select i + 1 from n where i < 40000)
        insert into orders select i, i from n;";
    let pair = Pair::new(many, "update orders set total = 0 where id <= 12000", "");
    let data = pair.table(TableCheck { settle: Millis::seconds(1), chunk: 1000, ..orders() });
    let late = pair.path("green.db");
    let told = move |done: u64, all: u64| {
        if done == all {
            let late = late.clone();
            std::thread::spawn(move || {
                let connection = Connection::open(late).unwrap();
                connection.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
                connection.execute_batch("update orders set total = 0 where id <= 12000").unwrap();
            });
        }
    };
    let result = wait_for(check(&data, &told));
    passes(&result);
    assert_eq!((result.rows_settled, result.blue.checksum), (12_000, result.green.checksum));
}

/// In a thread: whoever writes waits for those who read.
fn late_rows(blue: &Path, green: &Path) {
    let (blue, green) = (blue.display().to_string(), green.to_owned());
    std::thread::spawn(move || {
        let connection = Connection::open(green).unwrap();
        connection.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
        let words = format!(
            "attach '{blue}' as other; update orders set total = 1.25 where id = 5;
             insert into orders select * from other.orders where id = 7"
        );
        connection.execute_batch(&words).unwrap();
    });
}

#[test]
fn a_digest_changes_exactly_with_the_data() {
    let pair = Pair::new(ORDERS, "", "");
    let data = pair.table(orders());
    let first = wait_for(digest(&data));
    assert_eq!((first[0].rows, &first[0].checksum), (Some(100), &first[1].checksum));
    assert_eq!(first[0].checksum, checked(&data).blue.checksum, "the same number as a comparison's");
    let green = Connection::open(pair.path("green.db")).unwrap();
    green.execute_batch("update orders set note = 'moved' where id = 3").unwrap();
    let second = wait_for(digest(&data));
    assert_eq!(first[0], second[0]);
    assert_ne!(first[1].checksum, second[1].checksum);
    green.execute_batch("update orders set note = null where id = 3").unwrap();
    assert_eq!(wait_for(digest(&data)), first);
    let gone = pair.table(TableCheck { name: "gone".to_owned(), ..orders() });
    assert_eq!((wait_for(digest(&gone))[0].rows, wait_for(digest(&gone))[0].engine.as_str()), (None, "sqlite"));
    let check = DataCheckKind::Query {
        databases: pair.engines(),
        query: "select 1".to_owned(),
        tolerance: DataTolerance::default(),
        settle: SETTLE,
        timeout: PATIENCE,
    };
    let [blue, green] = wait_for(digest(&DataCheck { name: "q".to_owned(), check }));
    assert_eq!((blue.rows, blue.checksum.is_some(), &blue), (Some(1), true, &green));
}

#[test]
fn a_query_gives_the_same_rows_in_the_same_order_or_says_where_not() {
    let pair = Pair::new(ORDERS, "", "update orders set total = total * 1.001 where id = 50");
    passes(&pair.query("select id, note from orders order by id;", 0.0));
    passes(&pair.query("select id, total from orders order by id", 0.01));
    let result = pair.query("select id, total from orders order by id", 0.0);
    fails(&result, "totals: 1 row differs: row 50, total: blue has 12.5, green has 12.5125");
    assert_eq!((result.rows_differing, result.blue.rows), (1, Some(100)));
    assert_ne!(result.blue.checksum, result.green.checksum);
    let green = Connection::open(pair.path("green.db")).unwrap();
    green.execute_batch("delete from orders where id = 100; update orders set note = null where id = 1").unwrap();
    let result = pair.query("select id, note from orders order by id", 0.0);
    let told: Vec<String> =
        result.findings.iter().map(|f| format!("{}: {} / {}", f.what, f.expected, f.found)).collect();
    assert_eq!(told, ["row 1, note: \"\" / NULL", "row 100: id = 100, note = \"\" / no row"]);
    assert_eq!(result.rows_differing, 2);
}

#[test]
fn a_query_only_reads_and_is_one_statement() {
    let pair = Pair::new(ORDERS, "", "");
    let told = |query: &str| pair.query(query, 0.0).why.unwrap();
    let twice = |why: &str| format!("totals: blue and green: query failed: {why}");
    assert_eq!(told("delete from orders"), twice("it is not read-only"));
    assert_eq!(told("select 1; delete from orders"), twice("it contains more than one statement"));
    assert_eq!(told(&format!("vacuum into '{}'", pair.path("copy.db").display())), twice("it is not read-only"));
    assert!(!pair.path("copy.db").exists());
    assert_eq!(told("selec 1"), twice("near \"selec\": syntax error"));
    let long = "with recursive n(i) as (select 1 union all select i + 1 from n) select i from n";
    let too_long = "the result exceeds 100,000 rows or 64 MiB: compare the table instead";
    assert_eq!(told(long), format!("totals: blue and green: {too_long}"));
    let wide = "with recursive n(i) as (select 1 union all select i + 1 from n) select hex(zeroblob(1000000)) from n";
    assert_eq!(told(wide), format!("totals: blue and green: {too_long}"));
}

#[test]
fn an_integrity_query_finds_no_row_or_shows_the_first_ones() {
    let pair = Pair::new(ORDERS, "", "update orders set total = -1 where id in (3, 4)");
    passes(&pair.integrity("select id from orders where total < -5"));
    let result = pair.integrity("select id, total from orders where total < 0 order by id");
    fails(&result, "no orphans: 2 rows violate it in green: id = 3, total = -1.0");
    assert_eq!((result.blue.violations, result.green.violations), (Some(0), Some(2)));
    let told: Vec<&str> = result.findings.iter().map(|finding| finding.what.as_str()).collect();
    assert_eq!(told, ["green, row 1", "green, row 2"]);
    let result = pair.integrity("select id from orders");
    let why = "no orphans: 100 rows violate it in blue: id = 1; 100 rows violate it in green: id = 1";
    fails(&result, why);
    assert_eq!(result.findings.len(), 20);
    let result = pair.integrity("with recursive n(i) as (select 1 union all select i + 1 from n) select i from n");
    assert!(result.why.unwrap().starts_with("no orphans: over 100,000 rows violate it in blue: i = 1;"));
}

#[test]
fn a_query_reads_the_file_that_the_suite_names_and_no_other() {
    let pair = Pair::new(ORDERS, "", "");
    let other = pair.path("other.db");
    Connection::open(&other).unwrap().execute_batch("create table secrets (s text)").unwrap();
    let result = pair.query(&format!("attach '{}' as other", other.display()), 0.0);
    assert!(result.why.unwrap().contains("too many attached databases"));
}

#[test]
fn a_future_that_is_dropped_interrupts_sqlite() {
    let pair = Pair::new(ORDERS, "", "");
    let endless = "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n";
    let check_of = DataCheckKind::Query {
        databases: pair.engines(),
        query: endless.to_owned(),
        tolerance: DataTolerance::default(),
        settle: SETTLE,
        timeout: PATIENCE,
    };
    let data = DataCheck { name: "endless".to_owned(), check: check_of };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let asked = async { tokio::time::timeout(std::time::Duration::from_millis(300), check(&data, &|_, _| {})).await };
    assert!(runtime.block_on(asked).is_err());
    let began = clock::micros();
    let patience = std::time::Duration::from_secs(20);
    runtime.shutdown_timeout(patience);
    assert!(u128::from(clock::micros() - began) < patience.as_micros(), "the threads are still at work");
}
