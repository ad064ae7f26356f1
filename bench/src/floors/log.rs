//! B, the bare group-commit log: each client submits a transaction and waits for it; one thread appends all
//! that wait, syncs once, and acknowledges. It reads, decides and indexes nothing.

use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use crate::measure::{Meter, Row};
use crate::outcome::Outcome;

/// The bytes of one transaction: about the size of one changed record in a log.
const TRANSACTION_BYTES: usize = 300;
const TRANSACTIONS_PER_SYNC_MAX: usize = 512;
/// The size of the file in which the log wraps around.
const FILE_BYTES: usize = 64 * 1024 * 1024;

/// Commits transactions of `clients` closed-loop clients until the end of the cell.
pub(crate) fn measure(name: &'static str, directory: &Path, clients: usize, cell: Duration) -> Outcome<Row> {
    let path = directory.join("log");
    let file = super::preallocated(&path, FILE_BYTES)?;
    let (submit, submitted) = mpsc::channel();
    let (acknowledge, acknowledged) = mpsc::channel();
    let meter = Meter::own();
    let mut row = Row::new(name, clients)?;
    let before = meter.read()?;
    thread::scope(|scope| {
        let writer = scope.spawn(move || write(&file, &submitted, &acknowledge));
        drive(clients, cell, &row, submit, &acknowledged)?;
        writer.join().map_err(|_| "the log's writer gave up")?
    })?;
    meter.add_since(&before, &mut row)?;
    std::fs::remove_file(&path)?;
    Ok(row)
}

/// Every client submits again as soon as it is acknowledged, until the cell is over and all are acknowledged.
fn drive(
    clients: usize,
    cell: Duration,
    row: &Row,
    submit: Sender<usize>,
    acknowledged: &Receiver<Vec<usize>>,
) -> Outcome<()> {
    let until = Instant::now() + cell;
    let mut submitted_at = vec![Instant::now(); clients];
    for client in 0..clients {
        submit.send(client)?;
    }
    let mut submit = Some(submit);
    for batch in acknowledged {
        let now = Instant::now();
        for client in batch {
            row.latencies.record(now - submitted_at[client]);
            if let Some(submit) = &submit {
                submitted_at[client] = now;
                submit.send(client)?;
            }
        }
        if now >= until {
            // The writer ends, and with it the acknowledgements, once all submitted transactions are on the
            // device.
            submit = None;
        }
    }
    Ok(())
}

fn write(file: &std::fs::File, submitted: &Receiver<usize>, acknowledge: &Sender<Vec<usize>>) -> Outcome<()> {
    let transaction = [0x5a; TRANSACTION_BYTES];
    let mut bytes = Vec::with_capacity(TRANSACTION_BYTES * TRANSACTIONS_PER_SYNC_MAX);
    let mut offset = 0;
    while let Ok(first) = submitted.recv() {
        let mut batch = vec![first];
        batch.extend(submitted.try_iter().take(TRANSACTIONS_PER_SYNC_MAX - 1));
        bytes.clear();
        for _ in &batch {
            bytes.extend_from_slice(&transaction);
        }
        if offset + bytes.len() > FILE_BYTES {
            offset = 0;
        }
        file.write_all_at(&bytes, u64::try_from(offset)?)?;
        file.sync_data()?;
        offset += bytes.len();
        acknowledge.send(batch)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_submitted_transaction_is_acknowledged_once() {
        let directory = tempfile::tempdir().unwrap();
        let row = measure("log", directory.path(), 5, Duration::ZERO).unwrap();
        // Each client is acknowledged for its first transaction; some submit a second one in the first batch.
        assert!((5..=10).contains(&row.latencies.count()), "{}", row.latencies.count());
    }
}
