//! Writes to a file, or to a directory of files.

use std::sync::Arc;

use tidegate_connectors::sink;
use tidegate_rows::Row;
use tidegate_runtime::sink::Sink;

use crate::connect::claim::{Claim, Owner};
use crate::connect::format::Encoding;
use crate::connect::kind::{SinkConnector, SinkScope};
use crate::text::{Problem, Spanned};
use crate::yaml::{Fields, Reader, Table, key};

pub(super) static KEYS: Table =
    Table { name: "sink.file", title: "A sink with `connector: file`", keys: &[key("path", "path", "", "the file or directory to write")] };

/// The file or the directory at a path.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FileSink {
    pub(crate) path: Spanned<String>,
}

pub(super) fn read(reader: &mut Reader, fields: &Fields<'_>) -> Option<Arc<dyn SinkConnector>> {
    let path = reader.required(fields, "path").and_then(|node| reader.text(node, "a path"))?;
    Some(Arc::new(FileSink { path }))
}

impl SinkConnector for FileSink {
    fn words(&self) -> String {
        format!("file {}", self.path.value)
    }

    /// Devices are not claimed: they keep nothing that another part could overwrite.
    fn claims(&self, _: &Owner<'_>, ending: &'static str) -> Vec<Claim> {
        if self.path.value.starts_with("/dev/") { Vec::new() } else { vec![Claim::Writes { path: self.path.clone(), ending }] }
    }

    fn plan(&self, scope: &SinkScope<'_>, encoding: Encoding) -> Result<Arc<dyn Sink<Row>>, Vec<Problem>> {
        Ok(Arc::new(sink::FileSink::new(self.path.value.clone(), encoding.lines(scope.owner.name)?)))
    }
}
