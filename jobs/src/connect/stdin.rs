//! `connector: stdin`: lines of standard input.

use std::sync::Arc;

use tidegate_connectors::stdin::StdinSource;

use super::claim::{Claim, Owner};
use super::kind::{AsSource, Carrier, Connector, MadeSource, SourceConnector, SourceScope};
use super::lines::{self, Lines};
use super::outside::Answers;
use crate::relation::known::Order;
use crate::text::Problem;
use crate::yaml::{Fields, Reader};

pub(crate) static CONNECTOR: Connector =
    Connector { name: "stdin", source: Some(AsSource { keys: &[], within: &[], lines: true, aside: &[], read }), table: None, sink: None };

/// Standard input.
#[derive(Clone, Debug)]
struct Stdin(Lines);

fn read(reader: &mut Reader, fields: &Fields<'_>) -> Option<Arc<dyn SourceConnector>> {
    Some(Arc::new(Stdin(lines::read(reader, fields, Carrier::Lines, None)?)))
}

impl SourceConnector for Stdin {
    fn words(&self) -> String {
        "standard input".to_owned()
    }

    fn lines(&self) -> Option<&Lines> {
        Some(&self.0)
    }

    fn claims(&self, owner: &Owner<'_>) -> Vec<Claim> {
        let clash = |_: &str| "standard input can be read by one source only: read it once, and let several streams read that".to_owned();
        vec![Claim::Alone { what: self.words(), at: Some(owner.name.span.clone()), clash }]
    }

    fn order(&self, _: &Answers) -> Order {
        Order::Total
    }

    fn plan(&self, scope: &SourceScope<'_>) -> Result<MadeSource, Vec<Problem>> {
        let planned = self.0.plan(scope, &self.words(), &[])?;
        let source = StdinSource::new(planned.decoding.lines(scope.name)?).on_bad(planned.on_bad);
        Ok(MadeSource { source: Arc::new(source), schema: planned.schema, own_times: None, look: None })
    }
}
