//! The dataflow runtime: time, progress, sources, the keyed-operator harness, workers and their failure.
