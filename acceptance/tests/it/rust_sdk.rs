//! The SDK for Rust: typed inputs, typed answers and typed errors of both services.

use aws_credential_types::Credentials;
use aws_sdk_cognitoidentity::config::http::HttpResponse;
use aws_sdk_cognitosync::config::{BehaviorVersion, Region, retry::RetryConfig};
use aws_sdk_cognitosync::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_cognitosync::types::{Operation, RecordPatch};
use aws_sdk_cognitosync::{Client, operation::update_records::UpdateRecordsError};
use aws_smithy_http_client::Builder;
use carryall_acceptance::{Caller, Effects, Server};

use crate::on_every_store;

on_every_store!(
    a_device_in_rust_synchronizes,
    errors_of_sync_arrive_as_their_types,
    errors_of_identity_arrive_as_their_types,
);

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

fn sync_client(server: &Server, caller: &Caller) -> Client {
    let configuration = aws_sdk_cognitosync::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(server.endpoint())
        .retry_config(RetryConfig::disabled())
        .http_client(Builder::new().build_http())
        .credentials_provider(credentials(caller))
        .build();
    Client::from_conf(configuration)
}

fn credentials(caller: &Caller) -> Credentials {
    let token = caller.session_token.clone();
    Credentials::new(&caller.access_key_id, &caller.secret_access_key, token, None, "acceptance")
}

fn identity_client(server: &Server, caller: Option<&Caller>) -> aws_sdk_cognitoidentity::Client {
    let mut configuration = aws_sdk_cognitoidentity::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(server.endpoint())
        .retry_config(RetryConfig::disabled())
        .http_client(Builder::new().build_http());
    configuration.set_credentials_provider(
        caller.map(|caller| {
            aws_credential_types::provider::SharedCredentialsProvider::new(credentials(caller))
        }),
    );
    aws_sdk_cognitoidentity::Client::from_conf(configuration.build())
}

struct User {
    pool: String,
    identity: String,
    sync: Client,
}

/// A guest created through the SDK.
async fn new_user(server: &Server) -> User {
    let root = identity_client(server, Some(&server.root()));
    let created =
        root.create_identity_pool().identity_pool_name("rust").allow_unauthenticated_identities(true).send();
    let pool = created.await.unwrap().identity_pool_id;
    Effects::lay_over(server, &pool);
    let guest = identity_client(server, None);
    let identity = guest.get_id().identity_pool_id(&pool).send().await.unwrap().identity_id.unwrap();
    let answer = guest.get_credentials_for_identity().identity_id(&identity).send().await.unwrap();
    let keys = answer.credentials.unwrap();
    let caller = Caller {
        access_key_id: keys.access_key_id.unwrap(),
        secret_access_key: keys.secret_key.unwrap(),
        session_token: keys.session_token,
    };
    User { pool, identity, sync: sync_client(server, &caller) }
}

fn replace(key: &str, value: &str, count: i64) -> RecordPatch {
    RecordPatch::builder().op(Operation::Replace).key(key).value(value).sync_count(count).build().unwrap()
}

async fn update(
    user: &User,
    patches: Vec<RecordPatch>,
) -> Result<Vec<i64>, SdkError<UpdateRecordsError, HttpResponse>> {
    let listing = user
        .sync
        .list_records()
        .identity_pool_id(&user.pool)
        .identity_id(&user.identity)
        .dataset_name("prefs")
        .send()
        .await
        .unwrap();
    let answer = user
        .sync
        .update_records()
        .identity_pool_id(&user.pool)
        .identity_id(&user.identity)
        .dataset_name("prefs")
        .sync_session_token(listing.sync_session_token.unwrap())
        .set_record_patches(Some(patches))
        .send()
        .await?;
    Ok(answer.records().iter().map(|record| record.sync_count.unwrap_or_default()).collect())
}

fn a_device_in_rust_synchronizes(server: &mut Server) {
    run(async {
        let user = new_user(server).await;
        for number in 0..3 {
            let counts = update(&user, vec![replace(&format!("key-{number}"), "v", 0)]).await.unwrap();
            assert_eq!(counts, [number + 1]);
        }
        let delta = user
            .sync
            .list_records()
            .identity_pool_id(&user.pool)
            .identity_id(&user.identity)
            .dataset_name("prefs")
            .last_sync_count(1)
            .send()
            .await
            .unwrap();
        let keys: Vec<&str> = delta.records().iter().filter_map(|record| record.key.as_deref()).collect();
        assert_eq!(keys, ["key-1", "key-2"]);
        assert_eq!(delta.dataset_sync_count, Some(3));
        assert!(delta.dataset_exists);
        assert!(!delta.dataset_deleted_after_requested_sync_count);
        assert!(delta.records()[0].last_modified_date.is_some());
        let deleted = user
            .sync
            .delete_dataset()
            .identity_pool_id(&user.pool)
            .identity_id(&user.identity)
            .dataset_name("prefs")
            .send()
            .await
            .unwrap();
        assert_eq!(deleted.dataset.unwrap().num_records, Some(3));
    });
}

fn errors_of_sync_arrive_as_their_types(server: &mut Server) {
    run(async {
        let user = new_user(server).await;
        update(&user, vec![replace("theme", "dark", 0)]).await.unwrap();
        let stale = update(&user, vec![replace("theme", "light", 0)]).await.unwrap_err();
        assert_eq!(stale.message(), Some("Current SyncCount for: theme is: 1 not: 0"));
        assert!(stale.as_service_error().unwrap().is_resource_conflict_exception(), "{stale:?}");

        let many = (0..1025).map(|number| replace(&format!("k{number}"), "v", 0)).collect();
        let over = update(&user, many).await.unwrap_err();
        assert!(over.as_service_error().unwrap().is_limit_exceeded_exception(), "{over:?}");

        let missing = user
            .sync
            .describe_dataset()
            .identity_pool_id(&user.pool)
            .identity_id(&user.identity)
            .dataset_name("none")
            .send()
            .await
            .unwrap_err();
        assert!(missing.as_service_error().unwrap().is_resource_not_found_exception(), "{missing:?}");

        let forbidden = user.sync.list_identity_pool_usage().send().await.unwrap_err();
        assert!(forbidden.as_service_error().unwrap().is_not_authorized_exception(), "{forbidden:?}");

        let bad = user
            .sync
            .list_records()
            .identity_pool_id(&user.pool)
            .identity_id(&user.identity)
            .dataset_name("prefs")
            .last_sync_count(9)
            .send()
            .await
            .unwrap_err();
        assert!(bad.as_service_error().unwrap().is_invalid_parameter_exception(), "{bad:?}");

        let stranger = sync_client(server, &Caller::developer("AKIAUNKNOWNUNKNOWN00", "secret"));
        let unknown = stranger.list_identity_pool_usage().send().await.unwrap_err();
        assert_eq!(unknown.code(), Some("UnrecognizedClientException"));

        let details = sync_client(server, &server.root());
        let details = details.get_bulk_publish_details().identity_pool_id(&user.pool).send().await.unwrap();
        assert_eq!(details.bulk_publish_status.unwrap().as_str(), "NOT_STARTED");
    });
}

fn errors_of_identity_arrive_as_their_types(server: &mut Server) {
    run(async {
        let nobody = "us-east-1:00000000-0000-4000-8000-000000000000";
        let guest = identity_client(server, None);
        let missing = guest.get_id().identity_pool_id(nobody).send().await.unwrap_err();
        assert!(missing.as_service_error().unwrap().is_resource_not_found_exception(), "{missing:?}");
        let missing = guest.get_credentials_for_identity().identity_id(nobody).send().await.unwrap_err();
        assert!(missing.as_service_error().unwrap().is_resource_not_found_exception(), "{missing:?}");
    });
}

#[test]
fn a_device_in_rust_sees_no_difference_in_pools_with_a_trigger_a_stream_and_push() {
    let mut server = Effects::shared().start_server();
    a_device_in_rust_synchronizes(&mut server);
    errors_of_sync_arrive_as_their_types(&mut server);
}
