//! Pages that are larger than any random run makes them.

use carryall_core::changes::{Changes, Write};
use carryall_core::ids::{DatasetName, Generation, IdentityId, SyncCount};
use carryall_core::limits::Limits;
use carryall_core::model::{DatasetRef, Head, IdentityRef, Life, UsedSessions, Writer};
use carryall_core::time::UnixMillis;
use carryall_wire::ops::sync;

use super::installation::{Home, app, call, create_pool, developer, master_key, settings};

const NOW: UnixMillis = UnixMillis(1_700_000_000_000);
const POOL: &str = "us-east-1:0";
const IDENTITY: &str = "us-east-1:1";

#[tokio::test]
async fn a_page_of_datasets_holds_1024_when_more_are_asked_for_and_all_when_no_size_is() {
    let app = app(Home::memory().open(), &master_key(), settings(&Limits::default(), false)).await;
    let (pool, _) = create_pool(&app, POOL).await.unwrap();
    let owner = IdentityRef { pool, identity: IdentityId::parse(IDENTITY).unwrap() };
    let head = Head {
        generation: Generation(0),
        sync_count: SyncCount(1),
        deleted_at: SyncCount::ZERO,
        deleted_on: UnixMillis(0),
        used_sessions: UsedSessions::default(),
        life: Some(Life {
            created: NOW,
            modified: NOW,
            modified_by: Writer::from("device"),
            records: 0,
            tombstones: 0,
            tombstone_key_bytes: Some(0),
            tombstones_forgotten_through: SyncCount::ZERO,
            data_bytes: 0,
        }),
    };
    let write = (0..1025).map(|number| {
        let name = DatasetName::parse(&format!("d{number}")).unwrap();
        Write::PutHead(DatasetRef { owner: owner.clone(), name }, head.clone())
    });
    let changes = Changes { expect: Vec::new(), write: write.collect() };
    assert!(app.state.commit(changes).await.unwrap().is_done());
    for (max_results, count) in [(None, 1025), (Some(1024), 1024), (Some(5000), 1024)] {
        let input = sync::list_datasets::Input {
            identity_pool_id: Some(POOL.to_owned()),
            identity_id: Some(IDENTITY.to_owned()),
            next_token: None,
            max_results,
        };
        let told = call::<sync::ListDatasets>(&app, Some(developer()), NOW, input).await.unwrap();
        assert_eq!(told.count, count);
        assert_eq!(told.next_token.is_some(), count < 1025);
    }
}
