//! Attacks by callers who do ordinary things, too many at once.

use std::io;
use std::num::NonZeroUsize;

use futures_util::future::{join_all, try_join_all};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::attacker::Attacker;
use super::owner::{Owner, owners, remove, replace};
use crate::connection::Connection;
use crate::outcome::Outcome;

/// Records of a full dataset; further updates of a release remove records that never existed.
const RECORDS: usize = 1_000;
/// Datasets of one identity, one for each release.
const RELEASES: usize = 20;
/// Connections that fetch the tokens of a release.
const TOKEN_LANES: usize = 16;

/// No attack at all: as many busy threads as the machine has processors, which never touch the server. What the other
/// caller notices is the scheduler of the machine, and nothing that the server could do better.
pub(super) async fn busy_elsewhere(attacker: &Attacker) -> Outcome<()> {
    attacker.begin().await?;
    let until = attacker.until().into_std();
    let busy = || while std::time::Instant::now() < until {};
    std::thread::scope(|threads| {
        for _ in 0..std::thread::available_parallelism().map_or(1, NonZeroUsize::get) {
            threads.spawn(busy);
        }
    });
    Ok(())
}

/// One identity lists without news over `connections` connections without pause.
pub(super) async fn nothing_new(attacker: &Attacker, connections: usize) -> Outcome<()> {
    let owners = owners(attacker.address, 1).await?;
    let request = owners[0].list("seen", 0, None)?;
    attacker.begin().await?;
    attacker
        .repeat(connections, async |_, stream| {
            let mut connection = Connection::over(stream)?;
            loop {
                let answer = connection.exchange(&request).await.map_err(io::Error::other)?;
                attacker.tally.status(answer.status);
            }
        })
        .await;
    Ok(())
}

/// One identity sends `updates` updates of one dataset at once, and of another dataset after that.
pub(super) async fn hot_dataset(attacker: &Attacker, updates: usize) -> Outcome<()> {
    let owners = owners(attacker.address, 1).await?;
    let mut first = prepare(attacker, &owners[0], "hot-0", updates).await?;
    attacker.begin().await?;
    for release in 1..RELEASES {
        if timeout_at(attacker.until(), let_go(attacker, first)).await.is_err()
            || Instant::now() >= attacker.until()
        {
            break;
        }
        first = prepare(attacker, &owners[0], &format!("hot-{release}"), updates).await?;
    }
    Ok(())
}

/// Connections that have sent all but the last byte of an update, and that byte.
async fn prepare(
    attacker: &Attacker,
    owner: &Owner,
    dataset: &str,
    updates: usize,
) -> Outcome<Vec<(TcpStream, u8)>> {
    let tokens = try_join_all((0..TOKEN_LANES).map(|_| async {
        let mut connection = Connection::open(attacker.address).await?;
        let mut tokens = Vec::new();
        for _ in 0..updates.div_ceil(TOKEN_LANES) {
            tokens.push(owner.token(&mut connection, dataset).await?);
        }
        Outcome::Ok(tokens)
    }));
    let mut waiting = Vec::with_capacity(updates);
    for (number, token) in tokens.await?.into_iter().flatten().take(updates).enumerate() {
        let key = format!("key-{number}");
        let patch = if number < RECORDS { replace(&key, "value".to_owned(), 0) } else { remove(key) };
        let request = owner.update(dataset, token, vec![patch])?;
        let (last, rest) = request.split_last().ok_or("a request without bytes")?;
        if let Ok(mut stream) = attacker.connect(number).await
            && stream.write_all(rest).await.is_ok()
        {
            waiting.push((stream, *last));
        } else {
            attacker.tally.end();
        }
    }
    Ok(waiting)
}

/// Sends the last byte of every update and waits for all answers.
async fn let_go(attacker: &Attacker, mut waiting: Vec<(TcpStream, u8)>) {
    for (stream, last) in &mut waiting {
        // A connection that the server has closed has no answer, which is counted below.
        let _ = stream.write_all(&[*last]).await;
    }
    let answers = waiting.iter_mut().map(|(stream, _)| attacker.count_answer(stream));
    for answer in join_all(answers).await {
        if answer.is_err() {
            attacker.tally.end();
        }
    }
}
