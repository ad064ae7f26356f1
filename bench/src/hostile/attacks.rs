//! The table of attacks. A new attack is a row here and, if it is of a new kind, a function next to similar
//! ones.

use super::answers::{self, Reader};
use super::attacker::Attacker;
use super::bodies::{self, Form, Sender, Subject};
use super::floods;
use super::owner::Content;
use crate::outcome::Outcome;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// One attack.
pub(super) struct Attack {
    pub(super) name: &'static str,
    /// The number of its source addresses.
    pub(super) sources: u8,
    kind: Kind,
}

/// The kinds of attack; numbers are of connections unless named otherwise.
enum Kind {
    Read { identities: usize, connections: usize, content: Content, reader: Reader },
    UnreadChannels(usize),
    Slow { sender: Sender, connections: usize, bytes: usize },
    HalfHeads { connections: usize, bytes: usize },
    Bombs { connections: usize, form: Form, subject: Subject },
    NothingNew(usize),
    HotDataset { updates: usize },
    BusyElsewhere,
}

impl Attack {
    const fn new(name: &'static str, sources: u8, kind: Kind) -> Self {
        Self { name, sources, kind }
    }

    /// Prepares, waits for the beginning, and attacks until the end.
    pub(super) async fn run(&self, attacker: &Attacker) -> Outcome<()> {
        match self.kind {
            Kind::Read { identities, connections, content, reader } => {
                answers::read(attacker, (identities, connections), content, reader).await
            }
            Kind::UnreadChannels(channels) => answers::unread_channels(attacker, channels).await,
            Kind::Slow { sender, connections, bytes } => {
                bodies::slow(attacker, sender, connections, bytes).await
            }
            Kind::HalfHeads { connections, bytes } => bodies::half_heads(attacker, connections, bytes).await,
            Kind::Bombs { connections, form, subject } => {
                bodies::bombs(attacker, connections, form, subject).await
            }
            Kind::NothingNew(connections) => floods::nothing_new(attacker, connections).await,
            Kind::HotDataset { updates } => floods::hot_dataset(attacker, updates).await,
            Kind::BusyElsewhere => floods::busy_elsewhere(attacker).await,
        }
    }
}

const fn read(connections: usize, content: Content, reader: Reader) -> Kind {
    Kind::Read { identities: 1, connections, content, reader }
}

const fn slow(sender: Sender, connections: usize, bytes: usize) -> Kind {
    Kind::Slow { sender, connections, bytes }
}

const fn bombs(connections: usize, form: Form, subject: Subject) -> Kind {
    Kind::Bombs { connections, form, subject }
}

const fn half_heads(connections: usize, bytes: usize) -> Kind {
    Kind::HalfHeads { connections, bytes }
}

/// The first is the floor of the others. Attacks that need much memory of a server without bounds stand apart, since a
/// server settles while the next attack runs.
pub(super) const ATTACKS: [Attack; 29] = [
    Attack::new("busy-elsewhere", 1, Kind::BusyElsewhere),
    Attack::new("unread-worst-60", 1, read(60, Content::Worst, Reader::Never)),
    Attack::new("slow-unsigned", 1, slow(Sender::Unsigned, 66, MIB)),
    Attack::new("slow-unsigned-from-8", 8, slow(Sender::Unsigned, 66, MIB)),
    Attack::new("slow-signed", 1, slow(Sender::Identities(1), 8, 8 * MIB)),
    Attack::new("slow-signed-by-32", 1, slow(Sender::Identities(32), 32, 8 * MIB)),
    Attack::new("slow-small", 1, slow(Sender::Unsigned, 1_000, 64 * KIB)),
    Attack::new("slow-small-from-8", 8, slow(Sender::Unsigned, 1_000, 64 * KIB)),
    Attack::new("unread-worst-100", 1, read(100, Content::Worst, Reader::Never)),
    Attack::new("half-heads", 1, half_heads(4_100, 40)),
    Attack::new("half-heads-from-8", 8, half_heads(4_100, 40)),
    Attack::new("half-heads-60k", 1, half_heads(4_000, 60 * KIB)),
    Attack::new("half-heads-60k-from-8", 8, half_heads(4_000, 60 * KIB)),
    Attack::new("unread-worst-100-from-8", 8, read(100, Content::Worst, Reader::Never)),
    Attack::new("bombs-1", 1, bombs(1, Form::Rest, Subject::Own)),
    Attack::new("bombs-8", 1, bombs(8, Form::Rest, Subject::Own)),
    Attack::new("bombs-24", 1, bombs(24, Form::Rest, Subject::Own)),
    Attack::new("bombs-8-denied", 1, bombs(8, Form::Rest, Subject::Another)),
    Attack::new("bombs-8-rpc", 1, bombs(8, Form::Rpc, Subject::Own)),
    Attack::new("bombs-8-rpc-denied", 1, bombs(8, Form::Rpc, Subject::Another)),
    Attack::new("unread-plain-2000", 1, read(2_000, Content::Plain, Reader::Never)),
    Attack::new("read-100-bytes-8", 1, read(8, Content::Worst, Reader::Beginning)),
    Attack::new("read-100-bytes-64", 1, read(64, Content::Worst, Reader::Beginning)),
    Attack::new("trickle-60", 1, read(60, Content::Worst, Reader::Trickle)),
    Attack::new("hot-dataset", 1, Kind::HotDataset { updates: 2_000 }),
    Attack::new("hot-dataset-from-8", 8, Kind::HotDataset { updates: 2_000 }),
    Attack::new("unread-channels", 1, Kind::UnreadChannels(1_024)),
    Attack::new("nothing-new-64", 1, Kind::NothingNew(64)),
    Attack::new(
        "unread-by-60",
        1,
        Kind::Read { identities: 60, connections: 480, content: Content::Escaped, reader: Reader::Never },
    ),
];
