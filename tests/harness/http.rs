//! A server of HTTP/1.1 that answers GET as a closure says.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// Answers until the test ends.
pub struct Server {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// `answer` gives the status and the body for a path.
    pub fn start(answer: impl Fn(&str) -> (u16, String) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (answer, log) = (Arc::new(answer), Arc::clone(&asked));
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let (answer, log) = (Arc::clone(&answer), Arc::clone(&log));
                // The client may go away at any time: some are killed.
                thread::spawn(move || _ = serve(&connection, &*answer, &log));
            }
        });
        Self { address, asked }
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    /// The paths that were asked for, in order.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Answers what is asked on one connection.
fn serve(mut connection: &TcpStream, answer: &dyn Fn(&str) -> (u16, String), log: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut lines = BufReader::new(connection).lines();
    while let Some(request) = lines.next() {
        let request = request?;
        let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
        while lines.next().transpose()?.is_some_and(|header| !header.is_empty()) {}
        log.lock().unwrap_or_else(PoisonError::into_inner).push(path.clone());
        let (status, body) = answer(&path);
        let length = body.len();
        connection.write_all(
            format!("HTTP/1.1 {status} -\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}").as_bytes(),
        )?;
    }
    Ok(())
}
