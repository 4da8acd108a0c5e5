//! An asynchronous function: each login with what a slow service says of its address, asked again when it stumbles.
//!
//!     $ cargo run --example async_map
//!     {"login":{"user":0,"address":23},"score":99}
//!     {"login":{"user":1,"address":7},"score":91}
//!     {"login":{"user":2,"address":15},"score":95}
//!     {"login":{"user":3,"address":23},"score":99}
//!     {"login":{"user":4,"address":7},"score":91}
//!     {"login":{"user":5,"address":15},"score":95}
//!     {"login":{"user":7,"address":23},"score":99}
//!     {"login":{"user":7,"address":7},"score":91}
//!     {"login":{"user":9,"address":15},"score":95}

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidegate::prelude::*;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Login {
    user: u64,
    address: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Scored {
    login: Login,
    score: u64,
}

/// Stands for a service: takes five milliseconds, and stumbles at every seventh request.
async fn score(address: u64) -> Result<u64, std::io::Error> {
    static REQUESTS: AtomicU64 = AtomicU64::new(1);
    tokio::time::sleep(Duration::from_millis(5)).await;
    if REQUESTS.fetch_add(1, Relaxed).is_multiple_of(7) {
        return Err(std::io::Error::other("busy"));
    }
    Ok(address * 13 % 100)
}

pub(crate) fn main() -> Result<(), Box<dyn std::error::Error>> {
    let options = AsyncOptions {
        retries: Retries { most: 5, delay: Duration::from_millis(1), longest: Duration::from_millis(10) },
        ..AsyncOptions::default()
    };
    let job = Job::new(move |flow| {
        let logins = FnSource::new(|i| Record::new(i as i64 * 100, Login { user: i % 10, address: i % 37 })).with_count(100);
        flow.source("logins", logins, WatermarkStrategy::bounded(Duration::ZERO))
            .map_async("score", options, |login: Login| async move {
                let score = score(login.address).await.map_err(|cause| Error::external("the scores can't be had", cause))?;
                Ok(Scored { login, score })
            })
            .filter("risky", |scored| scored.score > 90)
            .sink("out", StdoutSink::new(JsonLinesEncoder));
    })?;
    Ok(job.run(RunConfig::workers(1))?)
}
