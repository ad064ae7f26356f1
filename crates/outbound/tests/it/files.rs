//! Streams to files.

use std::fs;
use std::num::NonZeroU32;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use carryall_outbound::{
    FileDestination, OutboundSettings, Route, StreamDestination, StreamMessage, StreamPort, Undelivered,
};
use futures_util::future::join_all;

use crate::{every, outbound, settings, streaming_to};

fn destination(path: &Path) -> FileDestination {
    FileDestination {
        path: path.to_owned(),
        file_bytes_max: 1024 * 1024,
        files_max: NonZeroU32::new(2).unwrap(),
    }
}

fn port(destination: FileDestination) -> Arc<dyn StreamPort> {
    streaming_to(StreamDestination::File(destination)).stream("pool", "stream", None)
}

fn message(json: &str) -> StreamMessage {
    StreamMessage {
        event_id: "event".to_owned(),
        partition_key: "key".to_owned(),
        json: json.to_owned().into(),
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

#[tokio::test]
async fn each_message_is_one_line_in_a_file_that_is_nobody_elses_to_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("stream");
    let port = port(destination(&path));
    port.put(message("{\"a\":1}")).await.unwrap();
    port.put(message("{\"a\":2}")).await.unwrap();
    assert_eq!(read(&path), "{\"a\":1}\n{\"a\":2}\n");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn many_at_once_are_all_there_whole_and_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("stream");
    let port = port(destination(&path));
    let lines: Vec<String> = (0..500).map(|number| format!("{{\"n\":{number}}}")).collect();
    for outcome in join_all(lines.iter().map(|line| port.put(message(line)))).await {
        outcome.unwrap();
    }
    assert_eq!(read(&path).lines().collect::<Vec<_>>(), lines);
}

#[tokio::test]
async fn a_full_file_moves_on_and_the_oldest_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("stream");
    let port = port(FileDestination { file_bytes_max: 8, ..destination(&path) });
    for line in ["1234567", "a", "b", "much longer than a file", "c", "d", "e", "f"] {
        port.put(message(line)).await.unwrap();
    }
    assert_eq!(read(&path), "c\nd\ne\nf\n");
    assert_eq!(read(&dir.path().join("stream.1")), "much longer than a file\n");
    assert_eq!(read(&dir.path().join("stream.2")), "a\nb\n");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3);
}

#[tokio::test]
async fn rotation_works_within_one_gathered_write_and_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("stream");
    let small = FileDestination { file_bytes_max: 4, ..destination(&path) };
    let first = port(small.clone());
    for outcome in join_all(["a", "b", "c"].map(|line| first.put(message(line)))).await {
        outcome.unwrap();
    }
    assert_eq!((read(&path), read(&dir.path().join("stream.1"))), ("c\n".to_owned(), "a\nb\n".to_owned()));
    let second = port(small);
    second.put(message("dd")).await.unwrap();
    assert_eq!((read(&path), read(&dir.path().join("stream.1"))), ("dd\n".to_owned(), "c\n".to_owned()));
}

#[tokio::test]
async fn a_torn_last_line_stays_apart_from_the_next_record() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("stream");
    fs::write(&path, "{\"a\":1}\n{\"to").unwrap();
    port(destination(&path)).put(message("{\"a\":2}")).await.unwrap();
    assert_eq!(read(&path), "{\"a\":1}\n{\"to\n{\"a\":2}\n");
}

#[tokio::test]
async fn a_file_that_a_reader_took_away_is_begun_anew() {
    let dir = tempfile::tempdir().unwrap();
    let (path, taken) = (dir.path().join("stream"), dir.path().join("taken"));
    let port = port(destination(&path));
    port.put(message("1")).await.unwrap();
    fs::rename(&path, &taken).unwrap();
    port.put(message("2")).await.unwrap();
    assert_eq!((read(&taken), read(&path)), ("1\n".to_owned(), "2\n".to_owned()));
    fs::remove_file(&path).unwrap();
    port.put(message("3")).await.unwrap();
    assert_eq!(read(&path), "3\n");
}

#[tokio::test]
async fn streams_of_one_path_share_its_writer() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("stream");
    let route = |name: &str| Route {
        pool: None,
        name: Some(name.to_owned()),
        destination: StreamDestination::File(destination(&path)),
    };
    let outbound = outbound(OutboundSettings { streams: vec![route("one"), route("two")], ..settings() });
    let ports = ["one", "two"].map(|name| outbound.stream("pool", name, None));
    for outcome in join_all((0..100).map(|number| ports[number % 2].put(message(&number.to_string())))).await
    {
        outcome.unwrap();
    }
    let expected: Vec<String> = (0..100).map(|number| number.to_string()).collect();
    assert_eq!(read(&path).lines().collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn a_message_of_two_lines_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("stream");
    for bad in ["{\n}", "{\r}"] {
        let outcome = port(destination(&path)).put(message(bad)).await;
        assert!(matches!(outcome, Err(Undelivered::Refused { .. })));
    }
}

#[tokio::test]
async fn a_place_that_cannot_be_written_to_has_to_be_mended_and_then_works() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("absent").join("stream");
    let port = port(destination(&path));
    assert!(matches!(port.put(message("1")).await, Err(Undelivered::Gone { .. })));
    assert!(port.check().await[0].trouble.is_some());
    fs::create_dir(dir.path().join("absent")).unwrap();
    assert_eq!(port.check().await[0].trouble, None);
    port.put(message("1")).await.unwrap();
    assert_eq!(read(&path), "1\n");
}

#[tokio::test]
async fn what_is_no_regular_file_is_not_written_to() {
    let dir = tempfile::tempdir().unwrap();
    let outcome = streaming_to(StreamDestination::File(destination(dir.path())))
        .stream("pool", "stream", None)
        .put(message("1"))
        .await;
    assert!(matches!(outcome, Err(Undelivered::Gone { .. })));
    let device = every(StreamDestination::File(destination(Path::new("/dev/null"))));
    let outbound = outbound(OutboundSettings { streams: device, ..settings() });
    let outcome = outbound.stream("pool", "stream", None).put(message("1")).await;
    assert!(matches!(outcome, Err(Undelivered::Gone { .. })));
}
