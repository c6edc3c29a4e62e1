//! A million rows, in bounded memory.

use super::*;

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
    let file = SqlEngine::Sqlite(dir.path().join("big.db"));
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
        let work = || timed(|| compared(engines, TableCheck { chunk, ..table(name, &["id"]) }));
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
        let work = || timed(|| compared(engines, TableCheck { chunk, ..table(name, &["id"]) }));
        let ((result, took), grown) = growth(work);
        println!("{what}: three differ, in {took:.2} s, {} MB", grown >> 20);
        let why = "3 of 1,000,000 rows differ: id = 5 differs in total, id = 500077 is missing in green, \
                   id = 1000001 is missing in blue";
        fails(&result, &format!("{name}: {why}"));
        assert!(grown < 100 << 20, "{what}: {grown}");
    }
    // All of them differ, and some have a million rows between two neighbours of the other side.
    run(&in_postgres[0], "delete from big where id between 2 and 999999");
    let work = || compared(&in_postgres, TableCheck { chunk, ..table("big", &["id"]) });
    let (result, grown) = growth(work);
    assert!(result.why.as_deref().unwrap_or_default().starts_with("big: at least "), "{result:?}");
    // All but the first and the last, without the one that green lacks too, and with green's own.
    assert_eq!(result.rows_differing, 999_998);
    assert!(grown < 100 << 20, "{grown}");
}
