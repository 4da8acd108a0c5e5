//! `connector: socket`: lines from a TCP connection.

use std::sync::Arc;

use tidegate_connectors::socket::SocketSource;

use super::kind::{AsSource, Carrier, Connector, MadeSource, SourceConnector, SourceScope};
use super::lines::{self, Lines};
use super::outside::Answers;
use crate::relation::known::Order;
use crate::text::Problem;
use crate::yaml::{Fields, Reader, Table, key};

pub(crate) static CONNECTOR: Connector = Connector {
    name: "socket",
    source: Some(AsSource { keys: &[&KEYS], within: &[], lines: true, aside: &["host", "port", "reconnect"], read }),
    table: None,
    sink: None,
};

static KEYS: Table = Table {
    name: "source.socket",
    title: "A source with `connector: socket`",
    keys: &[
        key(
            "host",
            "name | address",
            "localhost",
            "the host to connect to. Delivery is at most once: what is sent while the job is down is lost",
        ),
        key("port", "port", "", "its TCP port"),
        key(
            "reconnect",
            "bool",
            "true",
            "whether to reconnect, without limit, when the connection ends or is refused. If false, the job ends with the connection and fails if it is refused",
        ),
    ],
};

/// A TCP server that sends lines to its clients.
#[derive(Clone, Debug)]
struct Socket {
    host: String,
    port: u16,
    reconnect: bool,
    lines: Lines,
}

fn read(reader: &mut Reader, fields: &Fields<'_>) -> Option<Arc<dyn SourceConnector>> {
    let host = fields.get("host").map(|node| reader.text(node, "the name or the address of a host"));
    let port = reader.required(fields, "port").and_then(|node| reader.count(node, 1, u64::from(u16::MAX)));
    let reconnect = fields.get("reconnect").and_then(|node| reader.bool(node));
    let lines = lines::read(reader, fields, Carrier::Lines, None);
    let host = host.map_or_else(|| Some("localhost".to_owned()), |host| host.map(|host| host.value))?;
    let port = u16::try_from(port?.value).ok()?;
    Some(Arc::new(Socket { host, port, reconnect: reconnect.is_none_or(|reconnect| reconnect.value), lines: lines? }))
}

impl SourceConnector for Socket {
    fn words(&self) -> String {
        format!("socket {}:{}, at most once", self.host, self.port)
    }

    fn lines(&self) -> Option<&Lines> {
        Some(&self.lines)
    }

    fn order(&self, _: &Answers) -> Order {
        Order::Total
    }

    fn plan(&self, scope: &SourceScope<'_>) -> Result<MadeSource, Vec<Problem>> {
        let planned = self.lines.plan(scope, "a socket", &[])?;
        let source = SocketSource::new(&self.host, self.port, planned.decoding.lines(scope.name)?).on_bad(planned.on_bad);
        let source = if self.reconnect { source } else { source.once() };
        Ok(MadeSource { source: Arc::new(source), schema: planned.schema, own_times: None, look: None })
    }
}
