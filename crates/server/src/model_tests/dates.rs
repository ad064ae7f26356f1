//! A clock that is set back between the deletion of a dataset and its next life. The reference model says that no date
//! of the name is earlier than one before.

use super::installation::Home;
use super::operation::{By, CountChoice, OpChoice, Operation, Patch, TokenChoice, Where};
use super::world::World;

const SET_BACK: Operation = Operation::SetBack { seconds: 1800 };

/// A dataset of the first identity.
fn at(dataset: usize) -> Where {
    Where { pool: 0, identity: 0, dataset }
}

fn update(dataset: usize) -> Operation {
    let patch =
        Patch { key: 0, op: OpChoice::Replace, value: Some(1), count: CountChoice::Zero, device_date: None };
    let (at, session) = (at(dataset), TokenChoice::Fresh);
    Operation::Update { by: By::Owner, at, device: None, session, patches: Some(vec![patch]) }
}

fn delete(dataset: usize) -> Operation {
    Operation::DeleteDataset { by: By::Owner, at: at(dataset) }
}

/// Takes the steps on every store, and compares everything after each of them.
async fn take(operations: &[Operation]) {
    for home in [Home::memory(), Home::embedded()] {
        let mut world = World::new(home, false).await.unwrap();
        for operation in operations {
            world.step(operation).await.unwrap();
            world.look_at_everything().await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_dataset_recreated_under_an_earlier_clock_is_dated_no_earlier_than_its_deletion() {
    let restart = Operation::Restart { limits: 0 };
    take(&[update(0), Operation::Pass { seconds: 60 }, delete(0), SET_BACK, restart, update(0)]).await;
}

#[tokio::test]
async fn a_dataset_whose_marker_was_dropped_is_dated_no_earlier_than_the_floor() {
    // The floor gets the date of a marker that was put before the clock is set back.
    let fill = Operation::DeletedLongAgo { at: at(0), less: 0 };
    let restart = Operation::Restart { limits: 0 };
    take(&[update(0), fill, SET_BACK, delete(0), restart, update(1)]).await;
}

#[tokio::test]
async fn a_dataset_of_a_deleted_identity_is_dated_no_earlier_than_the_identitys_deletion() {
    let delete_identity = Operation::DeleteIdentity { at: at(0) };
    take(&[update(0), Operation::Pass { seconds: 60 }, delete_identity, SET_BACK, update(0)]).await;
}
