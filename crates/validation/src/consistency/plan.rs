//! How a table is compared: the columns of both sides in pairs, and what each side is asked.

use crate::consistency::columns::TableLayout;
use crate::consistency::dialect::{Column, Dialect, KeyBinding};
use crate::consistency::shown;
use crate::consistency::table_query::{RowKey, TableQuery};
use crate::consistency::values::{self, ColumnType, Comparison, KeyOrder};
use config::suite::TableCheck;

#[derive(Debug)]
pub struct TablePlan {
    pub blue: TableQuery,
    pub green: TableQuery,
    /// In ranges of the key and by checksums; otherwise row by row.
    pub by_checksums: bool,
    pub orders: Vec<KeyOrder>,
    pub key: Vec<String>,
    pub columns: Vec<String>,
}

impl TablePlan {
    /// # Errors
    /// In words for a person: the columns differ, or the key is none.
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
        let (mut blue_columns, mut green_columns) = (Vec::new(), Vec::new());
        for (blue, green) in names.iter().filter_map(pair) {
            let meaning = values::meaning(&blue.class, &green.class, one_engine);
            blue_columns.push((blue, meaning));
            green_columns.push((green, meaning));
        }
        let hashes = one_engine
            && !dialects.contains(&Dialect::Sqlite)
            && blue_columns.iter().all(|(_, meaning)| *meaning == Comparison::Text);
        let walked = blue_key.iter().zip(&green_key).all(|((blue, _, meaning), (green, ..))| {
            let alike = blue.class == green.class && *meaning == Comparison::Text && blue.collation == green.collation;
            alike && blue.ranges && green.ranges && !blue.nullable && !green.nullable
        });
        let by_checksums = hashes && walked && is_unique(blue, &table.key) && is_unique(green, &table.key);
        // Both with the same: the one that the poorer side has.
        let hash = blue.hash.max(green.hash);
        let half = |dialect: Dialect, key, columns| TableQuery {
            dialect,
            table: dialect.table(&table.name),
            filter: table.filter.clone(),
            key,
            columns,
            hashes,
            hash,
        };
        let [first, second] = dialects;
        let (blue, green) = (half(first, blue_key, blue_columns), half(second, green_key, green_columns));
        Ok(TablePlan { blue, green, by_checksums, orders, key: table.key.clone(), columns: names })
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

/// An index that gives the rows in the order of the key.
fn is_unique(layout: &TableLayout, key: &[String]) -> bool {
    let same = |index: &Vec<String>| {
        index.len() == key.len() && index.iter().zip(key).all(|(one, other)| one.eq_ignore_ascii_case(other))
    };
    layout.unique.iter().any(same)
}

/// The columns that are compared, the key's among them.
fn names(table: &TableCheck, blue: &TableLayout, green: &TableLayout) -> Result<Vec<String>, String> {
    if table.key.is_empty() {
        return Err("it has no key: name the columns that tell its rows apart".to_owned());
    }
    let has = |list: &[String], name: &str| list.iter().any(|other| other.eq_ignore_ascii_case(name));
    let typed = table.key.iter().chain(table.columns.iter().flatten()).chain(&table.ignore);
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
                return Err(format!("the columns differ: {all} (`ignore` leaves a column out)"));
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

/// As what a column of the key is compared, and how its values are found again.
fn key_pair(blue: &Column, green: &Column, one_engine: bool) -> Result<(Comparison, KeyBinding), String> {
    let kind = |class: &ColumnType| match class {
        ColumnType::Integer | ColumnType::Decimal(_) | ColumnType::Single | ColumnType::Double => "a number",
        ColumnType::Text | ColumnType::Uuid | ColumnType::Any => "a text",
        ColumnType::Bytes => "bytes",
        ColumnType::Date => "a date",
        ColumnType::Stamp { .. } | ColumnType::Time(_) => "a time",
        ColumnType::Bool => "a boolean",
        ColumnType::Json { .. } | ColumnType::Other(_) => "of a type of its engine's own",
    };
    let name = &blue.name;
    let (left, right) = (kind(&blue.class), kind(&green.class));
    let meaning = values::meaning(&blue.class, &green.class, one_engine);
    let texts = [left, right].iter().all(|kind| matches!(*kind, "a text" | "a date"));
    let sorted = match meaning {
        _ if one_engine && blue.class == green.class => true,
        _ if left == "a number" && right == "a number" => true,
        _ => texts || (left == "bytes" && right == "bytes"),
    };
    if !sorted && left != right {
        return Err(format!(
            "`{name}` of the key is {left} in blue and {right} in green: rows cannot be matched by it"
        ));
    }
    if !sorted {
        return Err(format!("`{name}` of the key is {left}: two engines do not sort by it alike, so name another key"));
    }
    let by_text = matches!(blue.class, ColumnType::Json { .. } | ColumnType::Other(_) | ColumnType::Any);
    let bind = match () {
        () if blue.class == green.class && one_engine && !by_text => KeyBinding::Native,
        () if blue.class == green.class
            && matches!(blue.class, ColumnType::Integer | ColumnType::Text | ColumnType::Bytes) =>
        {
            KeyBinding::Native
        }
        () if left == "a number" => KeyBinding::Number,
        () => KeyBinding::Text,
    };
    // Sorted as texts, they must be compared as texts.
    let meaning = if left == "a number" { meaning } else { Comparison::Text };
    Ok((meaning, bind))
}
