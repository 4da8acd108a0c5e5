//! A compiled schema: types refer to each other by index, and names are resolved.

use std::collections::HashMap;

use apache_avro::Schema;
use apache_avro::schema::{InnerDecimalSchema, Name, NamesRef, ResolvedSchema, UuidSchema};
use compact_str::CompactString;

use crate::format::TimeUnit;

/// The index of a type in a [`Shape`].
pub(super) type At = usize;

/// The types of a schema. A type may contain itself.
#[derive(Debug)]
pub(super) struct Shape {
    types: Vec<Avro>,
    root: At,
}

/// A type, which decides how its bytes are read.
#[derive(Debug)]
pub(super) enum Avro {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    Fixed(usize),
    Enum(Box<[CompactString]>),
    Array(At),
    Map(At),
    Union(Box<[At]>),
    Record(Box<[Field]>),
    /// A number since 1970, for instants and for local times, which are taken as UTC.
    Timestamp(TimeUnit),
    /// Days since 1970.
    Date,
    /// A number since midnight.
    Time(TimeUnit),
    Decimal {
        scale: usize,
        precision: usize,
        /// The number of bytes, if it is fixed.
        size: Option<usize>,
    },
    Uuid(Uuid),
    /// Months, days and milliseconds in twelve bytes.
    Duration,
}

/// How a UUID is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Uuid {
    Text,
    /// Sixteen bytes, prefixed by their number.
    Bytes,
    Fixed,
}

#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: CompactString,
    pub(super) ty: At,
}

impl Avro {
    /// A description of the type for error messages.
    pub(super) fn words(&self) -> String {
        let unit = |unit: &TimeUnit| match unit {
            TimeUnit::Seconds => "seconds",
            TimeUnit::Millis => "millis",
            TimeUnit::Micros => "micros",
            TimeUnit::Nanos => "nanos",
        };
        match self {
            Self::Null => "null".into(),
            Self::Boolean => "a boolean".into(),
            Self::Int => "an int (32 bits)".into(),
            Self::Long => "a long".into(),
            Self::Float => "a float".into(),
            Self::Double => "a double".into(),
            Self::Bytes => "bytes".into(),
            Self::String => "a string".into(),
            Self::Fixed(size) => format!("a fixed of {size} octets"),
            Self::Enum(symbols) => format!("one of the enum {}", symbols.join(", ")),
            Self::Array(_) => "an array".into(),
            Self::Map(_) => "a map".into(),
            Self::Union(_) => "one of the union".into(),
            Self::Record(_) => "a record".into(),
            Self::Timestamp(of) => format!("a timestamp-{}", unit(of)),
            Self::Date => "a date".into(),
            Self::Time(of) => format!("a time-{}", unit(of)),
            Self::Decimal { precision, scale, .. } => format!("a decimal({precision}, {scale})"),
            Self::Uuid(_) => "a uuid".into(),
            Self::Duration => "a duration".into(),
        }
    }
}

impl Shape {
    /// Compiles a schema; `others` are the schemas it refers to by name.
    pub(super) fn new(schema: &Schema, others: &[Schema]) -> Result<Self, String> {
        let all = others.iter().chain([schema]).collect();
        let resolved = ResolvedSchema::new_with_schemata(all).map_err(|e| e.to_string())?;
        let mut compiler = Compiler { names: resolved.get_names(), types: Vec::new(), known: HashMap::new() };
        let root = compiler.add(schema, None)?;
        Ok(Self { types: compiler.types, root })
    }

    pub(super) fn at(&self, at: At) -> &Avro {
        // Indices come only from this shape, so they are always valid.
        self.types.get(at).unwrap_or(&Avro::Null)
    }

    /// The fields of the record type that every message has.
    pub(super) fn record(&self) -> Result<&[Field], String> {
        match self.at(self.root) {
            Avro::Record(fields) => Ok(fields),
            other => Err(format!("the schema is of {}: only records have fields", other.words())),
        }
    }

    /// The other branch, if the type is a union of null and one other type.
    pub(super) fn nullable(&self, at: At) -> Option<At> {
        match self.at(at) {
            Avro::Union(branches) => match **branches {
                [a, b] if matches!(self.at(a), Avro::Null) => Some(b),
                [a, b] if matches!(self.at(b), Avro::Null) => Some(a),
                _ => None,
            },
            _ => None,
        }
    }
}

struct Compiler<'s> {
    names: &'s NamesRef<'s>,
    types: Vec<Avro>,
    known: HashMap<Name, At>,
}

impl Compiler<'_> {
    /// Compiles a type in a namespace.
    fn add(&mut self, schema: &Schema, namespace: Option<&str>) -> Result<At, String> {
        let mut named = None;
        let mut inner = namespace.map(str::to_owned);
        if let Schema::Ref { name } = schema {
            let name = name.fully_qualified_name(namespace).into_owned();
            if let Some(at) = self.known.get(&name) {
                return Ok(*at);
            }
            let found = *self.names.get(&name).ok_or_else(|| format!("the schema names a type `{name}` that it does not have"))?;
            return self.add(found, name.namespace());
        }
        if let Some(name) = schema.name() {
            let name = name.fully_qualified_name(namespace).into_owned();
            if let Some(at) = self.known.get(&name) {
                return Ok(*at);
            }
            inner = name.namespace().map(str::to_owned);
            named = Some(name);
        }
        // Reserve the index first, so that a recursive type can refer to itself.
        let at = self.types.len();
        self.types.push(Avro::Null);
        self.known.extend(named.map(|name| (name, at)));
        let compiled = self.compile(schema, inner.as_deref())?;
        if let Some(place) = self.types.get_mut(at) {
            *place = compiled;
        }
        Ok(at)
    }

    fn compile(&mut self, schema: &Schema, namespace: Option<&str>) -> Result<Avro, String> {
        Ok(match schema {
            Schema::Null | Schema::Ref { .. } => Avro::Null,
            Schema::Boolean => Avro::Boolean,
            Schema::Int => Avro::Int,
            Schema::Long => Avro::Long,
            Schema::Float => Avro::Float,
            Schema::Double => Avro::Double,
            // A big decimal stores its scale in its bytes.
            Schema::Bytes | Schema::BigDecimal => Avro::Bytes,
            Schema::String => Avro::String,
            Schema::Fixed(fixed) => Avro::Fixed(fixed.size),
            Schema::Enum(of) => Avro::Enum(of.symbols.iter().map(CompactString::new).collect()),
            Schema::Array(of) => Avro::Array(self.add(&of.items, namespace)?),
            Schema::Map(of) => Avro::Map(self.add(&of.types, namespace)?),
            Schema::Union(of) => Avro::Union(of.variants().iter().map(|v| self.add(v, namespace)).collect::<Result<_, _>>()?),
            Schema::Record(of) => {
                let field = |field: &apache_avro::schema::RecordField| {
                    Ok(Field { name: CompactString::new(&field.name), ty: self.add(&field.schema, namespace)? })
                };
                Avro::Record(of.fields.iter().map(field).collect::<Result<_, String>>()?)
            }
            Schema::TimestampMillis | Schema::LocalTimestampMillis => Avro::Timestamp(TimeUnit::Millis),
            Schema::TimestampMicros | Schema::LocalTimestampMicros => Avro::Timestamp(TimeUnit::Micros),
            Schema::TimestampNanos | Schema::LocalTimestampNanos => Avro::Timestamp(TimeUnit::Nanos),
            Schema::Date => Avro::Date,
            Schema::TimeMillis => Avro::Time(TimeUnit::Millis),
            Schema::TimeMicros => Avro::Time(TimeUnit::Micros),
            Schema::Decimal(of) => {
                let size = if let InnerDecimalSchema::Fixed(fixed) = &of.inner { Some(fixed.size) } else { None };
                Avro::Decimal { scale: of.scale, precision: of.precision, size }
            }
            Schema::Uuid(UuidSchema::String) => Avro::Uuid(Uuid::Text),
            Schema::Uuid(UuidSchema::Bytes) => Avro::Uuid(Uuid::Bytes),
            Schema::Uuid(UuidSchema::Fixed(_)) => Avro::Uuid(Uuid::Fixed),
            Schema::Duration(_) => Avro::Duration,
        })
    }
}
