//! Operator commands as values: a command, carried out on an open store, and its result. They are the same
//! whether the command line has opened the store itself or asks the server that has. The command line prints
//! results.

pub mod control;
mod error;
pub mod key;
mod operator;
pub mod outbox;
pub mod pool;
mod seed;

use serde::{Deserialize, Serialize};

pub use self::error::OperatorError;
pub use self::seed::seed_pools;
use crate::app::App;

/// An operator command, by the noun that it is about.
#[derive(Debug, Serialize, Deserialize)]
pub enum Verb {
    /// About identity pools.
    Pool(pool::Verb),
    /// About undeliverable events.
    Outbox(outbox::Verb),
    /// About developer keys.
    Key(key::Verb),
}

/// The result of a command, in AWS's member names. It has no `Debug` form, because one variant contains a
/// secret.
#[derive(Serialize, Deserialize)]
pub enum Answer {
    /// The result of a command about pools.
    Pool(pool::Answer),
    /// The result of a command about the outbox.
    Outbox(outbox::Answer),
    /// The result of a command about keys.
    Key(key::Answer),
}

/// Carries out `verb`.
pub async fn execute(app: &App, verb: Verb) -> Result<Answer, OperatorError> {
    match verb {
        Verb::Pool(verb) => pool::execute(app, verb).await.map(Answer::Pool),
        Verb::Outbox(verb) => outbox::execute(app, verb).await.map(Answer::Outbox),
        Verb::Key(verb) => key::execute(app, verb).await.map(Answer::Key),
    }
}
