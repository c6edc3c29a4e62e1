//! SQL dialects: how each engine quotes names, writes values as text, sorts, and hashes rows.

use crate::consistency::values::{ColumnType, KeyOrder};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    #[default]
    Postgres,
    Mysql,
    Sqlite,
}

/// How a value of a key finds its row again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyBinding {
    /// As the column's own type, so that an index is used.
    Native,
    /// As a number: the sides have different kinds of them.
    Number,
    /// By its text.
    Text,
}

/// What a database hashes its rows with, the better one first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum HashFunction {
    #[default]
    Md5,
    /// Twice as slow in MariaDB, and all that MySQL has since 9.6.
    Sha2,
}

/// Larger than the sum of any rows' hashes: a row whose hash is NULL would be left out otherwise.
pub const NO_HASH: &str = "1000000000000000000000000000000";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    pub class: ColumnType,
    /// The type as PostgreSQL casts to it, quoted.
    pub cast: String,
    pub collation: Option<String>,
    pub nullable: bool,
    /// Of MySQL, and read as a number: `BIT` would be bytes, and `ZEROFILL` a text with zeros before it.
    pub as_number: bool,
    /// Both sides compare its values alike: a key of it can be walked through in ranges.
    pub ranges: bool,
}

impl Column {
    pub fn named(name: &str) -> Column {
        Column {
            name: name.to_owned(),
            class: ColumnType::Any,
            cast: String::new(),
            collation: None,
            nullable: true,
            as_number: false,
            ranges: false,
        }
    }
}

impl Dialect {
    pub fn quoted(self, name: &str) -> String {
        match self {
            Dialect::Mysql => format!("`{}`", name.replace('`', "``")),
            Dialect::Postgres | Dialect::Sqlite => format!("\"{}\"", name.replace('"', "\"\"")),
        }
    }

    /// `schema.table`, or `table`.
    pub fn table(self, name: &str) -> String {
        name.splitn(2, '.').map(|part| self.quoted(part)).collect::<Vec<_>>().join(".")
    }

    pub fn parameter(self, number: usize) -> String {
        if self == Dialect::Postgres { format!("${number}") } else { "?".to_owned() }
    }

    /// A value as the same text wherever the class is the same.
    pub fn text(self, column: &Column) -> String {
        let name = self.quoted(&column.name);
        match (self, &column.class) {
            (Dialect::Postgres, ColumnType::Bytes) => format!("encode({name}, 'hex')"),
            (Dialect::Postgres, _) => format!("{name}::text"),
            // What is longer than a packet is NULL to MySQL: it must not be taken for one.
            (Dialect::Mysql, ColumnType::Bytes | ColumnType::Text) => {
                let plain = self.plain_text(column);
                format!("IF({name} IS NULL, NULL, COALESCE({plain}, CONCAT('sha256 ', SHA2({name}, 256))))")
            }
            (Dialect::Mysql, _) => self.plain_text(column),
            (Dialect::Sqlite, ColumnType::Bytes) => format!("CASE WHEN {name} IS NOT NULL THEN lower(hex({name})) END"),
            (Dialect::Sqlite, _) => name,
        }
    }

    fn plain_text(self, column: &Column) -> String {
        let name = self.quoted(&column.name);
        match column.class {
            ColumnType::Bytes => format!("LOWER(HEX({name}))"),
            // As a text, a FLOAT has six digits only.
            ColumnType::Single => format!("CAST({name} + 0e0 AS CHAR)"),
            _ if column.as_number => format!("CAST({name} + 0 AS CHAR)"),
            _ => format!("CAST({name} AS CHAR)"),
        }
    }

    /// A column of a key as a text. A blob among texts in SQLite is NULL: it would not be found again.
    pub fn key_text(self, column: &Column) -> String {
        match (self, &column.class) {
            (Dialect::Sqlite, ColumnType::Bytes) => self.text(column),
            (Dialect::Sqlite, _) => {
                let (name, value) = (self.quoted(&column.name), self.sortable(column));
                format!("CASE WHEN typeof({name}) <> 'blob' THEN {value} END")
            }
            _ => self.text(column),
        }
    }

    /// In SQLite, what a column of a key is compared as.
    fn sortable(self, column: &Column) -> String {
        let name = self.quoted(&column.name);
        let plain = column.class.is_number() || matches!(column.class, ColumnType::Text | ColumnType::Bytes);
        if plain { name } else { format!("CAST({name} AS TEXT)") }
    }

    /// What the rows of a table are sorted by, so that every engine and [`KeyOrder`] agree. By the table's own column:
    /// the name alone is that of a result, which is a text.
    pub fn order(self, table: &str, column: &Column) -> String {
        let name = format!("{table}.{}", self.quoted(&column.name));
        let own = KeyOrder::of(&column.class) == KeyOrder::Number || column.class == ColumnType::Bytes;
        match self {
            Dialect::Postgres if own => name,
            Dialect::Postgres => format!("({name}::text) COLLATE \"C\""),
            Dialect::Mysql if own => name,
            Dialect::Mysql => format!("CAST(CAST({name} AS CHAR) AS BINARY)"),
            Dialect::Sqlite if own => name,
            Dialect::Sqlite if column.class == ColumnType::Text => format!("{name} COLLATE BINARY"),
            Dialect::Sqlite => format!("CAST({name} AS TEXT) COLLATE BINARY"),
        }
    }

    /// The hash of a row, as a whole number of 64 bits. NULL and the empty text are two things, and no two rows have
    /// the same text. SQLite has no hashes: its rows are hashed here.
    pub fn row_hash(self, columns: &[Column], hash: HashFunction) -> String {
        if self == Dialect::Postgres {
            let row = columns.iter().map(|column| self.text(column)).collect::<Vec<_>>().join(", ");
            return format!("('x' || substr(md5(ROW({row})::text), 1, 16))::bit(64)::bigint");
        }
        let hashed = |text: &str| match hash {
            HashFunction::Md5 => format!("MD5({text})"),
            HashFunction::Sha2 => format!("SHA2({text}, 256)"),
        };
        // Of a value that may be long its own hash, which NULL has not, and a text that is longer than a packet
        // neither: that one leaves the row without a hash.
        let each = columns.iter().map(|column| {
            let (name, plain) = (self.quoted(&column.name), self.plain_text(column));
            match column.class {
                ColumnType::Bytes => format!("IF({name} IS NULL, 'N', {})", hashed(&name)),
                ColumnType::Text | ColumnType::Json { .. } | ColumnType::Other(_) => {
                    format!("IF({name} IS NULL, 'N', {})", hashed(&plain))
                }
                _ => format!("QUOTE({plain})"),
            }
        });
        let row = hashed(&format!("CONCAT({})", each.collect::<Vec<_>>().join(", ',', ")));
        format!("IFNULL(CAST(CONV(LEFT({row}, 16), 16, 10) AS UNSIGNED), {NO_HASH})")
    }

    /// A column of a key, and the value that is bound to find it; `None`: the column cannot hold it.
    pub fn equation(self, column: &Column, bind: KeyBinding, value: &str, number: usize) -> Option<(String, String)> {
        let name = self.quoted(&column.name);
        let parameter = self.parameter(number);
        match (self, bind) {
            (Dialect::Sqlite, _) if column.class == ColumnType::Bytes => Some((name, format!("unhex({parameter})"))),
            (Dialect::Sqlite, _) => Some((self.sortable(column), parameter)),
            (_, KeyBinding::Native) => Some((name, self.native(column, value, &parameter)?)),
            (Dialect::Postgres, KeyBinding::Number) => Some((name, format!("CAST({parameter} AS numeric)"))),
            (Dialect::Mysql, KeyBinding::Number) => Some((name, format!("CAST({parameter} AS DECIMAL(65, 30))"))),
            (_, KeyBinding::Text) => Some((self.text(column), parameter)),
        }
    }

    fn native(self, column: &Column, value: &str, parameter: &str) -> Option<String> {
        Some(match (self, &column.class) {
            (Dialect::Postgres, ColumnType::Bytes) => format!("decode({parameter}, 'hex')"),
            (Dialect::Postgres, ColumnType::Integer) if !fits(&column.cast, value) => return None,
            (Dialect::Postgres, _) => format!("CAST({parameter} AS {})", column.cast),
            (_, ColumnType::Bytes) => format!("UNHEX({parameter})"),
            (_, ColumnType::Integer) if value.starts_with('-') => format!("CAST({parameter} AS SIGNED)"),
            // MySQL takes a parameter that is cast for a BIGINT with a sign, and cuts what is larger.
            (_, ColumnType::Integer) => format!("CAST(CAST({parameter} AS CHAR) AS UNSIGNED)"),
            (_, ColumnType::Decimal(digits)) => format!("CAST({parameter} AS DECIMAL(65, {}))", digits.unwrap_or(30)),
            (_, ColumnType::Single | ColumnType::Double) => format!("({parameter} + 0e0)"),
            (_, ColumnType::Date) => format!("CAST({parameter} AS DATE)"),
            (_, ColumnType::Stamp { .. }) => format!("CAST({parameter} AS DATETIME(6))"),
            (_, ColumnType::Time(_)) => format!("CAST({parameter} AS TIME(6))"),
            _ => parameter.to_owned(),
        })
    }
}

/// Whether an integer type of PostgreSQL holds the value: a cast would fail, and the whole query with it.
fn fits(cast: &str, value: &str) -> bool {
    match cast.rsplit('.').next().unwrap_or_default().trim_matches('"') {
        "int2" => value.parse::<i16>().is_ok(),
        "int4" => value.parse::<i32>().is_ok(),
        "oid" => value.parse::<u32>().is_ok(),
        _ => value.parse::<i64>().is_ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_as_each_engine_wants_them() {
        assert_eq!(Dialect::Postgres.table("shop.the \"orders\""), "\"shop\".\"the \"\"orders\"\"\"");
        assert_eq!(Dialect::Mysql.table("a`b.c"), "`a``b`.`c`");
        assert_eq!(Dialect::Sqlite.table("orders"), "\"orders\"");
    }

    #[test]
    fn a_number_that_a_column_cannot_hold_is_looked_for_nowhere() {
        let column = Column { class: ColumnType::Integer, cast: "\"int4\"".to_owned(), ..Column::named("id") };
        assert!(Dialect::Postgres.equation(&column, KeyBinding::Native, "5000000000", 1).is_none());
        let (left, right) = Dialect::Postgres.equation(&column, KeyBinding::Native, "5", 2).unwrap();
        assert_eq!((left.as_str(), right.as_str()), ("\"id\"", "CAST($2 AS \"int4\")"));
    }
}
