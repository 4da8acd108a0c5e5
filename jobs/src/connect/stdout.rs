//! `connector: stdout`: lines of standard output.

use std::sync::Arc;

use tidegate_connectors::sink::StdoutSink;
use tidegate_rows::Row;
use tidegate_runtime::sink::Sink;

use super::format::Encoding;
use super::kind::{AsSink, Carrier, Connector, SinkConnector, SinkScope};
use crate::text::Problem;

pub(crate) static CONNECTOR: Connector = Connector {
    name: "stdout",
    source: None,
    table: None,
    sink: Some(AsSink { keys: &[], carrier: Carrier::Terminal, read: |_, _| Some(Arc::new(Stdout)) }),
};

/// Standard output.
#[derive(Clone, Copy, Debug)]
struct Stdout;

impl SinkConnector for Stdout {
    fn words(&self) -> String {
        "standard output".to_owned()
    }

    fn plan(&self, scope: &SinkScope<'_>, encoding: Encoding) -> Result<Arc<dyn Sink<Row>>, Vec<Problem>> {
        Ok(Arc::new(StdoutSink::new(encoding.lines(scope.owner.name)?)))
    }
}
