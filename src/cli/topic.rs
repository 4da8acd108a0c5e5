//! `tidegate topic`: loads and prints topics, by jobs with a Kafka source or sink.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::anyhow;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::job::Loaded;
use super::run::Run;

/// Fill a Kafka topic from a file, or print one
#[derive(Args)]
pub struct Topic {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Send each line of a file as a message
    Load {
        #[command(flatten)]
        at: At,
        /// The file; .gz and .zst are decompressed
        file: PathBuf,
    },
    /// Print messages as lines, as they arrive
    Tail {
        #[command(flatten)]
        at: At,
        /// Where to begin: `earliest`, `latest`, a timestamp such as 2026-11-01T00:00:00Z, or offsets as in '{0: 100}'
        #[arg(long, default_value = "latest")]
        from: String,
        /// Where to end: `latest` (the end as of now), a timestamp or offsets; without it, at Ctrl-C
        #[arg(long)]
        until: Option<String>,
    },
}

#[derive(Args)]
struct At {
    /// The brokers, as host:port, several separated by commas
    #[arg(long)]
    brokers: String,
    /// The topic
    #[arg(long)]
    topic: String,
    /// A property of librdkafka, as in `-X security.protocol=sasl_ssl`
    #[arg(short = 'X', value_name = "NAME=VALUE", value_parser = property)]
    options: Vec<(String, String)>,
}

fn property(text: &str) -> Result<(String, String), String> {
    text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())).ok_or_else(|| "there is no `=`".to_owned())
}

impl At {
    /// The source or sink of a job, with these keys in addition.
    fn connector(&self, keys: Value) -> Value {
        let options: serde_json::Map<_, _> = self.options.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect();
        let mut connector =
            json!({ "connector": "kafka", "brokers": self.brokers, "topic": self.topic, "format": "text", "options": options });
        if let (Value::Object(all), Value::Object(more)) = (&mut connector, keys) {
            all.extend(more);
        }
        connector
    }
}

impl Topic {
    pub fn run(&self) -> ExitCode {
        let (name, source, sink) = match &self.action {
            Action::Load { at, file } => {
                let Some(file) = file.to_str() else {
                    return super::fail(&anyhow!("`{}` can't be read: its name is not UTF-8", file.display()), super::USAGE);
                };
                let source = json!({ "connector": "file", "path": file, "format": "text" });
                ("topic-load", source, at.connector(json!({ "from": "in" })))
            }
            Action::Tail { at, from, until } => {
                let mut keys = json!({ "start": place(from) });
                if let Some(until) = until {
                    keys["stop"] = place(until);
                }
                ("topic-tail", at.connector(keys), json!({ "from": "in", "connector": "stdout", "format": "text" }))
            }
        };
        // An ordinary job file: JSON is YAML.
        let job = json!({ "name": name, "parallelism": 1, "sources": { "in": source }, "sinks": { "out": sink } });
        let run = Run::default();
        run.listen();
        match Loaded::new("arguments", &format!("{job:#}"), &[]) {
            Ok(loaded) => run.loaded(&loaded),
            Err(code) => code,
        }
    }
}

/// A place in a topic: text, or a mapping from partitions to offsets, `{0: 100}`.
fn place(text: &str) -> Value {
    let pairs = text.trim().strip_prefix('{').and_then(|t| t.strip_suffix('}'));
    let offset = |pair: &str| pair.split_once(':').map(|(p, o)| (p.trim().to_owned(), Value::from(o.trim())));
    match pairs.map(|pairs| pairs.split(',').map(offset).collect::<Option<serde_json::Map<_, _>>>()) {
        Some(Some(offsets)) => offsets.into(),
        _ => text.into(),
    }
}
