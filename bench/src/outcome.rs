//! The outcome of fallible steps of a run.

/// A value, or the error that ends the run with one line.
pub(crate) type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;
