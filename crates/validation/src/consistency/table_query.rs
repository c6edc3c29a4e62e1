//! The SQL that reads a table on one side, and how its rows are decoded.

use std::hash::Hasher;

use siphasher::sip::SipHasher24;

use crate::consistency::dialect::{Column, Dialect, HashFunction, KeyBinding};
use crate::consistency::rows::RowValues;
use crate::consistency::values::{self, Comparison};

/// The key of a row, as texts.
pub type RowKey = Vec<String>;

/// A row by its key and its hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HashedRow {
    pub key: RowKey,
    pub hash: u64,
    /// Its canonical values, where rows with different hashes may agree.
    pub values: RowValues,
}

/// Builds the queries for one side.
#[derive(Debug, Default)]
pub struct TableQuery {
    pub dialect: Dialect,
    /// Quoted.
    pub table: String,
    pub filter: Option<String>,
    pub key: Vec<(Column, KeyBinding, Comparison)>,
    pub columns: Vec<(Column, Comparison)>,
    /// The database hashes its rows.
    pub hashes: bool,
    pub hash: HashFunction,
    /// Rows that are read have their values.
    pub keeps_values: bool,
}

/// A query and its parameters.
pub type BoundQuery = (String, Vec<String>);

impl TableQuery {
    fn conditions(&self, more: Vec<String>) -> String {
        // On its own lines, because it may end in a comment.
        let filter = self.filter.iter().map(|filter| format!("(\n{filter}\n)"));
        let all: Vec<String> = filter.chain(more).collect();
        if all.is_empty() { String::new() } else { format!(" WHERE {}", all.join(" AND ")) }
    }

    fn key_texts(&self) -> String {
        self.key.iter().map(|(column, ..)| self.dialect.key_text(column)).collect::<Vec<_>>().join(", ")
    }

    fn texts(&self) -> String {
        self.columns.iter().map(|(column, _)| self.dialect.text(column)).collect::<Vec<_>>().join(", ")
    }

    fn hash(&self) -> String {
        let columns: Vec<Column> = self.columns.iter().map(|(column, _)| column.clone()).collect();
        self.dialect.row_hash(&columns, self.hash)
    }

    /// The key, and the hash or the values that it is made of.
    fn looked_at(&self) -> String {
        match (self.hashes, self.dialect) {
            (true, Dialect::Postgres) => format!("{}, ({})::text", self.key_texts(), self.hash()),
            (true, _) => format!("{}, CAST({} AS CHAR)", self.key_texts(), self.hash()),
            (false, _) => format!("{}, {}", self.key_texts(), self.texts()),
        }
    }

    pub fn count(&self) -> String {
        let count = if self.dialect == Dialect::Mysql { "CAST(COUNT(*) AS CHAR)" } else { "CAST(count(*) AS text)" };
        format!("SELECT {count} FROM {}{}", self.table, self.conditions(Vec::new()))
    }

    /// About how many rows there are, without counting them.
    pub fn estimate(&self, table: &str) -> BoundQuery {
        let (schema, name) = table.split_once('.').unwrap_or(("", table));
        match self.dialect {
            Dialect::Postgres => {
                let sql =
                    "SELECT greatest(reltuples, 0)::bigint::text FROM pg_catalog.pg_class WHERE oid = to_regclass($1)";
                (sql.to_owned(), vec![self.table.clone()])
            }
            Dialect::Mysql => {
                let sql = "SELECT CAST(TABLE_ROWS AS CHAR) FROM information_schema.TABLES \
                     WHERE TABLE_SCHEMA = COALESCE(NULLIF(?, ''), DATABASE()) AND TABLE_NAME = ?";
                (sql.to_owned(), vec![schema.to_owned(), name.to_owned()])
            }
            // SQLite keeps no count. The first and last row ids are found at once; counting would read every row.
            Dialect::Sqlite => {
                let end = |which| format!("(SELECT {which}(rowid) FROM {})", self.table);
                (format!("SELECT CAST({} - {} + 1 AS text)", end("max"), end("min")), Vec::new())
            }
        }
    }

    /// All rows, sorted by the key in the order that all engines share.
    pub fn sorted(&self) -> String {
        let order =
            self.key.iter().map(|(column, ..)| self.dialect.order(&self.table, column)).collect::<Vec<_>>().join(", ");
        let (what, table, conditions) = (self.looked_at(), &self.table, self.conditions(Vec::new()));
        format!("SELECT {what} FROM {table}{conditions} ORDER BY {order}")
    }

    /// The key of the `chunk`th row after another one.
    pub fn boundary(&self, after: Option<&RowKey>, chunk: u64) -> BoundQuery {
        let mut bound = Vec::new();
        let conditions = self.conditions(self.range(after, None, &mut bound));
        let (texts, table) = (self.key_texts(), &self.table);
        let own =
            |(column, ..): &(Column, KeyBinding, Comparison)| format!("{table}.{}", self.dialect.quoted(&column.name));
        let names = self.key.iter().map(own).collect::<Vec<_>>().join(", ");
        let skipped = chunk.saturating_sub(1);
        (format!("SELECT {texts} FROM {table}{conditions} ORDER BY {names} LIMIT 1 OFFSET {skipped}"), bound)
    }

    /// The number of rows after one key and up to another, and the sum of their hashes.
    pub fn checksum(&self, after: Option<&RowKey>, to: Option<&RowKey>) -> BoundQuery {
        let mut bound = Vec::new();
        let conditions = self.conditions(self.range(after, to, &mut bound));
        let (hash, table) = (self.hash(), &self.table);
        let sql = if self.dialect == Dialect::Postgres {
            format!("SELECT count(*)::text, coalesce(sum({hash}), 0)::text FROM {table}{conditions}")
        } else {
            format!("SELECT CAST(COUNT(*) AS CHAR), CAST(COALESCE(SUM({hash}), 0) AS CHAR) FROM {table}{conditions}")
        };
        (sql, bound)
    }

    /// The rows of a range, in any order.
    pub fn rows(&self, after: Option<&RowKey>, to: Option<&RowKey>) -> BoundQuery {
        let mut bound = Vec::new();
        let conditions = self.conditions(self.range(after, to, &mut bound));
        (format!("SELECT {} FROM {}{conditions}", self.looked_at(), self.table), bound)
    }

    /// The rows with these keys, in any order; perhaps also others, whose keys the database considers equal.
    pub fn with_keys(&self, keys: &[RowKey]) -> BoundQuery {
        let (condition, bound) = self.one_of(keys);
        (format!("SELECT {} FROM {}{}", self.looked_at(), self.table, self.conditions(vec![condition])), bound)
    }

    /// The values of the rows with these keys, in any order; perhaps also of others, as above.
    pub fn values(&self, keys: &[RowKey]) -> BoundQuery {
        let (condition, bound) = self.one_of(keys);
        let (key, texts, table) = (self.key_texts(), self.texts(), &self.table);
        (format!("SELECT {key}, {texts} FROM {table}{}", self.conditions(vec![condition])), bound)
    }

    fn one_of(&self, keys: &[RowKey]) -> BoundQuery {
        let mut bound: Vec<String> = Vec::new();
        let mut each = Vec::new();
        for key in keys {
            let at = bound.len();
            let equations = self.key.iter().zip(key).enumerate();
            let equations: Option<Vec<String>> = equations
                .map(|(place, ((column, bind, _), value))| {
                    let (left, right) = self.dialect.equation(column, *bind, value, at + place + 1)?;
                    Some(format!("{left} = {right}"))
                })
                .collect();
            // No row has a value that the column cannot hold.
            if let Some(equations) = equations {
                bound.extend(key.iter().cloned());
                each.push(format!("({})", equations.join(" AND ")));
            }
        }
        if each.is_empty() {
            return ("1 = 0".to_owned(), bound);
        }
        (format!("({})", each.join(" OR ")), bound)
    }

    /// Conditions for the rows after one key and up to another, in the order of the index.
    fn range(&self, after: Option<&RowKey>, to: Option<&RowKey>, bound: &mut Vec<String>) -> Vec<String> {
        let ends = [(after, ">"), (to, "<=")].into_iter().filter_map(|(key, sign)| Some((key?, sign)));
        ends.map(|(key, sign)| self.one_end(key, sign, bound)).collect()
    }

    fn one_end(&self, key: &RowKey, sign: &str, bound: &mut Vec<String>) -> String {
        let mut side = |place: usize| {
            let ((column, _, _), value) = self.key.get(place).zip(key.get(place))?;
            bound.push(value.clone());
            let native = self.dialect.equation(column, KeyBinding::Native, value, bound.len());
            native.or_else(|| self.dialect.equation(column, KeyBinding::Number, value, bound.len()))
        };
        if self.dialect == Dialect::Postgres {
            let (left, right): (Vec<String>, Vec<String>) = (0..key.len()).filter_map(side).unzip();
            return format!("({}) {sign} ({})", left.join(", "), right.join(", "));
        }
        // MySQL scans the whole table for row comparisons, and uses a range of the index if the condition is spelled
        // out.
        let strict = if sign == ">" { ">" } else { "<" };
        let mut ways = Vec::new();
        for last in 0..key.len() {
            let mut parts = Vec::new();
            for place in 0..=last {
                let Some((left, right)) = side(place) else { continue };
                let end = place == last;
                let sign = match end {
                    true if last + 1 == key.len() => sign,
                    true => strict,
                    false => "=",
                };
                parts.push(format!("{left} {sign} {right}"));
            }
            ways.push(format!("({})", parts.join(" AND ")));
        }
        format!("({})", ways.join(" OR "))
    }

    /// Decodes a row, with its values in canonical form.
    ///
    /// # Errors
    /// Its key is NULL, or the database could not hash it.
    pub fn keyed(&self, cells: RowValues) -> Result<HashedRow, String> {
        let mut cells = cells.into_iter();
        let key = self.key_of(&mut cells)?;
        if self.hashes {
            let hash = cells.next().flatten().unwrap_or_default();
            return Ok(HashedRow { key, hash: folded(&hash, 1)?, values: RowValues::new() });
        }
        let mut hasher = SipHasher24::new();
        let mut values = RowValues::new();
        for value in self.meant(cells) {
            match &value {
                None => hasher.write_u8(0),
                Some(text) => {
                    hasher.write_u8(1);
                    hasher.write_u64(text.len() as u64);
                    hasher.write(text.as_bytes());
                }
            }
            if self.keeps_values {
                values.push(value);
            }
        }
        Ok(HashedRow { key, hash: hasher.finish(), values })
    }

    /// The key, and the values of all columns.
    ///
    /// # Errors
    /// As for [`TableQuery::keyed`].
    pub fn valued(&self, cells: RowValues) -> Result<(RowKey, RowValues), String> {
        let mut cells = cells.into_iter();
        let key = self.key_of(&mut cells)?;
        Ok((key, self.meant(cells).collect()))
    }

    pub fn key_of(&self, cells: &mut impl Iterator<Item = Option<String>>) -> Result<RowKey, String> {
        let each = self.key.iter().zip(cells);
        each.map(|((column, _, meaning), cell)| match cell {
            Some(text) => Ok(values::canonical(*meaning, text)),
            None => Err(format!("key column `{}` is NULL in a row: a key must identify every row", column.name)),
        })
        .collect()
    }

    fn meant(&self, cells: impl Iterator<Item = Option<String>>) -> impl Iterator<Item = Option<String>> {
        let each = self.columns.iter().zip(cells);
        each.map(|((_, meaning), cell)| cell.map(|text| values::canonical(*meaning, text)))
    }
}

/// A sum of hashes modulo 2^64, so that the grouping of rows does not matter.
///
/// # Errors
/// A row has no hash.
pub fn folded(text: &str, rows: u64) -> Result<u64, String> {
    let too_long =
        || "a row exceeds the database's max_allowed_packet: exclude its long column with `ignore`".to_owned();
    let sum: i128 = text.parse().map_err(|_| too_long())?;
    if sum > i128::from(rows) * i128::from(u64::MAX) {
        return Err(too_long());
    }
    Ok(sum.rem_euclid(1 << 64) as u64)
}
