//! The HTTP client that tables and the schema registry share.

use reqwest::{Client, Response};
use tidegate_runtime::Error;

/// The longest answer that is read: 16 MiB.
const LONGEST: usize = 16 << 20;

/// A client, with the TLS of this process.
pub(crate) fn client() -> Result<Client, Error> {
    // It may have been chosen before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().user_agent("tidegate").build().map_err(|e| Error::external("there is no HTTP client", e))
}

/// The body of an answer of `url`.
pub(crate) async fn body(url: &str, mut response: Response) -> Result<Vec<u8>, Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|e| Error::external(format!("{url} broke off"), e.without_url()))? {
        body.extend_from_slice(&chunk);
        if body.len() > LONGEST {
            return Err(Error::user(format!("the answer of {url} is longer than 16 MiB")));
        }
    }
    Ok(body)
}
