//! The types that a schema gives to the fields of a source.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use tidegate_expr::nearest;
use tidegate_rows::Type;
use tidegate_rows::format::{Conversion, Digits, TextTime, TimeUnit};

use crate::text::{Problem, Span, Spanned};
use crate::yaml::{Entry, Fields, Node, Reader, Table, Value, key};

pub(crate) static FIELD: Table = Table {
    name: "field",
    title: "A time as text, in `schema`",
    keys: &[
        key("format", "time format", "", "as of strftime: %Y-%m-%d %H:%M:%S"),
        key("year", "whole number", "none", "the year, for a format without one"),
        key("zone", "time zone", "UTC", "the zone, for a format without one"),
    ],
};

/// A field of a schema.
#[derive(Clone, Debug, PartialEq)]
pub struct SchemaField {
    /// Its name.
    pub name: Spanned<String>,
    /// How its value is read.
    pub ty: FieldType,
}

/// How the value of a field is read.
#[derive(Clone, Debug, PartialEq)]
pub enum FieldType {
    /// As its type. A `timestamp` is RFC 3339 text or a number of milliseconds.
    Plain(Type),
    /// A decimal with a given number of digits.
    Decimal(Digits),
    /// A timestamp given as a number of this unit since 1970.
    Epoch(TimeUnit),
    /// A timestamp given as text.
    Text(TimeText),
}

impl FieldType {
    /// The type of the field after it is read.
    #[must_use]
    pub fn ty(&self) -> Type {
        match self {
            Self::Plain(ty) => ty.clone(),
            Self::Decimal(_) => Type::Decimal,
            Self::Epoch(_) | Self::Text(_) => Type::Timestamp,
        }
    }
}

/// How a time is read from text.
#[derive(Clone, Debug, PartialEq)]
pub struct TimeText {
    /// The format, in the syntax of strftime.
    pub format: Spanned<String>,
    /// The year, if the format has none.
    pub year: Option<i16>,
    /// The time zone, if the format has none: UTC or a name such as `Asia/Shanghai`.
    pub zone: String,
}

/// The names of the types in a schema.
fn types() -> [(&'static str, FieldType); 14] {
    [
        ("bool", FieldType::Plain(Type::Bool)),
        ("int", FieldType::Plain(Type::Int)),
        ("double", FieldType::Plain(Type::Double)),
        ("decimal", FieldType::Plain(Type::Decimal)),
        ("string", FieldType::Plain(Type::String)),
        ("bytes", FieldType::Plain(Type::Bytes)),
        ("timestamp", FieldType::Plain(Type::Timestamp)),
        ("duration", FieldType::Plain(Type::Duration)),
        ("list", FieldType::Plain(Type::list())),
        ("map", FieldType::Plain(Type::map())),
        ("any", FieldType::Plain(Type::Any)),
        ("timestamp_s", FieldType::Epoch(TimeUnit::Seconds)),
        ("timestamp_ms", FieldType::Epoch(TimeUnit::Millis)),
        ("timestamp_us", FieldType::Epoch(TimeUnit::Micros)),
    ]
}

pub(crate) fn read(reader: &mut Reader, node: &Node, source: &Fields<'_>) -> Vec<SchemaField> {
    let entries = reader.entries(node, "a mapping from fields to types").unwrap_or_default();
    if entries.is_empty() && matches!(node.value, Value::Map(_)) {
        reader.push(node.span.problem(format!("the schema of {} has no field", source.place)));
    }
    // A field whose type can't be read is kept, so that uses of its name are not reported too.
    let field = |reader: &mut Reader, Entry { key, value, .. }: &Entry| {
        reader.field_name(key);
        let ty = read_type(reader, key, value).unwrap_or(FieldType::Plain(Type::Any));
        SchemaField { name: key.clone(), ty }
    };
    entries.iter().map(|entry| field(reader, entry)).collect()
}

fn read_type(reader: &mut Reader, key: &Spanned<String>, node: &Node) -> Option<FieldType> {
    if let Value::Map(_) = node.value {
        return read_time(reader, node, &key.span);
    }
    let text = reader.text(node, "a type or a time format")?;
    if let Some((_, ty)) = types().into_iter().find(|(name, _)| *name == text.value) {
        return Some(ty);
    }
    if text.value.starts_with("decimal(") {
        let message = "expected digits in all and behind the point, as in 'decimal(12, 2)'; at most 38, and in quotes between braces";
        return Digits::named(&text.value).map(FieldType::Decimal).or_else(|| reader.fail(&text.span, message));
    }
    if text.value.contains('%') {
        let format = checked_format(reader, text)?;
        return Some(FieldType::Text(TimeText { format, year: None, zone: "UTC".to_owned() }));
    }
    let names = types().map(|(name, _)| name);
    let meant =
        nearest(&text.value, names).or_else(|| names.iter().find(|name| text.value.starts_with(**name)).map(|name| (*name).to_owned()));
    let listed = if meant.is_none() { format!(": expected {} or a time format", names.join(", ")) } else { String::new() };
    let mut problem = text.problem(format!("unknown type `{}`{listed}", text.value));
    problem.nearest = meant;
    reader.push(problem);
    None
}

fn read_time(reader: &mut Reader, node: &Node, at: &Span) -> Option<FieldType> {
    let fields = reader.fields(node, at, &[&FIELD], "a time format")?;
    let format = reader.required(&fields, "format").and_then(|node| reader.text(node, "a time format such as `%Y-%m-%d`"));
    let format = format.and_then(|format| checked_format(reader, format));
    let year = fields.get("year").and_then(|node| reader.count(node, 1, 9999)).and_then(|year| i16::try_from(year.value).ok());
    let zone = fields.get("zone").and_then(|node| reader.zone(node)).map(|zone| zone.value);
    Some(FieldType::Text(TimeText { format: format?, year, zone: zone.unwrap_or_else(|| "UTC".to_owned()) }))
}

/// Checks that a time format has only known directives.
fn checked_format(reader: &mut Reader, format: Spanned<String>) -> Option<Spanned<String>> {
    let example = DateTime::constant(2000, 1, 1, 0, 0, 0, 0).to_zoned(TimeZone::UTC);
    match example.and_then(|time| jiff::fmt::strtime::format(format.value.as_bytes(), &time)) {
        Ok(_) => Some(format),
        Err(error) => reader.fail(&format.span, format!("not a time format: {error}")),
    }
}

/// How the values of these fields are converted.
///
/// # Errors
/// The fields that can't be converted.
pub(crate) fn conversions(fields: &[SchemaField]) -> Result<Vec<(String, Conversion)>, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut conversions = Vec::new();
    for field in fields {
        match conversion(&field.ty) {
            Ok(conversion) => conversions.push((field.name.value.clone(), conversion)),
            Err(error) => problems.push(field.name.problem(error)),
        }
    }
    if problems.is_empty() { Ok(conversions) } else { Err(problems) }
}

fn conversion(ty: &FieldType) -> Result<Conversion, String> {
    Ok(match ty {
        FieldType::Plain(ty) => match ty {
            Type::Bool => Conversion::Bool,
            Type::Int | Type::Uint => Conversion::Int,
            Type::Double => Conversion::Double,
            Type::Decimal => Conversion::Decimal(Digits::default()),
            Type::String => Conversion::String,
            Type::Bytes => Conversion::Bytes,
            Type::Timestamp => Conversion::Timestamp,
            Type::Duration => Conversion::Duration,
            Type::List(_) => Conversion::List,
            Type::Map(..) => Conversion::Map,
            Type::Null | Type::Any => Conversion::Any,
        },
        FieldType::Decimal(digits) => Conversion::Decimal(*digits),
        FieldType::Epoch(unit) => Conversion::TimestampIn(*unit),
        FieldType::Text(text) => Conversion::TextTime(Box::new(TextTime::new(&text.format.value, text.year, Some(&text.zone))?)),
    })
}
