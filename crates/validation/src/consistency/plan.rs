//! How a table is compared: the columns of both sides in pairs, and each side's SQL.

use crate::consistency::columns::TableLayout;
use crate::consistency::dialect::{Column, Dialect, KeyBinding};
use crate::consistency::rows::RowValues;
use crate::consistency::shown;
use crate::consistency::table_query::{RowKey, TableQuery};
use crate::consistency::tolerance::AllowedDifference;
use crate::consistency::values::{self, ColumnType, Comparison, KeyOrder};
use config::suite::TableCheck;

#[derive(Debug)]
pub struct TablePlan {
    pub blue: TableQuery,
    pub green: TableQuery,
    /// By checksums of key ranges; otherwise row by row.
    pub by_checksums: bool,
    pub orders: Vec<KeyOrder>,
    pub key: Vec<String>,
    pub columns: Vec<String>,
    /// By how much the values of each column may differ.
    pub allowed: Vec<AllowedDifference>,
}

impl TablePlan {
    /// # Errors
    /// A message for people: the columns differ, or there is no usable key.
    pub fn new(
        table: &TableCheck,
        dialects: [Dialect; 2],
        blue: &TableLayout,
        green: &TableLayout,
    ) -> Result<TablePlan, String> {
        let one_engine = matches!(dialects, [left, right] if left == right);
        let names = names(table, blue, green)?;
        let pair = |name: &String| match (blue.find(name), green.find(name)) {
            (Some(blue), Some(green)) => Some((blue.clone(), green.clone())),
            _ => None,
        };
        let (mut blue_key, mut green_key, mut orders) = (Vec::new(), Vec::new(), Vec::new());
        for (blue, green) in table.key.iter().filter_map(pair) {
            let (meaning, bind) = key_pair(&blue, &green, one_engine)?;
            orders.push(KeyOrder::of(&blue.class));
            blue_key.push((blue, bind, meaning));
            green_key.push((green, bind, meaning));
        }
        let (mut blue_columns, mut green_columns, mut allowed) = (Vec::new(), Vec::new(), Vec::new());
        for (blue, green) in names.iter().filter_map(pair) {
            allowed.push(AllowedDifference::of(&table.tolerance, &blue.name, &blue.class, &green.class)?);
            let meaning = values::meaning(&blue.class, &green.class, one_engine);
            blue_columns.push((blue, meaning));
            green_columns.push((green, meaning));
        }
        let is_exact = allowed.iter().all(|allowed| *allowed == AllowedDifference::None);
        let mut pairs = blue_columns.iter().zip(&green_columns);
        // Equal texts are equal values then, and rows with other texts are compared by their values.
        let hashes = one_engine
            && is_exact
            && !dialects.contains(&Dialect::Sqlite)
            && pairs.all(|((blue, meaning), (green, _))| blue.class == green.class || *meaning == Comparison::Text);
        let comparison = blue_key.iter().zip(&green_key).all(|((blue, _, meaning), (green, ..))| {
            let native = matches!(meaning, Comparison::Text | Comparison::Number);
            let alike = blue.class == green.class && native && blue.collation == green.collation;
            alike && blue.ranges && green.ranges && !blue.nullable && !green.nullable
        });
        let by_checksums = hashes && comparison && is_unique(blue, &table.key) && is_unique(green, &table.key);
        // Both sides use the same one: the better one that both have.
        let hash = blue.hash.max(green.hash);
        let table_query = |dialect: Dialect, key, columns| TableQuery {
            dialect,
            table: dialect.table(&table.name),
            filter: table.filter.clone(),
            key,
            columns,
            hashes,
            hash,
            keeps_values: !is_exact,
        };
        let [first, second] = dialects;
        let (blue, green) = (table_query(first, blue_key, blue_columns), table_query(second, green_key, green_columns));
        Ok(TablePlan { blue, green, by_checksums, orders, key: table.key.clone(), columns: names, allowed })
    }

    /// Whether rows with different hashes may be equal.
    pub fn needs_values(&self) -> bool {
        let is_text = |(_, meaning): &(Column, Comparison)| *meaning == Comparison::Text;
        self.blue.keeps_values || (self.blue.hashes && !self.blue.columns.iter().all(is_text))
    }

    /// The same, with every row read and compared by its values.
    pub fn by_values(mut self) -> TablePlan {
        (self.by_checksums, self.blue.hashes, self.green.hashes) = (false, false, false);
        self
    }

    /// Whether two rows agree, by their canonical values.
    pub fn agree(&self, blue: &RowValues, green: &RowValues) -> bool {
        let each = self.allowed.iter().zip(blue.iter().zip(green));
        let mut each = each.map(|(allowed, (blue, green))| allowed.agree(blue.as_deref(), green.as_deref()));
        blue.len() == green.len() && each.all(|agrees| agrees)
    }

    /// `id = 5`; of several columns `(shop = 1, id = 5)`.
    pub fn shown(&self, key: &RowKey) -> String {
        let parts = self.key.iter().zip(key).map(|(name, value)| format!("{name} = {}", shown(Some(value))));
        let all = parts.collect::<Vec<_>>().join(", ");
        if self.key.len() > 1 { format!("({all})") } else { all }
    }

    pub fn compare(&self, left: &RowKey, right: &RowKey) -> std::cmp::Ordering {
        let each = self.orders.iter().zip(left.iter().zip(right));
        let mut each = each.map(|(order, (left, right))| order.compare(left, right));
        each.find(|order| order.is_ne()).unwrap_or(std::cmp::Ordering::Equal)
    }
}

/// Whether a unique index returns the rows in the order of the key.
fn is_unique(layout: &TableLayout, key: &[String]) -> bool {
    let same = |index: &Vec<String>| {
        index.len() == key.len() && index.iter().zip(key).all(|(one, other)| one.eq_ignore_ascii_case(other))
    };
    layout.unique.iter().any(same)
}

/// The columns that are compared, including the key.
fn names(table: &TableCheck, blue: &TableLayout, green: &TableLayout) -> Result<Vec<String>, String> {
    if table.key.is_empty() {
        return Err("no key: name the columns that identify a row".to_owned());
    }
    let has = |list: &[String], name: &str| list.iter().any(|other| other.eq_ignore_ascii_case(name));
    let tolerated = table.tolerance.columns.iter().map(|(name, _)| name);
    let typed = table.key.iter().chain(table.columns.iter().flatten()).chain(&table.ignore).chain(tolerated);
    for name in typed {
        let ignored = has(&table.ignore, name) && !has(&table.key, name);
        match (blue.find(name), green.find(name)) {
            (None, None) => return Err(format!("neither side has a column `{name}`")),
            (None, _) if !ignored => return Err(format!("blue has no column `{name}`")),
            (_, None) if !ignored => return Err(format!("green has no column `{name}`")),
            _ => {}
        }
    }
    let mut all: Vec<String> = table.key.clone();
    match &table.columns {
        Some(columns) => all.extend(columns.iter().cloned()),
        None => {
            let only = |one: &TableLayout, other: &TableLayout, side: &str| -> Vec<String> {
                let names = one.columns.iter().map(|column| &column.name);
                let missing = names.filter(|name| other.find(name).is_none() && !has(&table.ignore, name));
                missing.map(|name| format!("only {side} has `{name}`")).collect()
            };
            let differing = [only(blue, green, "blue"), only(green, blue, "green")].concat();
            if !differing.is_empty() {
                let all = differing.join(", ");
                return Err(format!("the columns differ: {all} (`ignore` excludes a column)"));
            }
            all.extend(blue.columns.iter().map(|column| column.name.clone()));
        }
    }
    let mut names: Vec<String> = Vec::new();
    for name in all {
        let wanted = has(&table.key, &name) || !has(&table.ignore, &name);
        if wanted && !has(&names, &name) {
            names.push(name);
        }
    }
    Ok(names)
}

/// What kind of values a column of a key has: rows of two engines are matched where both sort by it alike.
#[derive(Clone, Copy, PartialEq, Eq)]
enum KeyKind {
    Number,
    Text,
    Bytes,
    Date,
    Time,
    Bool,
    OfEngine,
}

impl KeyKind {
    fn of(column_type: &ColumnType) -> KeyKind {
        match column_type {
            ColumnType::Integer | ColumnType::Decimal(_) | ColumnType::Single | ColumnType::Double => KeyKind::Number,
            ColumnType::Text | ColumnType::Uuid | ColumnType::Any | ColumnType::Set => KeyKind::Text,
            ColumnType::Bytes => KeyKind::Bytes,
            ColumnType::Date => KeyKind::Date,
            ColumnType::Stamp { .. } | ColumnType::Time(_) => KeyKind::Time,
            ColumnType::Bool => KeyKind::Bool,
            ColumnType::Json { .. }
            | ColumnType::Interval
            | ColumnType::Array(_)
            | ColumnType::NumberRange
            | ColumnType::Other(_) => KeyKind::OfEngine,
        }
    }

    fn name(self) -> &'static str {
        match self {
            KeyKind::Number => "a number",
            KeyKind::Text => "text",
            KeyKind::Bytes => "bytes",
            KeyKind::Date => "a date",
            KeyKind::Time => "a time",
            KeyKind::Bool => "a boolean",
            KeyKind::OfEngine => "an engine-specific type",
        }
    }
}

/// How a column of the key is compared, and how a row is found by its value.
fn key_pair(blue: &Column, green: &Column, one_engine: bool) -> Result<(Comparison, KeyBinding), String> {
    let name = &blue.name;
    let (left, right) = (KeyKind::of(&blue.class), KeyKind::of(&green.class));
    let meaning = values::meaning(&blue.class, &green.class, one_engine);
    let texts = [left, right].iter().all(|kind| matches!(kind, KeyKind::Text | KeyKind::Date));
    let sorted = match meaning {
        _ if one_engine && blue.class == green.class => true,
        _ if left == KeyKind::Number && right == KeyKind::Number => true,
        _ => texts || (left == KeyKind::Bytes && right == KeyKind::Bytes),
    };
    if !sorted && left != right {
        let (left, right) = (left.name(), right.name());
        return Err(format!(
            "key column `{name}` is {left} in blue and {right} in green: rows cannot be matched by it"
        ));
    }
    if !sorted {
        let left = left.name();
        return Err(format!("key column `{name}` is {left}, which two engines sort differently: choose another key"));
    }
    let by_text =
        KeyKind::of(&blue.class) == KeyKind::OfEngine || matches!(blue.class, ColumnType::Any | ColumnType::Set);
    let bind = match () {
        () if blue.class == green.class && one_engine && !by_text => KeyBinding::Native,
        () if blue.class == green.class
            && matches!(blue.class, ColumnType::Integer | ColumnType::Text | ColumnType::Bytes) =>
        {
            KeyBinding::Native
        }
        () if left == KeyKind::Number => KeyBinding::Number,
        () => KeyBinding::Text,
    };
    // What is sorted as text must be compared as text.
    let meaning = if left == KeyKind::Number { meaning } else { Comparison::Text };
    Ok((meaning, bind))
}
