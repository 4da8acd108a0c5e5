//! The broker of this test binary.

use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
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
    process: Child,
    said: Lines<BufReader<ChildStdout>>,
}

/// The broker, unless this machine can't run one.
pub fn broker() -> Option<&'static Broker> {
    static BROKER: OnceLock<Option<Broker>> = OnceLock::new();
    BROKER.get_or_init(own_broker).as_ref()
}

/// A broker for one test, which may treat it badly.
pub fn own_broker() -> Option<Broker> {
    match start() {
        Ok(broker) => Some(broker),
        Err(why) if std::env::var_os("CI").is_some_and(|ci| ci == "true") => panic!("no Kafka broker for the tests: {why}"),
        Err(why) => {
            // Not by a macro: what those print, a test that passes keeps to itself.
            let _ = writeln!(std::io::stderr(), "NOT TESTED: no Kafka broker for the tests: {why}");
            None
        }
    }
}

fn start() -> Result<Broker, String> {
    let mut process = Command::new("tests/kafka/broker.sh")
        .arg("--until-eof")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| format!("tests/kafka/broker.sh does not start: {e}"))?;
    let mut lines = BufReader::new(process.stdout.take().expect("a pipe")).lines();
    let said: Vec<String> = lines.by_ref().map_while(Result::ok).take_while(|line| line != "ready").collect();
    let value = |name: &str| {
        let found = said.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        found.map(str::to_owned).ok_or_else(|| "tests/kafka/broker.sh did not start it; what is missing stands above".to_owned())
    };
    let (plain, sasl, tls) = (value("plain")?, value("sasl")?, value("tls")?);
    let (ca, libs) = (value("ca")?, value("libs")?);
    Ok(Broker { plain, sasl, tls, ca, libs, process, said: lines })
}

impl Broker {
    /// Kills it and starts it again, with all that it had stored.
    pub fn restart(&mut self) {
        writeln!(self.process.stdin.as_mut().expect("a pipe"), "restart").expect("it listens");
        let ready = self.said.next().expect("it says when it is there").expect("text");
        assert_eq!(ready, "ready");
    }

    /// One of Kafka's own tools.
    pub fn tool(&self, class: &str) -> Command {
        let mut command = Command::new("java");
        command.args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", &format!("{}/*", self.libs), class]);
        command.args(["--bootstrap-server", &self.plain]);
        command
    }
}
