//! What happens to each row that a stream gives: `where`, `select`, `flat_map`, as they are written.

use tidegate_expr::identifiers;

use crate::text::Spanned;

/// The field a `flat_map` in its short form adds.
pub const FLAT_MAP_FIELD: &str = "value";

/// What happens to each row, in this order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Each {
    /// `where`.
    pub filter: Option<Spanned<String>>,
    /// `select`.
    pub select: Option<Select>,
    /// `flat_map`.
    pub flat_map: Option<FlatMap>,
}

/// `select`.
#[derive(Clone, Debug, PartialEq)]
pub struct Select {
    /// `"*": true`: all fields are kept, and the others are added or replaced.
    pub all: Option<Spanned<bool>>,
    /// The fields with their expressions, in order.
    pub fields: Vec<(Spanned<String>, Spanned<String>)>,
}

/// `flat_map`: one record per element of a list, being the record with the element as a further field.
#[derive(Clone, Debug, PartialEq)]
pub struct FlatMap {
    /// The field; [`FLAT_MAP_FIELD`] in the short form.
    pub field: Spanned<String>,
    /// The expression that gives the list.
    pub list: Spanned<String>,
}

impl Each {
    /// The expressions.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &Spanned<String>> {
        let selected = self.select.iter().flat_map(|select| select.fields.iter().map(|(_, text)| text));
        self.filter.iter().chain(selected).chain(self.flat_map.iter().map(|flat_map| &flat_map.list))
    }

    /// The names in it: those that the expressions take, and those of the fields they give.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.texts().flat_map(|text| identifiers(&text.value)).collect();
        names.extend(self.select.iter().flat_map(|select| select.fields.iter().map(|(name, _)| name.value.clone())));
        names.extend(self.flat_map.iter().map(|flat_map| flat_map.field.value.clone()));
        names
    }

    /// What it does, to be compared with what it did when records behind it were stored.
    pub(crate) fn said(&self) -> Vec<String> {
        let mut said: Vec<String> = self.filter.iter().map(|text| format!("where {}", text.value.trim())).collect();
        for (field, is) in self.select.iter().flat_map(|select| &select.fields) {
            said.push(format!("{} = {}", field.value, is.value.trim()));
        }
        said.extend(self.flat_map.iter().map(|each| format!("flat_map {} = {}", each.field.value, each.list.value.trim())));
        said
    }
}
