//! The same as in MariaDB, in Oracle's MySQL: it has lost and gained what the other has not.

use super::engines::{MARIADB_ORDERS, compared_by_what_values_mean};
use super::kinds::{MARIADB_KINDS, every_type_is_compared};
use super::values::sets_in_queries_are_compared_by_their_words;
use super::*;

/// What was written for MariaDB, without its sequences and its type for UUIDs.
fn plain(sql: &str) -> String {
    let (before, rows) = sql.split_once("seq_1_to_").unwrap();
    let end = rows.find(|c: char| !c.is_ascii_digit()).unwrap_or(rows.len());
    let (many, after) = rows.split_at(end);
    let numbers = format!(
        "(with recursive n (seq) as (select 1 union all select seq + 1 from n where seq < {many}) select seq from n) numbers"
    );
    format!("{before}{numbers}{after}").replace(" uuid", " char(36)")
}

#[test]
#[ignore = "needs MySQL (.ci/setup)"]
fn mysql_has_every_type_compared_to_the_last_bit() {
    let (_stores, engines) = two(servers::mysql);
    // MySQL gives it whole.
    every_type_is_compared(&engines, &plain(MARIADB_KINDS), "787878");
}

#[test]
#[ignore = "needs PostgreSQL and MySQL (.ci/setup)"]
fn mysql_and_other_engines_are_compared_by_what_values_mean() {
    compared_by_what_values_mean(&servers::mysql(), &plain(MARIADB_ORDERS));
}

#[test]
#[ignore = "needs MySQL (.ci/setup)"]
fn mysql_is_only_read_and_late_rows_and_rows_over_any_key_are_found() {
    let (_stores, engines) = two(servers::mysql);
    rows_over_keys(&engines, ["utf8mb4_bin", "utf8mb4_0900_as_cs"]);
    queries_only_read(&engines);
    sets_in_queries_are_compared_by_their_words(&engines);
    run(&engines[0], "drop table t");
    run(&engines[1], "drop table t");
    late_rows(&engines);
}
