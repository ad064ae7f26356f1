//! A Kinesis stream at any peer that has Kinesis: created, deleted, and read from start to end.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::aws::{Service, done, member};
use super::until;
use crate::api::text;
use crate::http::Response;

/// A record in a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamRecord {
    /// The record's data.
    pub data: Vec<u8>,
    /// The partition key that it was put with.
    pub partition_key: String,
    /// The sequence number, of 56 digits.
    pub sequence_number: String,
}

impl StreamRecord {
    /// The record's data as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.data).expect("a record of JSON")
    }
}

/// A stream, by its name.
#[derive(Clone, Copy, Debug)]
pub struct Stream<'a> {
    /// Kinesis at the peer.
    pub kinesis: Service<'a>,
    /// The stream's name.
    pub name: &'a str,
}

impl Stream<'_> {
    /// Creates the stream and waits until it is active.
    pub fn create(&self, shards: usize) {
        self.begin(shards);
        until(&format!("the stream {} is active", self.name), || {
            (self.status().as_deref() == Some("ACTIVE")).then_some(())
        });
    }

    /// Creates the stream without waiting until it accepts records.
    pub fn begin(&self, shards: usize) {
        done(&self.call("CreateStream", json!({ "ShardCount": shards })));
    }

    /// Deletes the stream and waits until it is gone.
    pub fn delete(&self) {
        done(&self.call("DeleteStream", json!({})));
        until(&format!("the stream {} is gone", self.name), || self.status().is_none().then_some(()));
    }

    /// The status of the stream, if it exists.
    pub fn status(&self) -> Option<String> {
        let description = self.call("DescribeStream", json!({})).json();
        description["StreamDescription"]["StreamStatus"].as_str().map(str::to_owned)
    }

    /// Puts a record and returns any answer.
    pub fn put(&self, partition_key: &str, data: &[u8]) -> Response {
        self.call("PutRecord", json!({ "PartitionKey": partition_key, "Data": STANDARD.encode(data) }))
    }

    /// All records of the stream: shard by shard, each in order.
    pub fn records(&self) -> Vec<StreamRecord> {
        let shards = self.call("ListShards", json!({}));
        done(&shards);
        let shards = shards.json()["Shards"].take();
        let shards = shards.as_array().into_iter().flatten().map(|shard| text(&shard["ShardId"]));
        shards.flat_map(|shard| self.records_of_shard(&shard)).collect()
    }

    /// Waits until the stream has this many records, and returns all of them.
    pub fn wait_for(&self, count: usize) -> Vec<StreamRecord> {
        until(&format!("{count} records in {}", self.name), || {
            Some(self.records()).filter(|records| records.len() >= count)
        })
    }

    fn records_of_shard(&self, shard: &str) -> Vec<StreamRecord> {
        let from_the_start = json!({ "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON" });
        let mut iterator = member(&self.call("GetShardIterator", from_the_start), "ShardIterator");
        let mut records = Vec::new();
        loop {
            let input = json!({ "ShardIterator": iterator });
            let answer = self.kinesis.json(&format!("{TARGET}.GetRecords"), &input);
            done(&answer);
            let mut answer = answer.json();
            let page = answer["Records"].take();
            let page = page.as_array().map(Vec::as_slice).unwrap_or_default();
            records.extend(page.iter().map(record));
            match answer["NextShardIterator"].as_str() {
                Some(next) if !page.is_empty() => next.clone_into(&mut iterator),
                _ => return records,
            }
        }
    }

    fn call(&self, operation: &str, mut input: Value) -> Response {
        input["StreamName"] = self.name.into();
        self.kinesis.json(&format!("{TARGET}.{operation}"), &input)
    }
}

const TARGET: &str = "Kinesis_20131202";

fn record(answer: &Value) -> StreamRecord {
    StreamRecord {
        data: STANDARD.decode(text(&answer["Data"])).expect("base64"),
        partition_key: text(&answer["PartitionKey"]),
        sequence_number: text(&answer["SequenceNumber"]),
    }
}
