//! Tasks, as Flink has them: operators that hand each record on within their worker, and on how many workers they have something to do.

use tidegate::runtime::{Graph, Node, NodeId, Role, Route};

/// Operators between two exchanges.
#[derive(Debug, PartialEq, Eq)]
pub struct Task {
    /// In the order in which a record passes them.
    pub operators: Vec<NodeId>,
    /// How many workers have a share of it.
    pub subtasks: usize,
}

/// The tasks of a job on so many workers, in the order of their first operators.
pub fn tasks(graph: &Graph, workers: usize) -> Vec<Task> {
    let mut tasks: Vec<Task> = Vec::new();
    for (id, node) in graph.nodes().iter().enumerate().map(|(id, node)| (NodeId(id), node)) {
        match chained_to(node).and_then(|before| tasks.iter_mut().find(|task| task.operators.contains(&before))) {
            Some(task) => task.operators.push(id),
            None => tasks.push(Task { operators: vec![id], subtasks: subtasks(node, workers) }),
        }
    }
    tasks
}

/// The operator that hands its records to this one alone, on the same worker. A union is the head of a task.
fn chained_to(node: &Node) -> Option<NodeId> {
    match node.inputs.as_slice() {
        [one] if one.route == Route::Local => Some(one.from),
        _ => None,
    }
}

fn subtasks(node: &Node, workers: usize) -> usize {
    if node.inputs.iter().any(|input| input.route == Route::ToOne) {
        return 1;
    }
    let asked = node.parallelism.filter(|_| node.role == Role::Keyed);
    asked.map_or(workers, |asked| asked.get().min(workers))
}
