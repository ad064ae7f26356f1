//! `carryall outbox list|retry|drop`.

use clap::Subcommand;

use super::invocation::Invocation;
use super::{open, print};
use crate::admin::outbox::{self, OutboxList, ParkedLine};
use crate::admin::{self, Answer, OperatorError};

#[derive(Subcommand)]
pub(super) enum Verb {
    /// List undeliverable events
    List,
    /// Retry undeliverable events
    Retry {
        /// The first event of the lane to retry, as listed
        #[arg(value_name = "EVENT_ID", required_unless_present = "all")]
        event: Option<String>,
        /// Retry every listed event
        #[arg(long, conflicts_with = "event")]
        all: bool,
    },
    /// Drop an event; the events behind it are delivered
    Drop {
        /// The id of the event, as listed
        #[arg(value_name = "EVENT_ID")]
        event: String,
    },
}

pub(super) async fn run(verb: Verb, invocation: Invocation) -> Result<(), OperatorError> {
    let output = invocation.output;
    let verb = match verb {
        Verb::List => outbox::Verb::List,
        Verb::Retry { event, all: _ } => outbox::Verb::Retry { event },
        Verb::Drop { event } => outbox::Verb::Drop { event },
    };
    let Answer::Outbox(answer) = open::execute(invocation, admin::Verb::Outbox(verb)).await? else {
        return Err(open::ANOTHER_ANSWER.into());
    };
    match answer {
        outbox::Answer::Listed(list) => print::either(output, &list, lines),
        outbox::Answer::Retried(retried) => {
            print::either(output, &retried, |retried| format!("retried {} parked lanes", retried.lanes))
        }
        outbox::Answer::Dropped(dropped) => {
            print::either(output, &dropped, |dropped| format!("dropped {}", dropped.event_id))
        }
    }
}

fn lines(list: &OutboxList) -> String {
    if list.parked.is_empty() {
        return "nothing is parked".to_owned();
    }
    let lane = |line: &ParkedLine| {
        let note = if line.switched_off { ", resumes when streaming is switched on again" } else { "" };
        format!(
            "{}\n  parked {}, {} waiting, {} deliveries failed{note}\n  {}\n",
            line.event_id, line.parked, line.events, line.attempts, line.trouble
        )
    };
    let mut text: String = list.parked.iter().map(lane).collect();
    if list.more {
        text.push_str("and more\n");
    }
    text
}
