//! An HTTP/1.1 server that answers by a closure.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// Serves until the test ends.
pub struct Server {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

/// A received request.
pub struct Request {
    pub method: String,
    pub path: String,
    /// The header `authorization`.
    pub authorization: Option<String>,
    pub body: String,
}

impl Server {
    /// Starts a server. `answer` returns the status and the body for a path.
    pub fn start(answer: impl Fn(&str) -> (u16, String) + Send + Sync + 'static) -> Self {
        Self::answering(move |request| answer(&request.path))
    }

    /// Starts a server. `answer` returns the status and the body for a request.
    pub fn answering(answer: impl Fn(&Request) -> (u16, String) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (answer, log) = (Arc::new(answer), Arc::clone(&asked));
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let (answer, log) = (Arc::clone(&answer), Arc::clone(&log));
                // The client may disappear at any time: some tests kill it.
                thread::spawn(move || _ = serve(&connection, &*answer, &log));
            }
        });
        Self { address, asked }
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    /// The requested paths, in order.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Answers the requests of one connection.
fn serve(mut connection: &TcpStream, answer: &dyn Fn(&Request) -> (u16, String), log: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut input = BufReader::new(connection);
    let mut line = String::new();
    while input.read_line(&mut line)? > 0 {
        let mut words = line.split(' ').map(str::to_owned);
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let mut request = Request { method, path, authorization: None, body: String::new() };
        let mut length = 0;
        loop {
            line.clear();
            if input.read_line(&mut line)? == 0 || line.trim_end().is_empty() {
                break;
            }
            let (name, value) = line.trim_end().split_once(':').unwrap_or_default();
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.trim().parse().unwrap_or(0),
                "authorization" => request.authorization = Some(value.trim().to_owned()),
                _ => {}
            }
        }
        input.by_ref().take(length).read_to_string(&mut request.body)?;
        log.lock().unwrap_or_else(PoisonError::into_inner).push(request.path.clone());
        let (status, body) = answer(&request);
        let length = body.len();
        connection.write_all(
            format!("HTTP/1.1 {status} -\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}").as_bytes(),
        )?;
        line.clear();
    }
    Ok(())
}
