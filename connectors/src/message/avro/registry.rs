//! A client of a Confluent-compatible schema registry: schemas by id, and ids by subject.

use std::collections::HashMap;
use std::error::Error as _;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::sleep;
use std::time::Duration;

use reqwest::{Client, Method, StatusCode};
use serde::Deserialize;
use serde_json::json;
use tidegate_rows::format::AvroSchema;
use tidegate_runtime::Error;
use tokio::runtime::Runtime;
use url::Url;

use crate::http;

/// The timeout of a request.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often a request is repeated if there is no response, or a response of 429 (Too Many Requests) or a server
/// error; and the delay before the first retry, which doubles each time.
const RETRIES: u32 = 5;
const DELAY: Duration = Duration::from_millis(100);

/// A schema registry. Schemas are cached by id for the life of the process. Calls block until the registry answers.
#[derive(Clone)]
pub struct Registry(Arc<Inner>);

struct Inner {
    url: Url,
    login: Option<(String, String)>,
    schemas: Mutex<HashMap<u32, Compiled>>,
}

/// A compiled schema, or why it can't be used.
pub(super) type Compiled = Result<AvroSchema, Arc<str>>;

/// The registry's answer about a schema.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    schema: String,
    #[serde(default)]
    schema_type: Option<String>,
    #[serde(default)]
    references: Vec<Reference>,
}

/// A reference from a schema to another one.
#[derive(Deserialize)]
struct Reference {
    subject: String,
    version: i64,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the password.
        f.debug_tuple("Registry").field(&self.0.url.as_str()).finish()
    }
}

impl Registry {
    /// The registry at a URL, with optional credentials.
    ///
    /// # Errors
    /// Explains, as a sentence, why this is not an HTTP URL.
    pub fn new(url: &str, login: Option<(String, String)>) -> Result<Self, String> {
        let url = Url::parse(url).map_err(|e| format!("not a URL: {e}"))?;
        if !matches!(url.scheme(), "http" | "https") || url.cannot_be_a_base() {
            return Err("the URL of a registry begins with http:// or https://".into());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("a URL is shown in messages: give `user` and `password` beside it".into());
        }
        Ok(Self(Arc::new(Inner { url, login, schemas: Mutex::default() })))
    }

    /// The URL.
    #[must_use]
    pub fn url(&self) -> &str {
        self.0.url.as_str().trim_end_matches('/')
    }

    /// The schemas of a subject. If `register` is true, a schema that the subject lacks is registered.
    pub fn subject(&self, name: impl Into<String>, register: bool) -> Subject {
        Subject { registry: self.clone(), name: name.into(), register }
    }

    /// The schema with this id, or `None` if there is none.
    pub(super) fn schema(&self, id: u32) -> Result<Option<Compiled>, Error> {
        if let Some(known) = self.schemas().get(&id) {
            return Ok(Some(known.clone()));
        }
        let Some(compiled) = self.fetch(id)? else { return Ok(None) };
        Ok(Some(self.schemas().entry(id).or_insert(compiled).clone()))
    }

    fn schemas(&self) -> std::sync::MutexGuard<'_, HashMap<u32, Compiled>> {
        self.0.schemas.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fetch(&self, id: u32) -> Result<Option<Compiled>, Error> {
        let session = Session::open(&self.0)?;
        let Some(answer) = session.schema(&["schemas", "ids", &id.to_string()])? else { return Ok(None) };
        if let Some(other) = answer.schema_type.filter(|ty| ty != "AVRO") {
            return Ok(Some(Err(format!("it is of type {other}, not AVRO").into())));
        }
        // Fetch the referenced schemas, and those that they refer to.
        let mut others: Vec<(Reference, String)> = Vec::new();
        let mut wanted = answer.references;
        while let Some(reference) = wanted.pop() {
            if others.iter().any(|(known, _)| known.subject == reference.subject && known.version == reference.version) {
                continue;
            }
            let path = ["subjects", &reference.subject, "versions", &reference.version.to_string()];
            let Some(other) = session.schema(&path)? else {
                let Reference { subject, version } = reference;
                return Ok(Some(Err(format!("it refers to version {version} of subject `{subject}`, which is not there").into())));
            };
            wanted.extend(other.references);
            others.push((reference, other.schema));
        }
        let others = others.iter().map(|(_, text)| text.as_str());
        Ok(Some(AvroSchema::parse_with(&answer.schema, others).map_err(Arc::from)))
    }
}

/// A subject: the schemas of what is written to a topic.
#[derive(Clone, Debug)]
pub struct Subject {
    registry: Registry,
    name: String,
    register: bool,
}

impl Subject {
    /// The id of a schema.
    pub(super) fn id(&self, schema: &str) -> Result<u32, Error> {
        #[derive(Deserialize)]
        struct Registered {
            id: u32,
        }
        let mut path = vec!["subjects", self.name.as_str()];
        path.extend(self.register.then_some("versions"));
        let body = json!({ "schema": schema }).to_string();
        let reply = Session::open(&self.registry.0)?.ask(Method::POST, &path, Some(&body))?;
        let (name, url) = (&self.name, &reply.url);
        match reply.status {
            status if status.is_success() => reply.read::<Registered>().map(|registered| registered.id),
            _ if reply.is_nothing() && !self.register => Err(Error::user(format!(
                "the schema of this sink is not registered under the subject `{name}`: {url} answers {}",
                reply.said()
            ))),
            StatusCode::CONFLICT => Err(Error::user(format!(
                "the schema of this sink is not compatible with those that the subject `{name}` has: {url} answers {}",
                reply.said()
            ))),
            _ => Err(Error::user(format!("the schema of this sink can't be registered: {url} answers {}", reply.said()))),
        }
    }
}

/// A few requests in sequence. They block the caller's thread, which is a source's own or that of a worker opening a
/// sink.
struct Session<'r> {
    registry: &'r Inner,
    client: Client,
    runtime: Runtime,
}

/// The registry's error response.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Complaint {
    error_code: Option<u32>,
    message: Option<String>,
}

struct Reply {
    url: String,
    status: StatusCode,
    body: Vec<u8>,
}

impl Reply {
    fn read<'b, T: Deserialize<'b>>(&'b self) -> Result<T, Error> {
        serde_json::from_slice(&self.body)
            .map_err(|e| Error::user(format!("the answer of {} is not that of a schema registry: {e}", self.url)))
    }

    fn complaint(&self) -> Complaint {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The status, and the registry's own message.
    fn said(&self) -> String {
        let words = self.complaint().message;
        words.map_or_else(|| self.status.to_string(), |words| format!("{}: {words}", self.status))
    }

    /// Whether the registry itself says that it has no such subject, version or schema. Any other 404 means a wrong
    /// URL or comes from a proxy.
    fn is_nothing(&self) -> bool {
        self.status == StatusCode::NOT_FOUND && matches!(self.complaint().error_code, Some(40401..=40403))
    }
}

impl<'r> Session<'r> {
    fn open(registry: &'r Inner) -> Result<Self, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|e| Error::external("there is no HTTP client", e))?;
        Ok(Self { registry, client: http::client()?, runtime })
    }

    /// The schema at this path, or `None` if there is none.
    fn schema(&self, path: &[&str]) -> Result<Option<Answer>, Error> {
        let reply = self.ask(Method::GET, path, None)?;
        match reply.status {
            _ if reply.is_nothing() => Ok(None),
            status if status.is_success() => reply.read().map(Some),
            _ => Err(Error::user(format!("the schema registry refuses to answer: {} answers {}", reply.url, reply.said()))),
        }
    }

    /// Sends a request, retrying while the server is in trouble.
    fn ask(&self, method: Method, path: &[&str], body: Option<&str>) -> Result<Reply, Error> {
        let mut url = self.registry.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        let mut tries = 0;
        loop {
            let error = match self.runtime.block_on(self.once(method.clone(), &url, body)) {
                Ok(reply) if reply.status.is_server_error() || reply.status == StatusCode::TOO_MANY_REQUESTS => {
                    Error::external(format!("the schema registry can't answer {url}"), std::io::Error::other(reply.said()))
                }
                Ok(reply) => return Ok(reply),
                Err(error) => error,
            };
            if tries == RETRIES {
                return Err(error);
            }
            let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
            tracing::warn!("{error}{cause}; it is asked again");
            sleep(DELAY * 2_u32.pow(tries));
            tries += 1;
        }
    }

    async fn once(&self, method: Method, url: &Url, body: Option<&str>) -> Result<Reply, Error> {
        const JSON: &str = "application/vnd.schemaregistry.v1+json";
        let mut request = self.client.request(method, url.clone()).timeout(PATIENCE).header("accept", JSON);
        if let Some((user, password)) = &self.registry.login {
            request = request.basic_auth(user, Some(password));
        }
        if let Some(body) = body {
            request = request.header("content-type", JSON).body(body.to_owned());
        }
        let url = url.to_string();
        let unreachable = |e: reqwest::Error| Error::external(format!("the schema registry can't be asked for {url}"), e.without_url());
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let body = http::body(&url, response).await?;
        Ok(Reply { url, status, body })
    }
}
