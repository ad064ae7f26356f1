//! Limits on the work that the server takes on at a time.

pub mod new_identities;
pub mod places;
