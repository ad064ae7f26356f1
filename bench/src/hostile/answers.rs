//! Attacks by callers who request much and read little.

use std::io;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::sleep;

use super::attacker::{Attacker, source};
use super::owner::{Content, Owner, owners, replace};
use crate::connection::Connection;
use crate::outcome::Outcome;

const DATASET: &str = "large";
/// The bytes that are read of an answer before its connection is closed.
const READ_BYTES: usize = 100;
/// Live channels that one identity may have open.
const CHANNELS_PER_IDENTITY: usize = 16;
/// Connections that update the datasets of the unread channels.
const WRITERS: usize = 4;
/// The address that the writers connect from: the channels use up the connections of their address.
const WRITERS_SOURCE: u8 = 32;

/// The way in which a caller treats its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    /// Reads nothing and keeps the connection.
    Never,
    /// Reads the beginning and closes.
    Beginning,
    /// Reads one byte a second.
    Trickle,
}

/// Requests a whole dataset over `connections` connections; identities take turns.
pub(super) async fn read(
    attacker: &Attacker,
    (identities, connections): (usize, usize),
    content: Content,
    reader: Reader,
) -> Outcome<()> {
    let owners = owners(attacker.address, identities).await?;
    let mut requests = Vec::with_capacity(identities);
    for owner in &owners {
        owner.fill(DATASET, content).await?;
        requests.push(owner.list(DATASET, 0, None)?);
    }
    attacker.begin().await?;
    let requests = &requests;
    attacker
        .repeat(connections, async |lane, mut stream| {
            stream.write_all(&requests[lane % identities]).await?;
            match reader {
                Reader::Never => std::future::pending().await,
                Reader::Beginning => stream.read_exact(&mut [0; READ_BYTES]).await.map(|_| ()),
                Reader::Trickle => loop {
                    if stream.read(&mut [0]).await? == 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    sleep(Duration::from_secs(1)).await;
                },
            }
        })
        .await;
    Ok(())
}

/// Opens `channels` live channels that are not read, while their datasets are updated without pause.
pub(super) async fn unread_channels(attacker: &Attacker, channels: usize) -> Outcome<()> {
    let owners = owners(attacker.address, channels.div_ceil(CHANNELS_PER_IDENTITY)).await?;
    let requests = owners.iter().map(|owner| owner.channel(DATASET)).collect::<Outcome<Vec<_>>>()?;
    attacker.begin().await?;
    let open = attacker.repeat(channels, async |lane, mut stream| {
        stream.write_all(&requests[lane / CHANNELS_PER_IDENTITY]).await?;
        std::future::pending().await
    });
    let mut writers = Vec::with_capacity(WRITERS);
    for lane in 0..WRITERS {
        let own = owners.iter().skip(lane).step_by(WRITERS).collect::<Vec<_>>();
        writers.push(write(attacker, own));
    }
    let written = async { join_all(writers).await.into_iter().collect::<Outcome<Vec<()>>>().map(|_| ()) };
    let ((), written) = tokio::join!(open, written);
    written
}

/// Updates the datasets of `owners` in turn until the attack is over.
async fn write(attacker: &Attacker, owners: Vec<&Owner>) -> Outcome<()> {
    let mut connection = Connection::open_from(source(WRITERS_SOURCE), attacker.address).await?;
    for count in 0.. {
        for owner in &owners {
            if tokio::time::Instant::now() >= attacker.until() {
                return Ok(());
            }
            let token = owner.token(&mut connection, DATASET).await?;
            let request = owner.update(DATASET, token, vec![replace("key", "value".to_owned(), count)])?;
            attacker.tally.status(connection.exchange(&request).await?.status);
        }
    }
    Ok(())
}
