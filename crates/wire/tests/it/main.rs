//! Tests of the wire crate from outside, through its public interface alone.

mod effects;
mod hostile;
mod published_model;
mod sigv4;
mod table;
