//! What stored bytes were made from: the job that reads them must make them from the same.

use serde::{Deserialize, Serialize};

/// Something known by name, and what it is: a field of a key with its type, an aggregate with its function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// What it is; another text is another meaning.
    pub is: String,
}

impl Field {
    /// A field of this name.
    pub fn new(name: impl Into<String>, is: impl Into<String>) -> Self {
        Self { name: name.into(), is: is.into() }
    }
}

impl std::fmt::Display for Field {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}` ({})", self.name, self.is)
    }
}

/// What all states of an operator rest on. What isn't known is not compared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Basis {
    /// The fields of the key that state is kept by. Under another key it is state of something else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Vec<Field>>,
    /// The fields of the records in the state, in their order. Further ones may be added behind them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records: Option<Vec<Field>>,
    /// What the operator does, as far as its state depends on it, such as the steps of a pattern.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub form: Option<String>,
    /// What made the records that it read. If that has changed, the state is a mixture, which somebody may want.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reads: Option<Vec<String>>,
}

impl Basis {
    /// Is nothing known?
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        *self == Self::default()
    }

    /// Why what rests on `stored` can't be used by what rests on this.
    pub(crate) fn objections(&self, stored: &Self) -> Vec<String> {
        let mut objections = Vec::new();
        if let Some((was, now)) = differs(&stored.key, &self.key) {
            objections.push(format!("it is stored by the key {}, and the key is {} now", list(was), list(now)));
        }
        if let (Some(was), Some(now)) = (&stored.records, &self.records)
            && !now.starts_with(was)
        {
            objections.push(format!("it holds records of {}, and they are of {} now", list(was), list(now)));
        }
        if let Some((was, now)) = differs(&stored.form, &self.form) {
            objections.push(format!("it was {was}, and is {now} now"));
        }
        objections
    }

    /// What has changed and does no harm, but should be known.
    pub(crate) fn warnings(&self, stored: &Self) -> Vec<String> {
        let Some((was, now)) = differs(&stored.reads, &self.reads) else { return Vec::new() };
        let only = |these: &[String], those: &[String]| -> Vec<String> {
            these.iter().filter(|text| !those.contains(text)).map(|text| format!("`{text}`")).collect()
        };
        let (gone, new) = (only(was, now), only(now, was));
        let change = match (gone.is_empty(), new.is_empty()) {
            (false, false) => format!("{} became {}", gone.join(", "), new.join(", ")),
            (false, true) => format!("{} is gone", gone.join(", ")),
            (true, false) => format!("{} is new", new.join(", ")),
            (true, true) => format!("`{}` became `{}`", was.join(", "), now.join(", ")),
        };
        vec![format!("warning: what it reads has changed, and what is stored was made before: {change}")]
    }
}

/// Both, if both are known and differ.
fn differs<'a, T: PartialEq>(stored: &'a Option<T>, now: &'a Option<T>) -> Option<(&'a T, &'a T)> {
    stored.as_ref().zip(now.as_ref()).filter(|(stored, now)| stored != now)
}

fn list(fields: &[Field]) -> String {
    if fields.is_empty() { "of nothing".to_owned() } else { fields.iter().map(Field::to_string).collect::<Vec<_>>().join(", ") }
}

/// Where each of the fields of now lies among the stored ones, by name; `None`: it is new, or something else than it was.
#[must_use]
pub fn places(stored: &[Field], now: &[Field]) -> Vec<Option<usize>> {
    now.iter().map(|field| stored.iter().position(|stored| stored == field)).collect()
}
