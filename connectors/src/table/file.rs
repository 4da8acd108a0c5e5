//! A table in a file: all of it in memory, read anew when the file has changed.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::{Duration, SystemTime};

use tidegate_operators::lookup::{Finding, LookupTable, Rows};
use tidegate_runtime::Error;

use crate::file::input::Input;
use crate::file::listing::unreadable;
use crate::lines::{Line, Lines};
use tidegate_rows::Row;
use tidegate_rows::format::cut;
use tidegate_rows::format::{Decoded, Decoder, Format};

/// The rows of one file by their keys. The workers share one copy. A thread looks every so often whether the file is another;
/// once it has not changed from one look to the next it takes the place of the old one. A line that can't be understood fails the job.
pub struct FileTable<F>(Arc<Shared<F>>);

/// Computes the key of a row; none if it meets nothing.
type KeyOf = dyn Fn(&Row) -> Option<Row> + Send + Sync;

struct Shared<F> {
    path: PathBuf,
    format: F,
    key: Box<KeyOf>,
    look_every: Duration,
    state: RwLock<State>,
}

#[derive(Default)]
enum State {
    #[default]
    Unread,
    Read(Arc<HashMap<Row, Rows<Row>>>),
    Failed(String),
}

/// What tells a file from the same file before.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: SystemTime,
    bytes: u64,
}

impl<F: Format<Item = Row>> FileTable<F> {
    /// The file at `path`, in this format, by what `key` says of each row; a row without a key is never found.
    pub fn new(
        path: impl Into<PathBuf>,
        format: F,
        key: impl Fn(&Row) -> Option<Row> + Send + Sync + 'static,
        look_every: Duration,
    ) -> Self {
        Self(Arc::new(Shared { path: path.into(), format, key: Box::new(key), look_every, state: RwLock::default() }))
    }
}

impl<F: Format<Item = Row>> Shared<F> {
    fn stamp(&self) -> Result<Stamp, Error> {
        let metadata = self.path.metadata().and_then(|metadata| Ok((metadata.modified()?, metadata.len())));
        let (modified, bytes) = metadata.map_err(|e| unreadable(&self.path, &e))?;
        Ok(Stamp { modified, bytes })
    }

    fn read(&self) -> Result<HashMap<Row, Rows<Row>>, Error> {
        let mut lines = Lines::new(Input::open(&self.path).map_err(|e| unreadable(&self.path, &e))?);
        let mut decoder = self.format.decoder();
        let mut rows: HashMap<Row, Vec<Row>> = HashMap::new();
        let mut first = true;
        loop {
            let line = match lines.next().map_err(|e| unreadable(&self.path, &e))? {
                Some(Line::Whole(line)) => line,
                Some(Line::TooLong(_)) => b"",
                None => break,
            };
            let decoded = match std::mem::take(&mut first).then(|| decoder.header(line)) {
                Some(Ok(true)) => continue,
                Some(Err(error)) => Err(error),
                Some(Ok(false)) | None => decoder.decode(line),
            };
            match decoded {
                Ok(Decoded::Record { value: row, .. }) => {
                    if let Some(key) = (self.key)(&row) {
                        rows.entry(key).or_default().push(row);
                    }
                }
                Ok(Decoded::Watermark(_) | Decoded::Nothing) => {}
                Err(error) => {
                    let text = String::from_utf8_lossy(line).into_owned();
                    let (path, number) = (self.path.display(), lines.position().line);
                    return Err(Error::user(format!("the table `{path}`, line {number}: {error}: {}", cut(&text, 100))));
                }
            }
        }
        Ok(rows.into_iter().map(|(key, rows)| (key, rows.into())).collect())
    }

    fn set(&self, state: State) {
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = state;
    }
}

/// Looks after the file for as long as somebody has the table.
fn watch<F: Format<Item = Row>>(table: &Weak<Shared<F>>, mut read: Stamp, look_every: Duration) {
    let mut seen = read;
    loop {
        std::thread::sleep(look_every);
        let Some(table) = table.upgrade() else { return };
        // A file that is being replaced may be away for a moment.
        let Ok(now) = table.stamp() else { continue };
        if now != read && now == seen {
            read = now;
            table.set(table.read().map_or_else(|error| State::Failed(error.to_string()), |rows| State::Read(Arc::new(rows))));
        }
        seen = now;
    }
}

impl<F: Format<Item = Row>> LookupTable<Row> for FileTable<F> {
    type Row = Row;

    fn describe(&self) -> String {
        format!("file {}", self.0.path.display())
    }

    fn open(&self) -> Result<(), Error> {
        let mut state = self.0.state.write().unwrap_or_else(PoisonError::into_inner);
        match &*state {
            State::Read(_) => return Ok(()),
            // The job was started again, and the file looked after already.
            State::Failed(_) => {
                *state = State::Read(Arc::new(self.0.read()?));
                return Ok(());
            }
            State::Unread => {}
        }
        let stamp = self.0.stamp()?;
        *state = State::Read(Arc::new(self.0.read()?));
        let (table, look_every) = (Arc::downgrade(&self.0), self.0.look_every);
        let thread = std::thread::Builder::new().name("table".to_owned());
        let started = thread.spawn(move || watch(&table, stamp, look_every));
        started.map(drop).map_err(|e| Error::external(format!("no thread looks after the table `{}`", self.0.path.display()), e))
    }

    fn known(&self, key: &Row) -> Result<Option<Rows<Row>>, Error> {
        match &*self.0.state.read().unwrap_or_else(PoisonError::into_inner) {
            State::Read(rows) => Ok(Some(rows.get(key).cloned().unwrap_or_default())),
            State::Failed(error) => Err(Error::user(error.clone())),
            State::Unread => Err(Error::internal("a table was asked before it was opened")),
        }
    }

    fn find(&self, key: Row) -> Finding<'_, Row> {
        Box::pin(async move { self.known(&key).map(Option::unwrap_or_default) })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Instant;

    use super::*;
    use tidegate_rows::Value;
    use tidegate_rows::format::{Conversion, CsvFormat, Layout};

    fn found(table: &impl LookupTable<Row, Row = Row>, key: &str) -> Vec<i64> {
        let key = Row::from_iter([Value::string(key)]);
        let rows = table.known(&key).unwrap().unwrap();
        rows.iter().map(|row| if let Value::Int(n) = row.get(1) { *n } else { panic!("{row:?}") }).collect()
    }

    fn table(path: &std::path::Path) -> FileTable<CsvFormat> {
        let layout = Layout::new([("name", Conversion::String), ("n", Conversion::Int)]);
        let name = |row: &Row| Some(Row::from_iter([row.get(0).clone()]));
        FileTable::new(path, CsvFormat::new(layout), name, Duration::from_millis(5))
    }

    fn until(mut condition: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !condition() {
            assert!(begun.elapsed() < Duration::from_secs(60), "nothing has changed");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    #[test]
    fn a_table_follows_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.csv");
        fs::write(&path, "name,n\na,1\nb,2\na,3\n").unwrap();
        let table = table(&path);
        table.open().unwrap();
        assert_eq!((found(&table, "a"), found(&table, "b"), found(&table, "c")), (vec![1, 3], vec![2], vec![]));
        let next = dir.path().join("next");
        fs::write(&next, "n,name\n4,c\n").unwrap();
        fs::rename(&next, &path).unwrap();
        until(|| found(&table, "c") == [4]);
        assert!(found(&table, "a").is_empty());
        // It may be away for a while.
        fs::remove_file(&path).unwrap();
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(found(&table, "c"), [4]);
        fs::write(&path, "name,n\nd,five\n").unwrap();
        let key = Row::from_iter([Value::string("d")]);
        until(|| table.known(&key).is_err());
        let error = table.known(&key).unwrap_err().to_string();
        assert!(error.contains("t.csv`, line 2:") && error.contains("`n`"), "{error}");
    }

    #[test]
    fn a_table_that_is_not_there_is_an_error_at_once() {
        let error = table(std::path::Path::new("nowhere.csv")).open().unwrap_err().to_string();
        assert!(error.contains("nowhere.csv"), "{error}");
    }
}
