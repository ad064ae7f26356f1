//! The operators' verbs as values: a request of an operator, carried out on an open store, and its result. The same
//! whether the command line has the store open itself or asks the server that has; the command line prints.

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

/// A request of an operator, by the noun that it is about.
#[derive(Debug, Serialize, Deserialize)]
pub enum Verb {
    /// About identity pools.
    Pool(pool::Verb),
    /// About events that could not be delivered.
    Outbox(outbox::Verb),
    /// About developer keys.
    Key(key::Verb),
}

/// The result of a verb, in AWS's member names. Not printable by `Debug`: one case carries a secret.
#[derive(Serialize, Deserialize)]
pub enum Answer {
    /// Of a verb about pools.
    Pool(pool::Answer),
    /// Of a verb about the outbox.
    Outbox(outbox::Answer),
    /// Of a verb about keys.
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
