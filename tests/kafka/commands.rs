//! `tidegate topic`.

use crate::broker::broker;
use crate::harness::Dir;
use crate::topic::Topic;

#[test]
fn a_file_is_loaded_and_printed_again() {
    let Some(broker) = broker() else { return };
    let topic = Topic::new(broker, 1);
    let dir = Dir::new();
    let text = "first\n\nüñí\n{\"n\":1}\nlast\n";
    dir.file("lines.txt", text);
    let at = ["--brokers", broker.plain.as_str(), "--topic", topic.name.as_str()];
    dir.tidegate(["topic", "load"]).args(at).args(["lines.txt"]).run().exits(0).stdout_is("");
    assert_eq!(topic.values(), text.lines().collect::<Vec<_>>());
    let tail = |args: &[&str]| dir.tidegate(["topic", "tail"]).args(at).args(args).run().exits(0).stdout;
    assert_eq!(tail(&["--from", "earliest", "--until", "latest"]), text);
    assert_eq!(tail(&["--from", "{0: 3}", "--until", "{0: 4}"]), "{\"n\":1}\n");
    assert_eq!(tail(&["--until", "latest"]), "");
    // And as they come.
    let mut running = dir.tidegate(["topic", "tail", "--from", "earliest"]).args(at).start();
    running.until("all lines", |out| out.ends_with("last\n"));
    dir.tidegate(["topic", "load"]).args(at).args(["lines.txt"]).run().exits(0);
    running.until("all lines again", |out| out.matches("last\n").count() == 2);
    running.signal("TERM");
    running.wait().exits(0).stdout_is(&text.repeat(2));
}

#[test]
fn what_is_wrong_with_the_arguments_is_said() {
    let dir = Dir::new();
    let tail =
        |args: &[&str]| dir.tidegate(["topic", "tail", "--brokers", "localhost:1", "--topic", "t"]).args(args).run().exits(2).stdout_is("");
    tail(&["--from", "yesterday"]).stderr_has("`yesterday`").stderr_has("2026-11-01T00:00:00Z");
    tail(&["-X", "no.such=1"]).stderr_has("No such configuration property");
    tail(&["-X", "group.id=1"]).stderr_has("use `group`");
    tail(&["-X", "novalue"]).stderr_has("there is no `=`");
}
