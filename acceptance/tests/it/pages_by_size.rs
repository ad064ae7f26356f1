//! Listings whose JSON would exceed one page end earlier, and their pages together have everything.

use std::collections::BTreeSet;

use carryall_acceptance::api::{encoded, succeeded, text};
use carryall_acceptance::{Api, Guest, Server, Store};
use serde_json::{Value, json};

const PAGE_BYTES_MAX: usize = 65_536;
const SMALL_PAGES: &str = "[limits]\npage_bytes_max = 65536\n";
const RECORDS: usize = 60;
const TOMBSTONES: usize = 300;

/// Fills a dataset with records, with tombstones of long keys, and with one record that alone exceeds a page.
fn fill(api: Api, guest: &Guest) -> BTreeSet<String> {
    let patches = |op: &'static str, count: usize, value: Option<String>| -> Vec<Value> {
        let patch = |number: usize| {
            let key = format!("{op}-{number:04}-{}", "k".repeat(900));
            let mut patch = json!({ "Op": op, "Key": key, "SyncCount": 0 });
            if let Some(value) = &value {
                patch["Value"] = json!(value);
            }
            patch
        };
        (0..count).map(patch).collect()
    };
    let mut keys = BTreeSet::from(["huge".to_owned()]);
    let written = [patches("replace", RECORDS, Some("v".repeat(9_000))), patches("remove", TOMBSTONES, None)];
    for patches in written {
        keys.extend(patches.iter().map(|patch| text(&patch["Key"])));
        succeeded(&api.update(guest, "large", &json!(patches)));
    }
    api.put(guest, "large", "huge", &"h".repeat(2 * PAGE_BYTES_MAX), 0);
    keys
}

/// Reads all pages and returns the keys in the order of the pages, with the number of pages.
fn walk(api: Api, guest: &Guest, query: &str) -> (Vec<String>, usize) {
    let (mut keys, mut pages) = (Vec::new(), 0);
    let mut shared: Option<Value> = None;
    let mut target = format!("{}?{query}", guest.records("large"));
    loop {
        let answer = api.sync(Some(&guest.caller), "GET", &target, None);
        let page = succeeded(&answer);
        let records = page["Records"].as_array().unwrap();
        assert!(!records.is_empty(), "a page without records");
        assert!(
            answer.body.len() <= PAGE_BYTES_MAX || records.len() == 1,
            "a page of {} bytes with {} records",
            answer.body.len(),
            records.len()
        );
        keys.extend(records.iter().map(|record| text(&record["Key"])));
        pages += 1;
        let count = &page["DatasetSyncCount"];
        assert_eq!(shared.get_or_insert_with(|| count.clone()), count, "of page {pages}");
        let Some(next) = page["NextToken"].as_str() else { return (keys, pages) };
        target = format!("{}?{query}&nextToken={}", guest.records("large"), encoded(next));
    }
}

#[test]
fn a_listing_ends_before_its_page_is_too_large_and_goes_on_with_a_token() {
    let server = Server::start_configured(Store::Memory, Some(SMALL_PAGES));
    let api = server.api();
    let guest = api.new_user(&server.root());
    let expected = fill(api, &guest);
    for query in ["lastSyncCount=0", "maxResults=1024", "maxResults=50"] {
        let (keys, pages) = walk(api, &guest, query);
        assert_eq!(keys.len(), expected.len(), "{query}: {pages} pages");
        assert_eq!(keys.into_iter().collect::<BTreeSet<String>>(), expected, "{query}");
        let least = (RECORDS * 9_900 + TOMBSTONES * 900) / PAGE_BYTES_MAX;
        assert!(pages > least, "{query}: {pages} pages");
    }
    // A listing that fits one page comes in one.
    let (keys, pages) = walk(api, &guest, "lastSyncCount=2");
    assert_eq!((keys, pages), (vec!["huge".to_owned()], 1));
}
