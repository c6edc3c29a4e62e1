//! Every type of an engine: equal values agree, and a change that is hard to see is found.

use super::*;

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
    ("m", "1.51"),
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
        passes(&compared(&engines, TableCheck { chunk, ..table("public.kinds", &["id"]) }));
    }
    // By rows: no index holds both.
    passes(&compared(&engines, table("kinds", &["t", "id"]).without_null()));
    for (at, (column, value)) in POSTGRES_CHANGES.iter().enumerate() {
        let quoted = column.replace('"', "\"\"");
        run(green, &format!("update kinds set \"{quoted}\" = {value} where id = {}", at + 1));
    }
    run(green, "update kinds set t = '', v = null where id in (41, 42)");
    let result = compared(&engines, TableCheck { chunk: 7, most_rows: 30, ..table("kinds", &["id"]) });
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
    fn without_null(self) -> TableCheck;
}

impl WithoutNull for TableCheck {
    fn without_null(self) -> TableCheck {
        TableCheck { filter: Some("t is not null".to_owned()), ..self }
    }
}

pub const MARIADB_KINDS: &str = "create table kinds (id bigint unsigned primary key, i int, n decimal(12, 3), f float, d double,
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
    every_type_is_compared(
        &engines,
        MARIADB_KINDS,
        "sha256 d8b8b13cb51877020b218ad0d813e9ee60e7849cb9f77ffef8b51bc7d2d766a0",
    );
}

/// `long`: what a value begins with whose hexadecimal digits are more than a packet holds.
pub fn every_type_is_compared(engines: &[SqlEngine; 2], kinds: &str, long: &str) {
    let [blue, green] = engines;
    run(blue, &format!("set time_zone = '+00:00'; {kinds}"));
    run(green, &format!("set time_zone = '+00:00'; {kinds}"));
    run(green, "alter table kinds modify v varchar(20) character set utf8mb4");
    for chunk in [7, 1000] {
        passes(&compared(engines, TableCheck { chunk, ..table("shop.kinds", &["id"]) }));
    }
    passes(&compared(engines, table("kinds", &["t", "id"]).without_null()));
    for (at, (column, value)) in MARIADB_CHANGES.iter().enumerate() {
        let quoted = column.replace('`', "``");
        run(green, &format!("set time_zone = '+00:00'; update kinds set `{quoted}` = {value} where id = {}", at + 1));
    }
    run(green, "update kinds set t = '', v = null where id in (41, 42)");
    run(green, "delete from kinds where id = 18446744073709551615");
    let result = compared(engines, TableCheck { chunk: 7, most_rows: 30, ..table("kinds", &["id"]) });
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
    let thirty = || TableCheck { filter: Some("id = 30".to_owned()), ..table("kinds", &["id"]) };
    let result = compared(engines, thirty());
    fails(&result, "kinds: 1 of 1 rows differs: id = 30 differs in large");
    assert!(result.rows[0].columns[0].expected.starts_with(long), "{:?}", result.rows[0]);
    run(green, "update kinds set large = null where id = 30");
    fails(&compared(engines, thirty()), "kinds: 1 of 1 rows differs: id = 30 differs in large");
    run(green, "update kinds set large = repeat('x', 9000000) where id = 30");
    passes(&compared(engines, thirty()));
}
