//! Job files: what a user writes without code, from YAML to running operators.
//!
//! Lives here, in the order of a job's way: [`file`](mod@file) reads a job file and reports all its problems with their places, and [`plan`] makes operators over rows of it all.
//!
//! Does not live here: rows and formats (`tidegate-rows`), expressions (`tidegate-expr`), connectors (`tidegate-connectors`), the operators themselves (`tidegate-operators`), anything that
//! prints.
//!
//! ```
//! use tidegate_jobs::{file::parse, plan::plan};
//! use tidegate_runtime::RunConfig;
//!
//! let text = r#"
//! name: tens
//! sources: { numbers: { connector: generator, count: 100, fields: { n: { sequence: [0, 1] } } } }
//! streams: { tens: { from: numbers, where: 'n % 10 == 0' } }
//! sinks:   { out: { from: tens, connector: file, path: /dev/null } }
//! "#;
//! let (file, mut problems) = parse("tens.yaml", text, &[]);
//! let plan = file.and_then(|file| plan(&file, &mut problems)).ok_or(problems.to_string())?;
//! plan.job()?.run(RunConfig::workers(2))?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod aggregate;
mod connect;
pub mod file;
pub mod plan;
mod relation;
mod stage;
mod text;
mod yaml;
