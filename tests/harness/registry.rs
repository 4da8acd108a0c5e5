//! A schema registry for tests, with Confluent's interface: ids count from 1, and a schema that a subject already has keeps its id.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use super::http::{Request, Server};

/// Serves until the test ends.
pub struct Registry {
    server: Server,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// The subject and the answer of each schema, by id from 1.
    schemas: Vec<(String, Value)>,
    /// Failures to answer with first.
    troubles: Vec<(u16, String)>,
    /// The required `authorization` header.
    authorization: Option<String>,
}

impl Registry {
    pub fn start() -> Self {
        let state: Arc<Mutex<State>> = Arc::default();
        let shared = Arc::clone(&state);
        let server = Server::answering(move |request| shared.lock().unwrap_or_else(PoisonError::into_inner).answer(request));
        Self { server, state }
    }

    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn url(&self) -> &str {
        self.server.address()
    }

    /// The requested paths, in order.
    pub fn asked(&self) -> Vec<String> {
        self.server.asked()
    }

    /// Answers the next request, whatever it is, in this way.
    pub fn trouble(&self, status: u16, body: &str) {
        self.with(|state| state.troubles.push((status, body.to_owned())));
    }

    /// Requires this header from now on.
    pub fn authorize(&self, header: &str) {
        self.with(|state| state.authorization = Some(header.to_owned()));
    }

    /// Adds a schema. Returns its id.
    pub fn add(&self, subject: &str, schema: &Value) -> u32 {
        self.add_answer(subject, json!({ "schema": schema.to_string() }))
    }

    /// Adds a schema with its whole answer. Returns its id.
    pub fn add_answer(&self, subject: &str, answer: Value) -> u32 {
        self.with(|state| {
            state.schemas.push((subject.to_owned(), answer));
            u32::try_from(state.schemas.len()).expect("a few schemas")
        })
    }

    /// The schemas of a subject, in order.
    pub fn schemas(&self, subject: &str) -> Vec<Value> {
        let text = |answer: &Value| serde_json::from_str(answer["schema"].as_str().expect("a text")).expect("JSON");
        self.with(|state| state.schemas.iter().filter(|(of, _)| of == subject).map(|(_, answer)| text(answer)).collect())
    }
}

impl State {
    fn answer(&mut self, request: &Request) -> (u16, String) {
        if !self.troubles.is_empty() {
            return self.troubles.remove(0);
        }
        if self.authorization.is_some() && self.authorization != request.authorization {
            return (401, json!({ "error_code": 401, "message": "Unauthorized" }).to_string());
        }
        let (status, answer) = self.found(request).unwrap_or_else(|| (404, json!({ "error_code": 40403, "message": "Schema not found" })));
        (status, answer.to_string())
    }

    fn found(&mut self, request: &Request) -> Option<(u16, Value)> {
        let parts: Vec<&str> = request.path.split('/').skip(1).collect();
        match (request.method.as_str(), parts.as_slice()) {
            ("GET", ["schemas", "ids", id]) => {
                let number = id.parse::<usize>().ok()?.checked_sub(1)?;
                Some((200, self.schemas.get(number)?.1.clone()))
            }
            ("GET", ["subjects", subject, "versions", version]) => {
                let number = version.parse::<usize>().ok()?.checked_sub(1)?;
                let (_, answer) = self.schemas.iter().filter(|(of, _)| of == subject).nth(number)?;
                Some((200, answer.clone()))
            }
            ("POST", ["subjects", subject]) => {
                let body: Value = serde_json::from_str(&request.body).ok()?;
                Some((200, json!({ "subject": subject, "id": self.id(subject, &body)? })))
            }
            ("POST", ["subjects", subject, "versions"]) => {
                let body: Value = serde_json::from_str(&request.body).ok()?;
                if self.id(subject, &body).is_none() {
                    self.schemas.push(((*subject).to_owned(), body.clone()));
                }
                Some((200, json!({ "id": self.id(subject, &body)? })))
            }
            _ => None,
        }
    }

    fn id(&self, subject: &str, body: &Value) -> Option<usize> {
        self.schemas.iter().position(|(of, known)| of == subject && known["schema"] == body["schema"]).map(|at| at + 1)
    }
}
