//! What happens to one row after the other: `where`, `select`, `flat_map`, fused into one operator.

use std::sync::Arc;

use tidegate_connectors::row::{Row, Schema, Type, Value};
use tidegate_runtime::metrics::OperatorMetrics;
use tidegate_runtime::{Error, Record};

use crate::aggregate::located;
use crate::expr::{Expr, ExprSet};
use crate::failures::Failures;
use crate::file::{FlatMap, Problem, Select, Spanned, Stream};

/// Steps that every row takes in order. Cloning shares them.
#[derive(Clone, Debug, Default)]
pub(super) struct Pipeline {
    steps: Arc<[Step]>,
}

#[derive(Clone, Debug)]
enum Step {
    /// Keep the row if this holds.
    Where(Expr),
    /// A new row of these.
    Select(ExprSet),
    /// The same row with these behind it.
    Append(Box<[Expr]>),
    /// A new row of these slots of the old one; `None`: null.
    Rearrange(Box<[Option<usize>]>),
    /// One row per element of the list, the element behind it. Always the last step.
    Explode(Expr),
}

impl Pipeline {
    fn new(steps: Vec<Step>) -> Self {
        Self { steps: steps.into() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Where the value in a slot stands behind the steps, if it is still there.
    pub(super) fn place_of(&self, slot: usize) -> Option<usize> {
        self.steps.iter().try_fold(slot, |slot, step| match step {
            Step::Where(_) | Step::Append(_) | Step::Explode(_) => Some(slot),
            Step::Select(fields) => fields.exprs().iter().position(|field| field.as_slot() == Some(slot)),
            Step::Rearrange(slots) => slots.iter().position(|from| *from == Some(slot)),
        })
    }

    /// Takes one record through the steps.
    #[inline]
    pub(super) fn run(
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
                Step::Select(fields) => {
                    let values = fields.values(&row).map_err(|(expr, error)| (expr, error.to_string()));
                    values.map(|values| row = Row(values.into()))
                }
                Step::Append(fields) => values(fields, &row).map(|more| {
                    let kept = std::mem::take(&mut row.0).into_vec();
                    row = kept.into_iter().chain(more).collect();
                }),
                Step::Rearrange(slots) => {
                    row = slots.iter().map(|slot| slot.map_or(Value::Null, |s| row.get(s).clone())).collect();
                    Ok(())
                }
                Step::Explode(list) => match elements(list, &row) {
                    Ok(elements) => {
                        let with = |element: &Value| row.0.iter().chain([element]).cloned().collect();
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

fn elements(list: &Expr, row: &Row) -> Result<Arc<Vec<Value>>, String> {
    match list.eval(row).map_err(|e| e.to_string())? {
        Value::List(elements) => Ok(elements),
        Value::Null => Ok(Arc::default()),
        other => Err(format!("expected a list, found {}", other.type_of())),
    }
}

/// Adds the values of `fields` behind the row.
pub(super) fn append(fields: Vec<Expr>) -> Pipeline {
    if fields.is_empty() { Pipeline::default() } else { Pipeline::new(vec![Step::Append(fields.into())]) }
}

/// The fields of all these schemas; of different types in two of them, of any type.
pub(super) fn common_schema(schemas: &[&Schema]) -> Schema {
    let mut names: Vec<(String, Type)> = Vec::new();
    for field in schemas.iter().flat_map(|s| s.fields()) {
        match names.iter_mut().find(|(name, _)| *name == field.name) {
            Some((_, ty)) if *ty == field.ty => {}
            Some((_, ty)) => *ty = Type::Any,
            None => names.push((field.name.clone(), field.ty.clone())),
        }
    }
    Schema::new(names)
}

/// What lays rows of `from` out as `to` wants them, if they aren't already.
pub(super) fn rearrange(from: &Schema, to: &Schema) -> Option<Pipeline> {
    let slots: Vec<_> = to.names().map(|name| from.slot(name)).collect();
    let in_place = from.width() == to.width() && slots.iter().enumerate().all(|(i, slot)| *slot == Some(i));
    (!in_place).then(|| Pipeline::new(vec![Step::Rearrange(slots.into())]))
}

/// Compiles the `where`, `select` and `flat_map` of a stream over rows of `schema`; also tells the schema of what comes out. Of the fields only the
/// first `handed_on` leave the stream by themselves, if it is said; the others are there to be selected.
pub(super) fn compile(stream: &Stream, mut schema: Schema, handed_on: Option<usize>) -> Result<(Pipeline, Schema), Vec<Problem>> {
    let (mut steps, mut problems) = (Vec::new(), Vec::new());
    if let Some(text) = &stream.filter {
        match Expr::condition(&text.value, &schema) {
            Ok(condition) => steps.push(Step::Where(condition)),
            Err(found) => problems.extend(found.into_iter().map(|p| located(text, 0, p))),
        }
    }
    let handed_on = handed_on.unwrap_or(schema.width());
    if let Some(select) = &stream.select {
        if let Some((step, selected)) = compile_select(select, &schema, handed_on, &mut problems) {
            steps.push(step);
            schema = selected;
        }
    } else if handed_on < schema.width() {
        steps.push(Step::Rearrange((0..handed_on).map(Some).collect()));
        schema = Schema::new(schema.fields()[..handed_on].iter().map(|field| (field.name.clone(), field.ty.clone())));
    }
    if problems.is_empty()
        && let Some(flat_map) = &stream.flat_map
        && let Some((step, exploded)) = compile_flat_map(flat_map, &schema, &mut problems)
    {
        steps.push(step);
        schema = exploded;
    }
    if problems.is_empty() { Ok((Pipeline::new(steps), schema)) } else { Err(problems) }
}

pub(super) fn expression(text: &Spanned<String>, schema: &Schema, problems: &mut Vec<Problem>) -> Option<Expr> {
    match Expr::compile(&text.value, schema) {
        Ok(expr) => Some(expr),
        Err(found) => {
            problems.extend(found.into_iter().map(|p| located(text, 0, p)));
            None
        }
    }
}

fn compile_select(select: &Select, schema: &Schema, handed_on: usize, problems: &mut Vec<Problem>) -> Option<(Step, Schema)> {
    let mut fields: Vec<(String, Expr)> = Vec::new();
    if select.all.as_ref().is_some_and(|all| all.value) {
        // A field's name need not be one that an expression can spell; its slot always can be taken.
        fields.extend(schema.names().take(handed_on).filter_map(|name| Some((name.to_owned(), Expr::field(name, schema)?))));
    }
    let before = problems.len();
    for (name, text) in &select.fields {
        let Some(expr) = expression(text, schema, problems) else { continue };
        match fields.iter_mut().find(|(n, _)| *n == name.value) {
            Some((_, old)) => *old = expr,
            None => fields.push((name.value.clone(), expr)),
        }
    }
    let selected = Schema::new(fields.iter().map(|(name, expr)| (name.clone(), expr.ty().clone())));
    let exprs = ExprSet::new(fields.into_iter().map(|(_, expr)| expr));
    (problems.len() == before).then_some((Step::Select(exprs), selected))
}

fn compile_flat_map(flat_map: &FlatMap, schema: &Schema, problems: &mut Vec<Problem>) -> Option<(Step, Schema)> {
    let list = expression(&flat_map.list, schema, problems)?;
    let element = match list.ty() {
        Type::List(element) => (**element).clone(),
        Type::Any => Type::Any,
        other => {
            problems.push(flat_map.list.problem(format!("`flat_map` is over a list, and this is of type {other}")));
            return None;
        }
    };
    if schema.slot(&flat_map.field.value).is_some() {
        let message =
            format!("there is a field `{}` already: name the element otherwise, as in `flat_map: {{ item: ... }}`", flat_map.field.value);
        problems.push(flat_map.field.problem(message));
        return None;
    }
    let mut exploded = schema.clone();
    exploded.add(flat_map.field.value.clone(), element);
    Some((Step::Explode(list), exploded))
}

impl std::fmt::Display for Pipeline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, step) in self.steps.iter().enumerate() {
            let list = |fields: &[Expr]| fields.iter().map(Expr::source).collect::<Vec<_>>().join(", ");
            f.write_str(if i > 0 { ", " } else { "" })?;
            match step {
                Step::Where(condition) => write!(f, "where {}", condition.source())?,
                Step::Select(fields) => write!(f, "select {}", list(fields.exprs()))?,
                Step::Append(fields) => write!(f, "with {}", list(fields))?,
                Step::Rearrange(_) => f.write_str("rearrange fields")?,
                Step::Explode(expr) => write!(f, "flat map {}", expr.source())?,
            }
        }
        Ok(())
    }
}
