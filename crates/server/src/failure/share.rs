//! The shares of a resource that its limits leave to one holder each.

use crate::metrics::ServerLimit;

/// The holder of a share of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// An identity.
    Identity,
    /// A developer key.
    Key,
    /// A source address.
    Source,
    /// A dataset.
    Dataset,
}

/// The text for a used-up share, which says whose it is.
pub(super) fn text(limit: ServerLimit, holder: Holder) -> String {
    let who = match holder {
        Holder::Identity => "this identity",
        Holder::Key => "this developer key",
        Holder::Source => "this source address",
        Holder::Dataset => "this dataset",
    };
    if limit == ServerLimit::LiveSubscribers {
        return format!(
            "Rate exceeded: {who} has as many live channels as it may have; close one or try again later."
        );
    }
    format!("Rate exceeded: {who} has as many requests in progress as it may have; try again.")
}
