//! The dialects: the wrapping of messages, apart from their contents.

use crate::spec::Service;

/// The format of a request and of its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Cognito Sync as every SDK sends it (`docs/protocol.md` section 1.1).
    Rest,
    /// Cognito Sync on `POST /` with a target (`docs/protocol.md` section 1.2).
    Rpc(Wrapping),
    /// Cognito Identity, JSON 1.1 (`docs/protocol.md` section 1.3).
    Json,
    /// STS: form in, XML out (`docs/protocol.md` section 1.4).
    Query,
}

/// The wrapping of an RPC message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wrapping {
    /// `Operation`, `Service` and `Input` in; `Output` and `Version` out.
    Enveloped,
    /// The members alone, both ways.
    Bare,
}

impl Dialect {
    /// The service that uses the dialect.
    pub const fn service(self) -> Service {
        match self {
            Self::Rest | Self::Rpc(_) => Service::Sync,
            Self::Json => Service::Identity,
            Self::Query => Service::Sts,
        }
    }

    /// The content type of answers, faults included.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Rest | Self::Rpc(_) => "application/json",
            Self::Json => "application/x-amz-json-1.1",
            Self::Query => "text/xml",
        }
    }
}
