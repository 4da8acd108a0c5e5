//! A job file as versions have changed its rules: `tidegate rules export`.

use jiff::Timestamp;
use serde_json::{Map, Value as Json};
use tidegate_rules::factor_name;

use super::{JobFile, Override, path_steps, remove_at, set_at};
use crate::stage::{json_of, parse_value};
use crate::text::{Problem, Problems, Source, Spanned};
use crate::yaml::{Entry, Node, Value};

/// What a job keeps of versions: rows of the state of a judge, as `savepoint inspect` shows them.
#[derive(Clone, Debug, Default)]
pub struct Kept(Vec<Row>);

/// A change of a version.
#[derive(Clone, Debug)]
struct Row {
    version: u64,
    of: Json,
}

impl Kept {
    /// Takes the rows of the versions that are active at a time, or of all.
    ///
    /// # Errors
    /// The time can't be read.
    pub fn new(rows: impl IntoIterator<Item = Json>, at: Option<&str>) -> Result<Self, jiff::Error> {
        let at: Option<Timestamp> = at.map(str::parse).transpose()?;
        let at = at.map(Timestamp::as_millisecond);
        let active = |from: i64| at.is_none_or(|at| from <= at);
        // Others are records that wait.
        let of_version = |row: Json| {
            row["active"].as_i64().filter(|from| active(*from))?;
            Some(Row { version: row["version"].as_u64()?, of: row })
        };
        let rows = rows.into_iter().filter_map(of_version);
        let mut rows: Vec<Row> = rows.collect();
        // Those of one version stay in their order, but what is left after a list was cleared came after that.
        rows.sort_by_key(|row| (row.version, row.of["cleared"] != true));
        Ok(Self(rows))
    }

    /// The numbers of the versions.
    #[must_use]
    pub fn versions(&self) -> Vec<u64> {
        let mut versions: Vec<u64> = self.0.iter().map(|row| row.version).collect();
        versions.dedup();
        versions
    }

    /// Some of the versions.
    #[must_use]
    pub fn only(&self, wanted: impl Fn(u64) -> bool) -> Self {
        Self(self.0.iter().filter(|row| wanted(row.version)).cloned().collect())
    }
}

/// The job file with what versions have made of the rules of a stream: as JSON, which is YAML, and as it is read.
#[must_use]
pub fn exported(
    file_name: &str,
    text: &str,
    overrides: &[Override],
    stream: &str,
    kept: &Kept,
) -> (Option<Json>, Option<JobFile>, Problems) {
    let mut whole = None;
    let (file, problems) = super::parse_as(file_name, text, overrides, |mut root, _| {
        for row in &kept.0 {
            change(&mut root, stream, &row.of)?;
        }
        whole = Some(json_of(&root));
        Ok(root)
    });
    (whole, file, problems)
}

fn change(root: &mut Node, stream: &str, row: &Json) -> Result<(), Problem> {
    let value = row["value"].as_str();
    if let Some(path) = row["set"].as_str().or(row["remove"].as_str()) {
        return change_path(root, stream, path, value);
    }
    match row["list"].as_str() {
        Some(list) => change_list(root, list, row),
        None => Ok(()),
    }
}

fn change_path(root: &mut Node, stream: &str, path: &str, value: Option<&str>) -> Result<(), Problem> {
    let source = Source::new(Some(path), path);
    let own = path_steps(&source)?;
    let step = |text: &str| Spanned::new(text.to_owned(), source.span(0..path.len()));
    let steps = match own.as_slice() {
        [first, signature] if first.value == "factors" => {
            // Another signature is of the same factor.
            if let Some(factors) = entries(root, &["factors"]) {
                factors.retain(|entry| factor_name(&entry.key.value) != factor_name(&signature.value));
            }
            own
        }
        _ => {
            // A new one is set as a whole.
            if let ([kind, name, _, ..], Some(_)) = (own.as_slice(), value)
                && entries(root, &["streams", stream, "rules", &kind.value])
                    .is_none_or(|all| all.iter().all(|entry| entry.key.value != name.value))
            {
                let one = kind.value.strip_suffix('s').unwrap_or(&kind.value);
                return Err(name.problem(format!("no {one} is called `{}`", name.value)));
            }
            [step("streams"), step(stream), step("rules")].into_iter().chain(own).collect()
        }
    };
    match value {
        Some(value) => set_at(root, &steps, parsed(path, value)?),
        None => {
            remove_at(root, &steps);
            Ok(())
        }
    }
}

/// The value of a change, or the first problem with it.
fn parsed(path: &str, value: &str) -> Result<Node, Problem> {
    let first = |wrong: Vec<Problem>| wrong.into_iter().next();
    parse_value(path, value)
        .map_err(|wrong| first(wrong).unwrap_or_else(|| Source::new(Some(path), value).span(0..0).problem("there is no value")))
}

/// The entries of the mapping at a path.
fn entries<'n>(root: &'n mut Node, path: &[&str]) -> Option<&'n mut Vec<Entry>> {
    let Value::Map(entries) = &mut root.value else { return None };
    match path {
        [] => Some(entries),
        [first, rest @ ..] => self::entries(&mut entries.iter_mut().find(|entry| entry.key.value == *first)?.value, rest),
    }
}

fn change_list(root: &mut Node, list: &str, row: &Json) -> Result<(), Problem> {
    let path = format!("lists.{list}.entries");
    let source = Source::new(Some(&path), &path);
    let steps = path_steps(&source)?;
    let known = entries(root, &["lists", list])
        .and_then(|of| of.iter().find(|entry| entry.key.value == "entries"))
        .map(|entry| json_of(&entry.value));
    let mut all: Vec<Json> = known.and_then(|known| known.as_array().cloned()).unwrap_or_default();
    if row["cleared"] == true {
        all.clear();
    } else {
        // A key may be written as a number.
        let text = |key: &Json| key.as_str().map_or_else(|| key.to_string(), str::to_owned);
        let key = text(&row["key"]);
        all.retain(|entry| text(entry.get("key").unwrap_or(entry)) != key);
        if row["removed"] != true {
            let parts = ["key", "from", "to", "uses", "reason"].into_iter().filter(|part| !row[*part].is_null());
            all.push(Json::Object(parts.map(|part| (part.to_owned(), row[part].clone())).collect::<Map<String, Json>>()));
        }
    }
    set_at(root, &steps, parsed(&path, &Json::Array(all).to_string())?)
}
