//! Messages that the server sends unasked: records of a stream, the event of the sync trigger and its answer,
//! and the notice that a dataset has changed. Their transport is not decided here.

pub mod change_notice;
pub mod stream_record;
pub mod sync_trigger;
