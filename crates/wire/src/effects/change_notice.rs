//! The notice that a dataset has a new count, for devices and live channels (`docs/protocol.md` section
//! 13.3).

use serde::{Deserialize, Serialize};

/// The value of `source`.
pub const SOURCE: &str = "cognito-sync";

/// The notice. The Android manager reads all five members, each as text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChangeNotice {
    /// [`SOURCE`].
    pub source: String,
    /// The pool's id.
    pub identity_pool_id: String,
    /// The id of the identity that owns the dataset.
    pub identity_id: String,
    /// The dataset's name.
    pub dataset_name: String,
    /// The dataset's present count, in decimal digits.
    pub sync_count: String,
}

impl ChangeNotice {
    /// The notice of a dataset's count.
    pub fn new(identity_pool_id: &str, identity_id: &str, dataset_name: &str, sync_count: u64) -> Self {
        Self {
            source: SOURCE.to_owned(),
            identity_pool_id: identity_pool_id.to_owned(),
            identity_id: identity_id.to_owned(),
            dataset_name: dataset_name.to_owned(),
            sync_count: sync_count.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_five_members_are_text() {
        let notice = serde_json::to_value(ChangeNotice::new("p", "i", "d", 7)).expect("JSON");
        let expected = serde_json::json!({
            "source": "cognito-sync", "identityPoolId": "p", "identityId": "i", "datasetName": "d", "syncCount": "7"
        });
        assert_eq!(notice, expected);
    }
}
