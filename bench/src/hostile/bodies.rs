//! Attacks by sending: bodies and heads that never end, and bodies that are expensive to decode.

use std::fmt::Write;

use carryall_wire::codec::Request;
use carryall_wire::spec::{Method, Service};
use tokio::io::AsyncWriteExt;

use super::attacker::Attacker;
use super::owner::{Owner, owners};
use crate::outcome::Outcome;
use crate::signing;

/// The number of empty patches that fit a body of 8 MiB.
const PATCHES: usize = 2_790_000;
const GET_ID: &str = "AWSCognitoIdentityService.GetId";
const UPDATE_RECORDS: &str = "com.amazonaws.cognito.sync.model.AWSCognitoSyncService.UpdateRecords";

/// The senders of bodies that never end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sender {
    /// Anonymous callers: GetId takes no signature.
    Unsigned,
    /// This many identities in turn, with signed updates.
    Identities(usize),
}

/// Sends `connections` bodies of `bytes` bytes without their last byte.
pub(super) async fn slow(
    attacker: &Attacker,
    sender: Sender,
    connections: usize,
    bytes: usize,
) -> Outcome<()> {
    let requests = match sender {
        Sender::Unsigned => vec![signing::bytes(attacker.address, None, Service::Identity, &get_id(bytes))?],
        Sender::Identities(count) => {
            let owners = owners(attacker.address, count).await?;
            let update = |owner: &Owner| owner.signed(&owner.update_with_body("slow", vec![b' '; bytes])?);
            owners.iter().map(update).collect::<Outcome<Vec<_>>>()?
        }
    };
    attacker.begin().await?;
    attacker
        .repeat(connections, async |lane, stream| {
            let request = &requests[lane % requests.len()];
            attacker.ask(stream, &request[..request.len() - 1]).await?;
            attacker.pause().await;
            Ok(())
        })
        .await;
    Ok(())
}

/// A GetId of exactly `bytes` bytes.
fn get_id(bytes: usize) -> Request {
    let mut body = b"{\"IdentityPoolId\":\"us-east-1:0\",\"Unknown\":\"".to_vec();
    body.resize(bytes - 2, b'a');
    body.extend_from_slice(b"\"}");
    rpc(GET_ID, body)
}

fn rpc(target: &'static str, body: Vec<u8>) -> Request {
    let headers =
        vec![("content-type", "application/x-amz-json-1.1".to_owned()), ("x-amz-target", target.to_owned())];
    Request { method: Method::Post, path_and_query: "/".to_owned(), headers, body }
}

/// Sends `connections` heads of about `bytes` bytes without their end.
pub(super) async fn half_heads(attacker: &Attacker, connections: usize, bytes: usize) -> Outcome<()> {
    let mut head = "GET / HTTP/1.1\r\nHost: a\r\n".to_owned();
    while head.len() < bytes {
        // Writing to a string cannot fail.
        let _ =
            write!(head, "X-{}: {}\r\n", head.len(), "x".repeat(bytes.saturating_sub(head.len()).min(4_000)));
    }
    head.push_str("X: ");
    attacker.begin().await?;
    attacker
        .repeat(connections, async |_, mut stream| {
            stream.write_all(head.as_bytes()).await?;
            attacker.count_answer(&mut stream).await?;
            attacker.pause().await;
            Ok(())
        })
        .await;
    Ok(())
}

/// The owner of the dataset that a bomb names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    Own,
    Another,
}

/// The protocol form of a bomb.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Rest,
    Rpc,
}

/// Sends `connections` bodies of 8 MiB that decode to millions of patches, and sends each again as soon as it
/// is answered.
pub(super) async fn bombs(
    attacker: &Attacker,
    connections: usize,
    form: Form,
    subject: Subject,
) -> Outcome<()> {
    let owners = owners(attacker.address, 2).await?;
    let [caller, other] = &owners[..] else { return Err("two identities were asked for".into()) };
    let named = if subject == Subject::Own { caller } else { other };
    let patches = format!("\"RecordPatches\":[{}{{}}]", "{},".repeat(PATCHES - 1));
    let request = match form {
        Form::Rest => named.update_with_body("bomb", format!("{{{patches}}}").into_bytes())?,
        Form::Rpc => {
            let (pool, identity) = (named.pool(), named.identity());
            let subject = format!("\"IdentityPoolId\":\"{pool}\",\"IdentityId\":\"{identity}\"");
            rpc(UPDATE_RECORDS, format!("{{{subject},\"DatasetName\":\"bomb\",{patches}}}").into_bytes())
        }
    };
    let request = caller.signed(&request)?;
    attacker.begin().await?;
    attacker.repeat(connections, async |_, stream| attacker.ask(stream, &request).await).await;
    Ok(())
}
