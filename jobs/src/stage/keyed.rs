//! Stages that group records by the key of their stream.

use std::cmp::Ordering;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidegate_expr::{Expr, field_name};
use tidegate_operators::Ties;
use tidegate_rows::{Row, Schema, Type};
use tidegate_runtime::state::Stored;
use tidegate_runtime::{Basis, Field};

use super::kind::Head;
use crate::relation::appended::Appended;
use crate::relation::expression::expression;
use crate::relation::key::KeySlots;
use crate::relation::known::{Known, Order};
use crate::relation::pipeline::Pipeline;
use crate::text::Problem;

/// The slots of the key, and what is appended to the row for it. Also adds the key's fields to `schema`.
fn plan_key(head: &Head, input: &Known, schema: &mut Schema, problems: &mut Vec<Problem>) -> (Vec<usize>, Appended) {
    let (mut slots, mut computed) = (Vec::new(), Appended::to(&input.schema));
    for (i, key) in head.key.iter().enumerate() {
        let name = field_name(&key.value);
        if let Some(slot) = input.schema.slot(name) {
            slots.push(slot);
            schema.add(name, input.schema.named(name).map_or(Type::Any, |field| field.ty.clone()));
            continue;
        }
        let known = problems.len();
        if let Some(expr) = expression(key, &input.schema, problems) {
            let name = if head.key.len() == 1 { "key".to_owned() } else { format!("key_{}", i + 1) };
            schema.add(name, expr.ty().clone());
            slots.push(computed.add(expr));
        } else {
            // Add both the suggested name and the written one for `where` and `select`, so that one mistake is reported once.
            let meant = problems[known..].iter().filter_map(|problem| problem.nearest.clone());
            meant.chain([name.to_owned()]).for_each(|name| _ = schema.add(name, Type::Any));
        }
    }
    (slots, computed)
}

/// The key of a stage that emits rows of its input.
#[derive(Clone)]
pub(crate) struct PlannedKey {
    /// Computes the parts of the key that are expressions.
    pub(crate) keys: Pipeline,
    pub(crate) key: KeySlots,
    /// The number of fields in a row, without the computed keys.
    pub(crate) width: usize,
    slots: Vec<usize>,
    /// Whether the rows of a key come in the same order in every run.
    pub(crate) settled: bool,
}

impl PlannedKey {
    /// Plans the key of a stream, and adds its fields to `schema`.
    pub(crate) fn plan(head: &Head, input: &Known, schema: &mut Schema, problems: &mut Vec<Problem>) -> Self {
        let (slots, computed) = plan_key(head, input, schema, problems);
        let key = KeySlots::over(&slots, &input.schema, computed.values());
        let settled = input.order.is_settled(&slots);
        Self { keys: computed.into(), key, width: input.schema.width(), slots, settled }
    }

    /// The number of its parts.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// The slots of the key in a row, if none of its parts is computed.
    pub(crate) fn fields(&self) -> Option<Vec<usize>> {
        self.slots.iter().all(|slot| *slot < self.width).then(|| self.slots.clone())
    }

    /// The order after an operator with this key that keeps the order of its rows.
    pub(crate) fn order(&self) -> Order {
        Order::behind(self.fields().map(|slots| slots.into_iter().collect()))
    }
}

/// Orders rows by their values.
pub(crate) fn by_value() -> Ties<Row> {
    Box::new(Row::strict_cmp)
}

/// Distinguishes an updated result from others of the same time.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Identity(Row);

impl Stored for Identity {
    const SCHEMA: &'static str = "row.identity/1";
}

impl Identity {
    /// The values of these slots.
    pub(crate) fn of(slots: &Arc<[usize]>) -> impl Fn(&Row) -> Self + use<> {
        let slots = Arc::clone(slots);
        move |row| Self(slots.iter().map(|slot| row.get(*slot).clone()).collect())
    }
}

impl PartialOrd for Identity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Identity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.strict_cmp(&other.0)
    }
}

/// The basis of state kept by the stream's key. `records` are the fields of the rows in the state, if it holds any.
pub(crate) fn basis(head: &Head, input: &Schema, records: Option<Vec<Field>>, form: Option<String>) -> Basis {
    let key = head.key.iter().map(|key| Field::new(key.value.trim(), type_of(&key.value, input))).collect();
    Basis { key: Some(key), records, form, reads: None }
}

/// The fields of input rows with the computed keys appended.
pub(crate) fn rows(head: &Head, input: &Schema) -> Vec<Field> {
    let keys = head.key.iter().filter(|key| input.slot(&key.value).is_none());
    fields(input).chain(keys.map(|key| Field::new(key.value.trim(), type_of(&key.value, input)))).collect()
}

/// The fields of a schema, as a basis describes them.
pub(crate) fn fields(schema: &Schema) -> impl Iterator<Item = Field> {
    schema.fields().map(|(_, own)| field(own))
}

/// A field of a schema, as a basis describes it.
pub(crate) fn field(field: &tidegate_rows::Field) -> Field {
    Field::new(field.name.clone(), field.ty.to_string())
}

/// The type of a field or expression, or `any` if it can't be compiled, which has already been reported.
pub(crate) fn type_of(text: &str, schema: &Schema) -> String {
    match schema.named(text) {
        Some(field) => field.ty.to_string(),
        None => Expr::compile(text, schema).map_or_else(|_| "any".to_owned(), |expr| expr.ty().to_string()),
    }
}
