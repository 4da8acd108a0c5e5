//! Requests for savepoints. Each is answered exactly once.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;
use std::sync::mpsc::Sender;

use tidegate_checkpoints::Epoch;

use super::lock;

/// The outcome of a requested savepoint: its place, or why there is none.
pub type SavepointResult = Result<String, String>;

/// A request for a savepoint.
pub(super) struct Request {
    pub(super) to: String,
    pub(super) answer: Sender<SavepointResult>,
}

impl Request {
    /// Refuses the request. Whoever asked may have gone.
    pub(super) fn refuse(self, why: &str) {
        let _ = self.answer.send(Err(why.to_owned()));
    }
}

#[derive(Default)]
pub(super) struct Requests(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    waiting: VecDeque<Request>,
    begun: BTreeMap<Epoch, Sender<SavepointResult>>,
    at_stop: Option<Request>,
    closed: bool,
}

/// The answer to requests that the job did not live to complete.
const ENDED: &str = "the job ended before";

impl Requests {
    pub(super) fn ask(&self, request: Request) {
        let mut inner = lock(&self.0);
        if inner.closed {
            request.refuse(ENDED);
        } else {
            inner.waiting.push_back(request);
        }
    }

    /// Keeps the request for the stop. If the job is over or another request already waits for the stop, refuses it and returns false.
    pub(super) fn ask_at_stop(&self, request: Request) -> bool {
        let mut inner = lock(&self.0);
        match (inner.closed, &inner.at_stop) {
            (true, _) => request.refuse(ENDED),
            (false, Some(_)) => request.refuse("the job is stopping already"),
            (false, None) => {
                inner.at_stop = Some(request);
                return true;
            }
        }
        false
    }

    /// Takes the request for the savepoint at the stop, if there is one.
    pub(super) fn at_stop(&self) -> Option<Request> {
        lock(&self.0).at_stop.take()
    }

    /// Takes the request whose turn it is.
    pub(super) fn next(&self) -> Option<Request> {
        lock(&self.0).waiting.pop_front()
    }

    /// Records that the savepoint is taken at the end of this epoch.
    pub(super) fn begun(&self, epoch: Epoch, answer: Sender<SavepointResult>) {
        lock(&self.0).begun.insert(epoch, answer);
    }

    /// Answers the request for the savepoint of this epoch, if there is one.
    pub(super) fn answer(&self, epoch: Epoch, result: SavepointResult) {
        if let Some(answer) = lock(&self.0).begun.remove(&epoch) {
            let _ = answer.send(result);
        }
    }

    /// Answers all open requests: the job is over.
    pub(super) fn close(&self) {
        let mut inner = lock(&self.0);
        inner.closed = true;
        let at_stop = inner.at_stop.take();
        inner.waiting.drain(..).chain(at_stop).for_each(|request| request.refuse(ENDED));
        for answer in std::mem::take(&mut inner.begun).into_values() {
            let _ = answer.send(Err(ENDED.to_owned()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};

    use super::*;

    fn asked(requests: &Requests) -> Receiver<SavepointResult> {
        let (answer, result) = channel();
        requests.ask(Request { to: "there".to_owned(), answer });
        result
    }

    #[test]
    fn whoever_asks_is_answered_also_when_the_job_is_over() {
        let requests = Requests::default();
        let [done, begun, waiting] = [(); 3].map(|()| asked(&requests));
        requests.begun(Epoch(1), requests.next().unwrap().answer);
        requests.answer(Epoch(1), Ok("there".to_owned()));
        requests.begun(Epoch(2), requests.next().unwrap().answer);
        requests.close();
        let late = asked(&requests);
        assert_eq!(done.recv().unwrap(), Ok("there".to_owned()));
        for result in [begun, waiting, late] {
            assert_eq!(result.recv().unwrap(), Err(ENDED.to_owned()));
        }
    }

    #[test]
    fn one_savepoint_waits_for_the_stop_and_is_answered_if_there_is_none() {
        let requests = Requests::default();
        let ask = || {
            let (answer, result) = channel();
            (requests.ask_at_stop(Request { to: "there".to_owned(), answer }), result)
        };
        let ((first, waiting), (second, refused)) = (ask(), ask());
        assert_eq!((first, second), (true, false));
        assert!(refused.recv().unwrap().unwrap_err().contains("stopping already"));
        requests.close();
        let (late, too_late) = ask();
        assert!(!late);
        for result in [waiting, too_late] {
            assert_eq!(result.recv().unwrap(), Err(ENDED.to_owned()));
        }
    }
}
