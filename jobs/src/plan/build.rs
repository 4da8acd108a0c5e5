//! Builds the operators of a plan. Every worker does this.

use std::collections::HashMap;
use std::sync::Arc;

use tidegate_connectors::entry::Entry;
use tidegate_operators::Stream;
use tidegate_runtime::{Dataflow, operator};

use super::{Plan, about};
use crate::connect;
use crate::relation::failures::Failures;
use crate::stage::kinds;
use crate::stage::{Rows, Site, filtered, gather, through};

impl Plan {
    pub(super) fn build(&self, flow: &Dataflow<'_>) {
        let mut streams: HashMap<&str, Rows<'_>> = HashMap::new();
        self.build_sources(flow, &mut streams);
        self.build_streams(flow, &mut streams);
        for sink in &self.sinks {
            let name = about::sink_name(&sink.name);
            flow.describe(&name, sink.about.clone());
            let input = gather(&sink.inputs, &name, &sink.schema, &streams);
            operator::sink(input.into_edge(), &name, &sink.label, Arc::clone(&sink.sink));
        }
    }

    fn build_sources<'s, 'p>(&'p self, flow: &Dataflow<'s>, streams: &mut HashMap<&'p str, Rows<'s>>) {
        for source in &self.sources {
            flow.describe(&source.name, source.about.clone());
            let Some(dead_letter) = &source.dead_letter else {
                let rows = connect::Good(Arc::clone(&source.source));
                streams.insert(&source.name, Stream::from_edge(operator::source(flow, &source.name, &source.label, rows, source.strategy)));
                continue;
            };
            let entries = operator::source(flow, &source.name, &source.label, Arc::clone(&source.source), source.strategy);
            let good = operator::stateless(entries.clone(), &format!("{}/good", source.name), kinds::GOOD_RECORDS, |metrics| {
                filtered(Entry::good, metrics)
            });
            let bad = operator::stateless(entries, dead_letter, kinds::BAD_RECORDS, |metrics| filtered(connect::dead_letter, metrics));
            streams.insert(&source.name, Stream::from_edge(good));
            streams.insert(dead_letter, Stream::from_edge(bad));
        }
    }

    fn build_streams<'s, 'p>(&'p self, flow: &Dataflow<'s>, streams: &mut HashMap<&'p str, Rows<'s>>) {
        for stream in &self.streams {
            flow.describe(&stream.name, stream.about.clone());
            let input = gather(&stream.inputs, &stream.name, &stream.input.schema, streams);
            let Some(work) = &stream.work else {
                let failures = Failures::new(&stream.name, &stream.pipeline_schema, stream.on_error);
                streams.insert(&stream.name, through(input, &stream.name, &stream.pipeline, failures));
                continue;
            };
            let site = Site {
                name: &stream.name,
                input: &stream.input.schema,
                pipeline: &stream.pipeline,
                pipeline_schema: &stream.pipeline_schema,
                on_error: stream.on_error,
                timeouts_to: stream.timeouts.as_ref().map(|(name, _)| name.as_str()),
                ttl: self.ttl,
                about: &stream.about,
                streams,
            };
            let built = work.build(&site, input);
            streams.insert(&stream.name, built.out);
            let late = stream.late.as_ref().zip(built.late);
            let timeouts = stream.timeouts.as_ref().zip(built.timeouts);
            streams.extend(late.into_iter().chain(timeouts).map(|((name, _), rows)| (name.as_str(), rows)));
            streams.extend(stream.ledger.as_ref().zip(built.ledger).map(|(name, rows)| (name.as_str(), rows)));
        }
    }
}
