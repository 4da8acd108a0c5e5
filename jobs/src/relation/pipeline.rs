//! Row-by-row processing: `where`, `select` and `flat_map`, fused into one operator.

use std::sync::Arc;

use tidegate_rows::{Field, Row, Schema, Type, Value};
use tidegate_runtime::metrics::OperatorMetrics;
use tidegate_runtime::{Error, Record};

use super::arrange::{Arrangement, Take};
use super::each::{Each, FlatMap, Select};
use super::expression::{condition, expression};
use super::failures::Failures;
use crate::text::Problem;
use tidegate_expr::{Expr, ExprSet};

/// Steps applied to every row in order. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pipeline {
    steps: Arc<[Step]>,
}

#[derive(Clone, Debug)]
enum Step {
    /// Keeps the row if the condition holds.
    Where(Expr),
    /// Makes a new row of these values. If slots are given, they keep values of the old row between the new ones.
    Select(ExprSet, Option<Box<[Kept]>>),
    /// Appends these values to the row.
    Append(Box<[Expr]>),
    /// Makes a new row by arranging the old one.
    Arrange(Arrangement),
    /// Makes one row per element of the list: these slots, followed by the element. Always the last step.
    Explode(Expr, Box<[usize]>),
}

/// Where a field of a `select` with `"*"` comes from.
#[derive(Clone, Copy, Debug)]
enum Kept {
    /// The value in this slot.
    Slot(usize),
    /// The next expression.
    New,
}

/// The input of a stream's `where`, `select` and `flat_map`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Base {
    /// Arranges the rows, if they don't already have the right layout.
    pub(crate) arranged: Option<Arrangement>,
    pub(crate) schema: Schema,
    /// How many of the first slots leave the stream by default. The others are only there to be selected.
    pub(crate) handed_on: usize,
}

impl Base {
    /// An input of rows of this schema.
    pub(crate) fn new(schema: Schema) -> Self {
        Self::arranged((schema, None))
    }

    /// An input of rows that are arranged first.
    pub(crate) fn arranged((schema, arranged): (Schema, Option<Arrangement>)) -> Self {
        Self { handed_on: schema.width(), schema, arranged }
    }

    /// The slot that holds the value after the rows are arranged, if it is still there.
    pub(crate) fn place_of(&self, slot: usize) -> Option<usize> {
        self.arranged.as_ref().map_or(Some(slot), |arranged| arranged.place_of(slot))
    }
}

impl Pipeline {
    fn new(steps: Vec<Step>) -> Self {
        Self { steps: steps.into() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The slot that holds the value after all steps, if it is still there.
    pub(crate) fn place_of(&self, slot: usize) -> Option<usize> {
        self.steps.iter().try_fold(slot, |slot, step| match step {
            Step::Where(_) | Step::Append(_) => Some(slot),
            Step::Select(fields, None) => fields.exprs().iter().position(|field| field.as_slot() == Some(slot)),
            Step::Select(fields, Some(kept)) => {
                let mut new = fields.exprs().iter();
                let from = |kept: &Kept| match kept {
                    Kept::Slot(slot) => Some(*slot),
                    Kept::New => new.next().and_then(Expr::as_slot),
                };
                kept.iter().map(from).position(|from| from == Some(slot))
            }
            Step::Arrange(arrangement) => arrangement.place_of(slot),
            Step::Explode(_, kept) => kept.iter().position(|from| *from == slot),
        })
    }

    /// Runs one record through the steps.
    #[inline]
    pub(crate) fn run(
        &self,
        record: Record<Row>,
        out: &mut Vec<Record<Row>>,
        metrics: &OperatorMetrics,
        failures: &mut Failures,
    ) -> Result<(), Error> {
        let Record { time, value: mut row } = record;
        for step in &*self.steps {
            let done = match step {
                Step::Where(condition) => match condition.test(&row) {
                    Ok(true) => Ok(()),
                    Ok(false) => {
                        metrics.filtered.add(1);
                        return Ok(());
                    }
                    Err(error) => Err((condition, error.to_string())),
                },
                Step::Select(fields, kept) => {
                    let values = fields.values(&row).map_err(|(expr, error)| (expr, error.to_string()));
                    values.map(|values| {
                        row = match kept {
                            None => Row(values.into()),
                            Some(kept) => keeping(kept, &row, values),
                        };
                    })
                }
                Step::Append(fields) => values(fields, &row).map(|more| {
                    let kept = std::mem::take(&mut row.0).into_vec();
                    row = kept.into_iter().chain(more).collect();
                }),
                Step::Arrange(arrangement) => {
                    row = arrangement.of(&row);
                    Ok(())
                }
                Step::Explode(list, kept) => match elements(list, &row) {
                    Ok(elements) => {
                        let with = |element: &Value| kept.iter().map(|slot| row.copy(*slot)).chain([element.clone()]).collect();
                        out.extend(elements.iter().map(|element| Record::new(time, with(element))));
                        return Ok(());
                    }
                    Err(error) => Err((list, error)),
                },
            };
            if let Err((expr, error)) = done {
                metrics.failed.add(1);
                return failures.report(expr, &error, &row);
            }
        }
        out.push(Record::new(time, row));
        Ok(())
    }
}

fn values<'a>(fields: &'a [Expr], row: &Row) -> Result<Vec<Value>, (&'a Expr, String)> {
    fields.iter().map(|f| f.eval(row).map_err(|e| (f, e.to_string()))).collect()
}

/// Makes a row of kept fields and new ones.
fn keeping(kept: &[Kept], row: &Row, new: Vec<Value>) -> Row {
    let mut new = new.into_iter();
    let value = |kept: &Kept| match kept {
        Kept::Slot(slot) => row.copy(*slot),
        Kept::New => new.next().unwrap_or_default(),
    };
    kept.iter().map(value).collect()
}

fn elements(list: &Expr, row: &Row) -> Result<Arc<Vec<Value>>, String> {
    match list.eval(row).map_err(|e| e.to_string())? {
        Value::List(elements) => Ok(elements),
        Value::Null => Ok(Arc::default()),
        other => Err(format!("expected a list, found {}", other.type_of())),
    }
}

/// Appends these values to the row.
pub(super) fn append(values: Vec<Expr>) -> Pipeline {
    if values.is_empty() { Pipeline::default() } else { Pipeline::new(vec![Step::Append(values.into())]) }
}

/// A pipeline with only this step, if there is one.
pub(crate) fn arranging(arrangement: Option<Arrangement>) -> Option<Pipeline> {
    arrangement.map(|arrangement| Pipeline::new(vec![Step::Arrange(arrangement)]))
}

/// Compiles the `where`, `select` and `flat_map` of a stream. Also returns the schema of the output.
///
/// # Errors
/// Everything that is wrong, and the schema of the output, in which invalid fields have type `any`.
pub(crate) fn compile(each: &Each, base: Base) -> Result<(Pipeline, Schema), (Vec<Problem>, Schema)> {
    let Base { arranged, mut schema, handed_on } = base;
    let mut steps: Vec<Step> = arranged.map(Step::Arrange).into_iter().collect();
    let mut problems = Vec::new();
    let filter = each.filter.as_ref().and_then(|text| condition(text, &schema, &mut problems));
    steps.extend(filter.map(Step::Where));
    if let Some(select) = &each.select {
        let (step, selected) = compile_select(select, &schema, handed_on, &mut problems);
        steps.push(step);
        schema = selected;
    } else if handed_on < schema.width() {
        let width = schema.width();
        schema = first(&schema, handed_on);
        steps.extend(Arrangement::new((0..handed_on).map(Take::Slot).collect(), width).map(Step::Arrange));
    }
    if let Some(flat_map) = &each.flat_map {
        let (step, exploded) = compile_flat_map(flat_map, &schema, &mut problems);
        steps.extend(step);
        schema = exploded;
    }
    if problems.is_empty() { Ok((Pipeline::new(steps), schema)) } else { Err((problems, schema)) }
}

/// The schema of the first `slots` slots.
pub(crate) fn first(schema: &Schema, slots: usize) -> Schema {
    let mut first = schema.without_fields();
    schema.fields().take_while(|(slot, _)| *slot < slots).for_each(|(_, field)| _ = first.add_field(field.clone()));
    first
}

fn compile_select(select: &Select, schema: &Schema, handed_on: usize, problems: &mut Vec<Problem>) -> (Step, Schema) {
    // A field with an invalid expression has type `any`.
    let mut new: Vec<(&str, Option<Expr>)> = Vec::new();
    for (name, text) in &select.fields {
        new.push((&name.value, expression(text, schema, problems)));
    }
    let field = |(name, expr): &(&str, Option<Expr>)| {
        let ty = expr.as_ref().map_or(Type::Any, |expr| expr.ty().clone());
        Field { name: (*name).to_owned(), ty, optional: false }
    };
    if !select.all.as_ref().is_some_and(|all| all.value) {
        let mut selected = Schema::default();
        new.iter().for_each(|new| _ = selected.add_field(field(new)));
        return (Step::Select(ExprSet::new(new.into_iter().filter_map(|(_, expr)| expr)), None), selected);
    }
    // A redefined field keeps its position; new fields are appended.
    let old = first(schema, handed_on);
    let mut selected = old.without_fields();
    let mut kept: Vec<Kept> = old.rest().map(Kept::Slot).into_iter().collect();
    let mut exprs = Vec::new();
    for (slot, own) in old.fields() {
        match new.iter().position(|(name, _)| *name == own.name) {
            Some(at) => {
                let new = new.remove(at);
                selected.add_field(field(&new));
                exprs.extend(new.1);
                kept.push(Kept::New);
            }
            None => {
                selected.add_field(own.clone());
                kept.push(Kept::Slot(slot));
            }
        }
    }
    for new in new {
        selected.add_field(field(&new));
        exprs.extend(new.1);
        kept.push(Kept::New);
    }
    (Step::Select(ExprSet::new(exprs), Some(kept.into())), selected)
}

fn compile_flat_map(flat_map: &FlatMap, schema: &Schema, problems: &mut Vec<Problem>) -> (Option<Step>, Schema) {
    let list = expression(&flat_map.list, schema, problems);
    let element = match list.as_ref().map(Expr::ty) {
        Some(Type::List(element)) => (**element).clone(),
        Some(Type::Any) | None => Type::Any,
        Some(other) => {
            problems.push(flat_map.list.problem(format!("`flat_map` is over a list, and this is of type {other}")));
            Type::Any
        }
    };
    let name = flat_map.field.value.as_str();
    if schema.declares(name) {
        let message =
            format!("there is a field `{}` already: name the element otherwise, as in `flat_map: {{ item: ... }}`", flat_map.field.value);
        problems.push(flat_map.field.problem(message));
    }
    // The element replaces a field of the same name that rows may lack.
    let mut exploded = schema.without_fields();
    let mut kept: Vec<usize> = schema.rest().into_iter().collect();
    for (slot, field) in schema.fields().filter(|(_, field)| field.name != name) {
        exploded.add_field(field.clone());
        kept.push(slot);
    }
    exploded.add(name, element);
    (list.map(|list| Step::Explode(list, kept.into())), exploded)
}

impl std::fmt::Display for Pipeline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, step) in self.steps.iter().enumerate() {
            let list = |fields: &[Expr]| fields.iter().map(Expr::source).collect::<Vec<_>>().join(", ");
            f.write_str(if i > 0 { ", " } else { "" })?;
            match step {
                Step::Where(condition) => write!(f, "where {}", condition.source())?,
                Step::Select(fields, None) => write!(f, "select {}", list(fields.exprs()))?,
                Step::Select(fields, Some(_)) if fields.exprs().is_empty() => f.write_str("select *")?,
                Step::Select(fields, Some(_)) => write!(f, "select *, {}", list(fields.exprs()))?,
                Step::Append(fields) => write!(f, "with {}", list(fields))?,
                Step::Arrange(_) => f.write_str("rearrange fields")?,
                Step::Explode(expr, _) => write!(f, "flat map {}", expr.source())?,
            }
        }
        Ok(())
    }
}
