//! Aligned windows whose key groups move to other instances: a late record finds the window that fired for its key, whichever instance
//! fired it.

use tidegate_runtime::KeyGroups;
use tidegate_runtime::stable_hash;
use tidegate_runtime::state::{Frozen, States};

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Record {
        key: u8,
        time: i64,
    },
    /// The watermark of one instance. The instances do not advance together.
    Watermark(usize, i64),
    /// A savepoint, and a restore at this parallelism.
    Rescale(usize),
}

fn key(value: &Value) -> u8 {
    value.0
}

fn owner(key: u8, instances: usize) -> usize {
    let groups = KeyGroups::default();
    groups.owner(groups.group(stable_hash(&key)), instances)
}

type Logics<A> = SliceLogic<u8, fn(&Value) -> u8, Value, A>;

struct Instance<A: Aggregate<Value>> {
    logic: Logics<A>,
    states: States,
    out: Outbox<WindowResult<u8, A::Out>, Value>,
    model: Model,
}

/// Each instance must behave like the model of its keys. On a rescale, the model's windows move with their keys.
struct Rescaled<A: Aggregate<Value>, F: Fn() -> A> {
    windows: Window,
    shape: Shape,
    lateness: i64,
    aggregate: F,
    instances: Vec<Instance<A>>,
}

impl<A: Aggregate<Value, Out = Vec<i64>>, F: Fn() -> A> Rescaled<A, F> {
    fn open(&mut self, n: usize) {
        let former: Vec<Frozen> = self.instances.iter_mut().map(|instance| instance.states.snapshot().unwrap()).collect();
        let mut panes: BTreeMap<_, Pane> = self.instances.drain(..).flat_map(|instance| instance.model.windows).collect();
        let groups = KeyGroups::default();
        for worker in 0..n {
            let Kind::Aligned(windows) = self.windows.kind() else { unreachable!() };
            let mut context = Context::default();
            let mut logic = SliceLogic::new(key as fn(&Value) -> u8, windows, self.lateness, (self.aggregate)(), &mut context).unwrap();
            context.states.alone(groups, groups.owned(worker, n), &former).unwrap();
            logic.opened().unwrap();
            let (mine, others) = panes.into_iter().partition(|((key, ..), _)| owner(*key, n) == worker);
            panes = others;
            let model = Model { shape: self.shape, lateness: self.lateness, watermark: i64::MIN, windows: mine };
            self.instances.push(Instance { logic, states: context.states, out: Outbox::default(), model });
        }
    }

    fn watermark(&mut self, which: usize, to: i64) -> Result<(), TestCaseError> {
        let Instance { logic, out, model, .. } = &mut self.instances[which];
        if to > out.watermark().0 {
            logic.watermark(Watermark(to), out).unwrap();
            out.set_watermark(Watermark(to));
            let mut expected = model.watermark(to);
            expected.sort();
            prop_assert_eq!(sorted_values(out), (expected, 0), "instance {} at {}", which, to);
        }
        Ok(())
    }

    fn run(mut self, steps: &[Step]) -> Result<(), TestCaseError> {
        self.open(4);
        for (i, step) in steps.iter().enumerate() {
            let n = self.instances.len();
            match *step {
                Step::Record { key, time } => {
                    let Instance { logic, out, model, .. } = &mut self.instances[owner(key, n)];
                    logic.record(Record::new(time, (key, i as i64)), out).unwrap();
                    let (mut expected, late) = model.record(key, time, i as i64);
                    expected.sort();
                    prop_assert_eq!(sorted_values(out), (expected, usize::from(late)), "step {}: {:?}", i, step);
                }
                Step::Watermark(which, to) => self.watermark(which % n, to)?,
                Step::Rescale(n) => self.open(n),
            }
        }
        (0..self.instances.len()).try_for_each(|which| self.watermark(which, i64::MAX))
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        24 => (0u8..12, -40i64..120).prop_map(|(key, time)| Step::Record { key, time }),
        8 => (0usize..4, -50i64..130).prop_map(|(which, to)| Step::Watermark(which, to)),
        1 => (1usize..5).prop_map(Step::Rescale),
    ];
    proptest::collection::vec(step, 0..80)
}

proptest! {
    #[test]
    fn windows_go_on_from_where_each_key_group_was(
        size in 1i64..40, every in 1i64..30, lateness in prop_oneof![Just(0), 0i64..60], steps in steps(),
    ) {
        let ms = |n: i64| Duration::from_millis(n as u64);
        let windows = Window::sliding(ms(size), ms(every), 0).unwrap();
        let shape = Shape::Aligned { size, every, offset: 0 };
        let rescaled = Rescaled { windows, shape, lateness, aggregate: || Carried(Sliding::Anew), instances: Vec::new() };
        rescaled.run(&steps)?;
        let rescaled = Rescaled { windows, shape, lateness, aggregate: || Carried(Sliding::Suffixes), instances: Vec::new() };
        rescaled.run(&steps)?;
    }
}

/// The first instance had fired a window and the last had not. With one worker after the restore, the late record of the first one's key
/// makes that window fire again, and the window of the other's key fires in full.
#[test]
fn the_value_of_one_former_instance_does_not_stand_for_the_others() {
    let (first, last) = ((0..).find(|key| owner(*key, 4) == 0).unwrap(), (0..).find(|key| owner(*key, 4) == 3).unwrap());
    for ahead in [0, 3] {
        let windows = Window::tumbling(Duration::from_millis(10), 0).unwrap();
        let shape = Shape::Aligned { size: 10, every: 10, offset: 0 };
        let rescaled = Rescaled { windows, shape, lateness: 100, aggregate: || Carried(Sliding::Anew), instances: Vec::new() };
        let record = |key, time| Step::Record { key, time };
        let steps = [
            record(first, 3),
            record(last, 3),
            Step::Watermark(ahead, 20),
            Step::Rescale(1),
            record(first, 4),
            record(last, 4),
            Step::Watermark(0, 5),
            Step::Rescale(3),
            Step::Rescale(2),
            record(first, 5),
            Step::Watermark(0, 30),
            Step::Watermark(1, 30),
            record(last, 6),
        ];
        rescaled.run(&steps).unwrap();
    }
}

/// A slice comes from an instance that had already fired its first window, and then receives a record of another instance's key.
#[test]
fn a_slice_of_one_former_instance_has_windows_that_are_due_for_another() {
    let (first, last) = ((0..).find(|key| owner(*key, 4) == 0).unwrap(), (0..).find(|key| owner(*key, 4) == 3).unwrap());
    let windows = Window::sliding(Duration::from_millis(20), Duration::from_millis(10), 0).unwrap();
    let shape = Shape::Aligned { size: 20, every: 10, offset: 0 };
    let rescaled = Rescaled { windows, shape, lateness: 0, aggregate: || Carried(Sliding::Anew), instances: Vec::new() };
    let record = |key, time| Step::Record { key, time };
    let steps =
        [record(first, 3), Step::Watermark(0, 12), Step::Rescale(1), record(last, 4), Step::Watermark(0, 9), Step::Watermark(0, 19)];
    rescaled.run(&steps).unwrap();
}
