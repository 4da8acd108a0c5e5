//! The steps applied to each row of a stream: `where`, `select` and `flat_map`, as written in the job file.

use tidegate_expr::identifiers;

use crate::text::Spanned;

/// The name of the field that the short form of `flat_map` adds.
pub const FLAT_MAP_FIELD: &str = "value";

/// The steps applied to each row, in this order.
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
    /// `"*": true`: keep all fields; the others are added or replaced.
    pub all: Option<Spanned<bool>>,
    /// The fields with their expressions, in order.
    pub fields: Vec<(Spanned<String>, Spanned<String>)>,
}

/// `flat_map`: one record per element of a list, with the element as an additional field.
#[derive(Clone, Debug, PartialEq)]
pub struct FlatMap {
    /// The field name; [`FLAT_MAP_FIELD`] in the short form.
    pub field: Spanned<String>,
    /// The expression for the list.
    pub list: Spanned<String>,
}

impl Each {
    /// The texts of all expressions.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &Spanned<String>> {
        let selected = self.select.iter().flat_map(|select| select.fields.iter().map(|(_, text)| text));
        self.filter.iter().chain(selected).chain(self.flat_map.iter().map(|flat_map| &flat_map.list))
    }

    /// All names: those that the expressions use, and those of the fields they define.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.texts().flat_map(|text| identifiers(&text.value)).collect();
        names.extend(self.select.iter().flat_map(|select| select.fields.iter().map(|(name, _)| name.value.clone())));
        names.extend(self.flat_map.iter().map(|flat_map| flat_map.field.value.clone()));
        names
    }

    /// A description of the steps, compared on restore with that of the run that stored the records after them.
    pub(crate) fn said(&self) -> Vec<String> {
        let mut said: Vec<String> = self.filter.iter().map(|text| format!("where {}", text.value.trim())).collect();
        for (field, is) in self.select.iter().flat_map(|select| &select.fields) {
            said.push(format!("{} = {}", field.value, is.value.trim()));
        }
        said.extend(self.flat_map.iter().map(|each| format!("flat_map {} = {}", each.field.value, each.list.value.trim())));
        said
    }
}
