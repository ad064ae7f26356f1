//! A look at the engine's journals before the engine opens them.
//!
//! The engine takes the first bytes of a journal that it cannot read for the torn end of a last write, cuts the file
//! there and continues as if nothing had followed. After a crash that is right. After damage it would silently lose
//! acknowledged commits, so this module reads the journals first, and refuses damaged ones without changing them. It
//! also corrects the opposite mistake: a torn last batch whose lengths happen to be right makes the engine refuse the
//! whole directory.
//!
//! The numbers of the batches distinguish the two cases. The writer puts one into each batch: they must follow one
//! another and reach the last one that was acknowledged.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::Xxh3;

use super::{keys, rows};
use crate::error::OpenError;

const READ_BYTES: usize = 256 * 1024;
const TRAILER: [u8; 4] = *b"FJL\x03";

const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
const CLEAR: u8 = 4;

/// Journals that have lost no acknowledged batch.
pub(super) struct Examined {
    /// The number of the last whole batch, or zero.
    pub(super) last: u64,
    /// The journal that ends with a part of a batch, and where the part begins.
    torn: Option<(PathBuf, u64)>,
}

impl Examined {
    /// Cuts off the torn end of the last write.
    pub(super) fn cut_torn_end(&self) -> Result<(), OpenError> {
        self.torn.as_ref().map_or(Ok(()), |(path, length)| {
            cut(path, *length).map_err(|source| OpenError::io(path, "cutting", source))
        })
    }
}

/// Refuses journals that have lost acknowledged batches. Changes nothing.
pub(super) fn examine(engine: &Path, acknowledged: u64) -> Result<Examined, OpenError> {
    let journals = journals(engine)?;
    let mut last: Option<Batch> = None;
    let mut torn = None;
    for path in &journals {
        let failed = |source| OpenError::io(path, "reading", source);
        let mut journal = Journal::open(path).map_err(failed)?;
        while let Some(batch) = journal.next_batch().map_err(failed)? {
            if let Some(last) = last
                && (batch.number != last.number + 1 || batch.seqno <= last.seqno)
            {
                let what =
                    format!("it continues with batch {} of commits after {}", batch.number, last.number);
                return Err(OpenError::damaged(path, what));
            }
            last = Some(batch);
        }
        let is_last = journals.last() == Some(path);
        if let Some(last) = last.filter(|last| is_last && last.number < acknowledged) {
            let (first, from) = (last.number + 1, journal.valid_bytes);
            let what =
                format!("batches {first} to {acknowledged} of commits cannot be read, from byte {from} on");
            return Err(OpenError::damaged(path, what));
        }
        if journal.torn && is_last {
            torn = Some((path.clone(), journal.valid_bytes));
        }
    }
    Ok(Examined { last: last.map_or(0, |last| last.number), torn })
}

/// The journals in the order in which they were written.
fn journals(engine: &Path) -> Result<Vec<PathBuf>, OpenError> {
    let failed = |source| OpenError::io(engine, "listing", source);
    let entries = match fs::read_dir(engine) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut journals = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse::<u64>().ok());
        if let Some(number) = stem.filter(|_| path.extension().is_some_and(|extension| extension == "jnl")) {
            journals.push((number, path));
        }
    }
    journals.sort();
    Ok(journals.into_iter().map(|(_, path)| path).collect())
}

fn cut(path: &Path, length: u64) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    file.set_len(length)?;
    file.sync_all()
}

/// A journal that is being read, from the first batch to the last whole one.
struct Journal {
    reader: BufReader<File>,
    /// Where the last whole batch ends.
    valid_bytes: u64,
    /// True if bytes follow that begin like a batch.
    torn: bool,
    position: u64,
    buffer: Vec<u8>,
}

impl Journal {
    fn open(path: &Path) -> io::Result<Self> {
        let reader = BufReader::with_capacity(READ_BYTES, File::open(path)?);
        Ok(Self { reader, valid_bytes: 0, torn: false, position: 0, buffer: Vec::new() })
    }

    /// Returns the next batch; `None` behind the last whole one.
    fn next_batch(&mut self) -> io::Result<Option<Batch>> {
        match self.read_batch() {
            Ok(Some(batch)) => {
                self.valid_bytes = self.position;
                Ok(Some(batch))
            }
            Ok(None) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn read_batch(&mut self) -> io::Result<Option<Batch>> {
        let [tag] = self.take()?;
        if tag != START {
            return Ok(None);
        }
        self.torn = true;
        let items = u32::from_le_bytes(self.take()?);
        let seqno = u64::from_le_bytes(self.take()?);
        let mut hash = Xxh3::new();
        let mut number = None;
        for _ in 0..items {
            match self.read_item(&mut hash)? {
                Item::Broken => return Ok(None),
                Item::Number(found) => number = Some(found),
                Item::Other => {}
            }
        }
        let [tag] = self.take()?;
        let checksum = u64::from_le_bytes(self.take()?);
        let trailer: [u8; 4] = self.take()?;
        if tag != END || trailer != TRAILER || checksum != hash.digest() {
            return Ok(None);
        }
        let batch = number.map(|number| Batch { number, seqno });
        self.torn = batch.is_none();
        Ok(batch)
    }

    fn read_item(&mut self, hash: &mut Xxh3) -> io::Result<Item> {
        let [tag] = self.take()?;
        hash.update(&[tag]);
        match tag {
            CLEAR => {
                let keyspace: [u8; 8] = self.take()?;
                hash.update(&keyspace);
                Ok(Item::Other)
            }
            ITEM => {
                // Kind of value, compression, keyspace, length of the key, of the value, of the value as stored.
                let head: [u8; 20] = self.take()?;
                hash.update(&head);
                let [.., k0, k1, _, _, _, _, v0, v1, v2, v3] = head;
                let key = usize::from(u16::from_le_bytes([k0, k1]));
                let value = u32::from_le_bytes([v0, v1, v2, v3]);
                self.buffer.clear();
                let length = key as u64 + u64::from(value);
                let read = (&mut self.reader).take(length).read_to_end(&mut self.buffer)?;
                self.position += read as u64;
                if (read as u64) < length {
                    return Ok(Item::Broken);
                }
                hash.update(&self.buffer);
                let (key, value) = self.buffer.split_at(key);
                if key != keys::BATCH_NUMBER {
                    return Ok(Item::Other);
                }
                Ok(rows::number::from_row(value).map_or(Item::Broken, Item::Number))
            }
            _ => Ok(Item::Broken),
        }
    }

    fn take<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.reader.read_exact(&mut bytes)?;
        self.position += N as u64;
        Ok(bytes)
    }
}

/// One batch as the writer made it.
#[derive(Clone, Copy)]
struct Batch {
    /// The writer's number, which has no gaps.
    number: u64,
    /// The engine's number, which has gaps, since the engine uses some for itself. No checksum covers it, and a wrong
    /// one would change which of two rows is the newer.
    seqno: u64,
}

enum Item {
    /// The row that holds the number of its batch.
    Number(u64),
    Other,
    Broken,
}
