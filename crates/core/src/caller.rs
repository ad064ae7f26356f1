//! The caller of a request, and the writer to whom its changes are attributed.

use crate::ids::{AccessKeyId, DeviceId, IdentityEpoch};
use crate::model::{IdentityRef, Writer};

/// The caller of a request, once the signature has been verified.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Caller {
    /// A developer, with a key of the account.
    Developer {
        /// The access key id of the signature.
        key: AccessKeyId,
    },
    /// An identity, with temporary credentials.
    Identity {
        /// The identity's pool and id.
        at: IdentityRef,
        /// The epoch in which its credentials were issued.
        epoch: IdentityEpoch,
    },
}

/// The writer to whom a change is attributed: the device if the client names one, else the identity, else the
/// account (`docs/protocol.md` section 7.5).
pub fn writer(caller: &Caller, device: Option<&DeviceId>, account_id: &str) -> Writer {
    match (device, caller) {
        (Some(device), Caller::Developer { .. } | Caller::Identity { .. }) => Writer::from(device.as_str()),
        (None, Caller::Identity { at, .. }) => Writer::from(at.identity.as_str()),
        (None, Caller::Developer { .. }) => Writer::from(account_id),
    }
}
