//! The broker of this test binary.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

/// A running broker.
pub struct Broker {
    /// PLAINTEXT.
    pub plain: String,
    /// SASL_PLAINTEXT with PLAIN.
    pub sasl: String,
    /// SASL_SSL with SCRAM-SHA-256.
    pub tls: String,
    /// The certificate to trust for `tls`.
    pub ca: String,
    /// The jars of Kafka.
    libs: String,
    /// It ends when the pipe to its standard input does: with this process.
    _process: Child,
}

/// The broker, unless this machine can't run one.
pub fn broker() -> Option<&'static Broker> {
    static BROKER: OnceLock<Option<Broker>> = OnceLock::new();
    let broker = BROKER.get_or_init(|| match start() {
        Ok(broker) => Some(broker),
        Err(why) if std::env::var_os("CI").is_some_and(|ci| ci == "true") => panic!("no Kafka broker for the tests: {why}"),
        Err(why) => {
            // Not by a macro: what those print, a test that passes keeps to itself.
            let _ = writeln!(std::io::stderr(), "NOT TESTED: no Kafka broker for the tests: {why}");
            None
        }
    });
    broker.as_ref()
}

fn start() -> Result<Broker, String> {
    let mut process = Command::new("tests/kafka/broker.sh")
        .arg("--until-eof")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| format!("tests/kafka/broker.sh does not start: {e}"))?;
    let lines = BufReader::new(process.stdout.take().expect("a pipe")).lines();
    let said: Vec<String> = lines.map_while(Result::ok).take_while(|line| line != "ready").collect();
    let value = |name: &str| {
        let found = said.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        found.map(str::to_owned).ok_or_else(|| "tests/kafka/broker.sh did not start it; what is missing stands above".to_owned())
    };
    let (plain, sasl, tls) = (value("plain")?, value("sasl")?, value("tls")?);
    let (ca, libs) = (value("ca")?, value("libs")?);
    Ok(Broker { plain, sasl, tls, ca, libs, _process: process })
}

impl Broker {
    /// One of Kafka's own tools.
    pub fn tool(&self, class: &str) -> Command {
        let mut command = Command::new("java");
        command.args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", &format!("{}/*", self.libs), class]);
        command.args(["--bootstrap-server", &self.plain]);
        command
    }
}
