//! The pool, identity and dataset that a request is about.

/// The names in a request of the data that it is about, as the request wrote them: present or not, unparsed.
///
/// Inputs implement it as their row of [`operations!`](crate::operations) says; a name that an input does not have
/// is `None`.
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
