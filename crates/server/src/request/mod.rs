//! One request, from its head to its answer: [`pipeline`] is the list of checks that it passes.

pub mod authenticate;
mod body;
pub mod cors;
pub mod exchange;
pub mod pipeline;
pub mod probes;
