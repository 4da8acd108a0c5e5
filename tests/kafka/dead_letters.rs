//! What can't be understood goes to a topic of its own.

use serde_json::{Value, json};

use crate::broker::broker;
use crate::harness::{Dir, sorted};
use crate::topic::Topic;

#[test]
fn bad_messages_go_to_a_topic_with_the_place_they_came_from() {
    let Some(broker) = broker() else { return };
    let (topic, good, dead) = (Topic::new(broker, 3), Topic::new(broker, 1), Topic::new(broker, 1));
    // Every seventh is no JSON, every eleventh of the wrong type.
    let value = |n: i32| match n {
        n if n % 7 == 0 => format!("poison {n}"),
        n if n % 11 == 0 => format!("{{\"n\":\"{n}\"}}"),
        n => format!("{{\"n\":{n}}}"),
    };
    topic.fill((0..300).map(|n| (n % 3, "k", value(n), 0)));
    let job = format!(
        "name: t
sources: {{ in: {{ connector: kafka, brokers: '{0}', topic: {1}, stop: latest, schema: {{ n: int }}, dead_letter: unreadable }} }}
sinks:
  out: {{ from: in, connector: kafka, brokers: '{0}', topic: {2} }}
  rest: {{ from: unreadable, connector: kafka, brokers: '{0}', topic: {3}, key: '{{source}}' }}
",
        broker.plain, topic.name, good.name, dead.name
    );
    let outcome = Dir::new().job(&job).args(["-p", "2"]).run().exits(0);
    let read = |topic: &Topic| sorted(topic.values().iter().map(|v| serde_json::from_str(v).expect("JSON")).collect());
    let mut expected: (Vec<Value>, Vec<Value>) = Default::default();
    for n in 0..300 {
        let error = match n {
            n if n % 7 == 0 => "the line is not a JSON object".to_owned(),
            n if n % 11 == 0 => format!("field `n`: \"{n}\" is not an int"),
            n => {
                expected.0.push(json!({ "n": n }));
                continue;
            }
        };
        let place = format!("{}/{}", topic.name, n % 3);
        expected.1.push(json!({ "source": place, "line": n / 3, "text": value(n), "error": error }));
    }
    assert_eq!(outcome.account()["in"].part("bad"), expected.1.len() as u64);
    assert_eq!(read(&good), sorted(expected.0));
    assert_eq!(read(&dead), sorted(expected.1));
}
