//! The HTTP client shared by tables and the schema registry.

use reqwest::{Client, Response};
use tidegate_runtime::Error;

/// The maximum size of a response body: 16 MiB.
const LONGEST: usize = 16 << 20;

/// Makes a client with the process-wide TLS provider.
pub(crate) fn client() -> Result<Client, Error> {
    // A provider may already be installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().user_agent("tidegate").build().map_err(|e| Error::external("there is no HTTP client", e))
}

/// Reads the body of a response from `url`.
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
