//! The columns and unique indexes of a table, read from each engine's catalog.

use crate::consistency::dialect::{Column, Dialect, HashFunction};
use crate::consistency::rows::RowValues;
use crate::consistency::session::ReadSession;
use crate::consistency::values::ColumnType;

#[derive(Debug)]
pub struct TableLayout {
    pub columns: Vec<Column>,
    /// The columns of each unique index, in its order.
    pub unique: Vec<Vec<String>>,
    /// The hash function that the database has.
    pub hash: HashFunction,
}

impl TableLayout {
    /// By its exact name, or else ignoring case.
    pub fn find(&self, name: &str) -> Option<&Column> {
        let exact = self.columns.iter().find(|column| column.name == name);
        exact.or_else(|| self.columns.iter().find(|column| column.name.eq_ignore_ascii_case(name)))
    }
}

/// A type by the name of its base where it is a domain; a collation that is the database's own by that one's name.
const POSTGRES_COLUMNS: &str = "SELECT a.attname::text, b.typname::text, quote_ident(n.nspname), \
     (CASE WHEN t.typtype = 'd' THEN t.typtypmod ELSE a.atttypmod END)::text, a.attnotnull::text, \
     (CASE WHEN c.collname = 'default' THEN (SELECT datcollate::text FROM pg_catalog.pg_database \
         WHERE datname = current_database()) ELSE c.collname::text END) \
     FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid \
     JOIN pg_catalog.pg_type b ON b.oid = CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END \
     JOIN pg_catalog.pg_namespace n ON n.oid = b.typnamespace \
     LEFT JOIN pg_catalog.pg_collation c ON c.oid = a.attcollation \
     WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum";

/// Without those over expressions or a part of the rows; columns that an index only carries are not its key.
const POSTGRES_UNIQUE: &str = "SELECT i.indexrelid::text, a.attname::text FROM pg_catalog.pg_index i \
     CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(number, place) \
     JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number \
     WHERE i.indrelid = to_regclass($1) AND i.indisunique AND i.indisvalid AND i.indpred IS NULL \
     AND i.indexprs IS NULL AND k.place <= i.indnkeyatts ORDER BY i.indexrelid, k.place";

const MYSQL_COLUMNS: &str = "SELECT CAST(COLUMN_NAME AS CHAR), LOWER(CAST(DATA_TYPE AS CHAR)), \
     CAST(COALESCE(DATETIME_PRECISION, NUMERIC_SCALE) AS CHAR), CAST(IS_NULLABLE AS CHAR), \
     CAST(COLLATION_NAME AS CHAR), LOWER(CAST(COLUMN_TYPE AS CHAR)) FROM information_schema.COLUMNS \
     WHERE TABLE_SCHEMA = COALESCE(NULLIF(?, ''), DATABASE()) AND TABLE_NAME = ? ORDER BY ORDINAL_POSITION";

const MYSQL_UNIQUE: &str = "SELECT CAST(INDEX_NAME AS CHAR), CAST(COALESCE(COLUMN_NAME, '') AS CHAR) \
     FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = COALESCE(NULLIF(?, ''), DATABASE()) AND TABLE_NAME = ? \
     AND NON_UNIQUE = 0 AND INDEX_NAME NOT IN (SELECT INDEX_NAME FROM information_schema.STATISTICS \
         WHERE TABLE_SCHEMA = COALESCE(NULLIF(?, ''), DATABASE()) AND TABLE_NAME = ? AND SUB_PART IS NOT NULL) \
     ORDER BY INDEX_NAME, SEQ_IN_INDEX";

/// The layout of a table; `None`: it does not exist.
///
/// # Errors
/// A message for people.
pub async fn read(session: &mut ReadSession, table: &str) -> Result<Option<TableLayout>, String> {
    let (schema, name) = table.split_once('.').unwrap_or(("", table));
    let named = [schema, name].map(str::to_owned);
    let layout = match session.dialect() {
        Dialect::Postgres => {
            let bound = [Dialect::Postgres.table(table)];
            let columns = session.fetch(POSTGRES_COLUMNS, &bound).await?.into_iter().map(postgres).collect();
            let unique = unique(session.fetch(POSTGRES_UNIQUE, &bound).await?);
            TableLayout { columns, unique, hash: HashFunction::Md5 }
        }
        Dialect::Mysql => {
            let columns = session.fetch(MYSQL_COLUMNS, &named).await?.into_iter().map(mysql).collect();
            let twice = [named.as_slice(), named.as_slice()].concat();
            let unique = unique(session.fetch(MYSQL_UNIQUE, &twice).await?);
            let has_md5 = session.fetch("SELECT MD5('')", &[]).await.is_ok();
            TableLayout { columns, unique, hash: if has_md5 { HashFunction::Md5 } else { HashFunction::Sha2 } }
        }
        Dialect::Sqlite => {
            let schema = if schema.is_empty() { "main".to_owned() } else { schema.to_owned() };
            // Hidden columns of virtual tables are arguments, no data.
            let asked = "SELECT name, type FROM pragma_table_xinfo(?, ?) WHERE hidden <> 1 ORDER BY cid";
            let columns = session.fetch(asked, &[name.to_owned(), schema]).await?.into_iter().map(sqlite).collect();
            // Its rows are read anyway, and a key that is not unique is seen then.
            TableLayout { columns, unique: Vec::new(), hash: HashFunction::default() }
        }
    };
    Ok((!layout.columns.is_empty()).then_some(layout))
}

fn postgres(cells: RowValues) -> Column {
    let mut cells = cells.into_iter();
    let mut next = || cells.next().flatten();
    let (name, kind) = (next().unwrap_or_default(), next().unwrap_or_default());
    let schema = next().unwrap_or_default();
    let modifier = next().and_then(|text| text.parse().ok()).unwrap_or(-1);
    let nullable = next().as_deref() != Some("true");
    let collation = next();
    let class = ColumnType::of_postgres(&kind, modifier);
    let by_bytes = matches!(collation.as_deref(), Some("C" | "POSIX"));
    let ranges = match class {
        ColumnType::Text => by_bytes && matches!(kind.as_str(), "text" | "varchar" | "name"),
        ColumnType::Integer | ColumnType::Decimal(_) | ColumnType::Bytes | ColumnType::Date | ColumnType::Uuid => true,
        ColumnType::Stamp { .. } => true,
        _ => false,
    };
    let cast = format!("{schema}.{}", Dialect::Postgres.quoted(&kind));
    Column { name, class, cast, collation, nullable, as_number: false, ranges }
}

fn mysql(cells: RowValues) -> Column {
    let mut cells = cells.into_iter();
    let mut next = || cells.next().flatten();
    let (name, kind) = (next().unwrap_or_default(), next().unwrap_or_default());
    let digits = next().and_then(|text| text.parse().ok());
    let nullable = next().as_deref() != Some("NO");
    let collation = next();
    let as_number = kind == "bit" || next().is_some_and(|whole| whole.ends_with(" zerofill"));
    let class = ColumnType::of_mysql(&kind, digits);
    let ranges = match class {
        // An ENUM is compared by its number.
        ColumnType::Text => kind == "char" || kind == "varchar",
        ColumnType::Bytes => kind == "binary" || kind == "varbinary",
        ColumnType::Integer => kind != "bit",
        ColumnType::Decimal(_) | ColumnType::Date | ColumnType::Stamp { .. } => true,
        _ => false,
    };
    Column { name, class, cast: String::new(), collation, nullable, as_number, ranges }
}

fn sqlite(cells: RowValues) -> Column {
    let mut cells = cells.into_iter();
    let mut next = || cells.next().flatten().unwrap_or_default();
    let (name, kind) = (next(), next());
    Column { class: ColumnType::of_sqlite(&kind), ..Column::named(&name) }
}

/// From an index and a column a row to the columns of each index.
fn unique(rows: Vec<RowValues>) -> Vec<Vec<String>> {
    let mut all: Vec<(String, Vec<String>)> = Vec::new();
    for cells in rows {
        let mut cells = cells.into_iter().map(Option::unwrap_or_default);
        let (Some(index), Some(column)) = (cells.next(), cells.next()) else { continue };
        match all.last_mut() {
            Some((last, columns)) if *last == index => columns.push(column),
            _ => all.push((index, vec![column])),
        }
    }
    all.into_iter().map(|(_, columns)| columns).collect()
}
