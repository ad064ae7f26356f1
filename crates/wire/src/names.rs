//! The pool, identity and dataset that a request is about.

/// The names of the data that a request is about, as received: possibly absent, and unparsed.
///
/// Inputs implement this trait from their row in [`operations!`](crate::operations). A name that an input
/// does not have is `None`.
pub trait Names {
    /// The pool's id.
    fn pool(&self) -> Option<&str> {
        None
    }

    /// The identity's id.
    fn identity(&self) -> Option<&str> {
        None
    }

    /// The dataset's name.
    fn dataset(&self) -> Option<&str> {
        None
    }
}
