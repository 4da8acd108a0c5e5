//! The typed DataStream API.
