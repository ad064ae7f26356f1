//! The operation table: for every operation of the three services its name, its place on the wire, who may call it
//! and which faults it may answer with.
//!
//! The list in [`operations!`](crate::operations) is the only one. [`OperationName`], [`OPERATIONS`], [`Names`],
//! routing, the RPC targets and the server's dispatch are derived from it, and tests compare it with the published
//! models.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::fault::FaultKind;
use crate::names::Names;
use crate::ops;
pub use crate::service::Service;

/// The HTTP methods that the table uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// `GET`
    Get,
    /// `POST`
    Post,
    /// `DELETE`
    Delete,
}

impl Method {
    /// The method as it is sent and signed.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Delete => "DELETE",
        }
    }

    /// Parses a method; methods are case-sensitive.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "GET" => Some(Self::Get),
            "POST" => Some(Self::Post),
            "DELETE" => Some(Self::Delete),
            _ => None,
        }
    }
}

/// The callers that an operation admits (`docs/protocol.md` section 5.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// Developer keys only.
    Developer,
    /// Temporary credentials of an identity only.
    Identity,
    /// Developer keys, and temporary credentials for the identity's own data.
    Either,
    /// Anybody. A signature is not required, and is ignored if present.
    Public,
    /// Anybody who signs.
    AnySigned,
}

/// The effect of an operation on stored data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Changes nothing.
    Read,
    /// May change what is stored.
    Write,
}

/// The location of a member outside the body (REST-JSON only).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The label in the path that has the member's name.
    Label,
    /// The query member with this name.
    Query(&'static str),
    /// The header with this name, spelled as in the model; header names are compared case-insensitively.
    Header(&'static str),
}

/// A member bound to a location outside the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bind {
    /// The member's name in the model.
    pub member: &'static str,
    /// The location.
    pub from: Source,
}

impl Bind {
    /// A member in the path.
    pub const fn label(member: &'static str) -> Self {
        Self { member, from: Source::Label }
    }

    /// A member in the query.
    pub const fn query(member: &'static str, name: &'static str) -> Self {
        Self { member, from: Source::Query(name) }
    }

    /// A member in a header.
    pub const fn header(member: &'static str, name: &'static str) -> Self {
        Self { member, from: Source::Header(name) }
    }

    /// The name of the member on the wire.
    pub const fn wire_name(&self) -> &'static str {
        match self.from {
            Source::Label => self.member,
            Source::Query(name) | Source::Header(name) => name,
        }
    }
}

/// One input and one output, as JSON with every member present.
#[derive(Clone, Copy, Debug)]
pub struct Example {
    /// All input members, those of path, query and headers included.
    pub input: &'static str,
    /// All output members.
    pub output: &'static str,
}

/// The declaration of one operation.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// The operation's name.
    pub name: OperationName,
    /// The service that has the operation.
    pub service: Service,
    /// The REST method; `POST` for the services that have no paths.
    pub method: Method,
    /// The REST path with labels in braces; `/` for the services that have no paths.
    pub path: &'static str,
    /// The members that REST carries outside the body.
    pub binds: &'static [Bind],
    /// The callers that it admits.
    pub access: Access,
    /// The effect on stored data.
    pub effect: Effect,
    /// The faults that the published model lists for it.
    pub faults: &'static [FaultKind],
    /// The largest accepted body, in bytes.
    pub body_bytes_max: u32,
    /// A complete input and output.
    pub example: Example,
}

impl Spec {
    /// True if the operation may answer with this fault: its model lists the fault, or the fault belongs to
    /// the protocol itself (`docs/protocol.md` section 3.5).
    pub fn allows(&self, kind: FaultKind) -> bool {
        kind.is_protocol() || self.faults.contains(&kind)
    }
}

/// Body limit of operations that carry names, tokens and settings (64 KiB).
pub const SETTINGS_BODY_BYTES_MAX: u32 = 64 * 1024;

/// Body limit of operations that may carry a pool's role rules (1 MiB).
pub const ROLES_BODY_BYTES_MAX: u32 = 1024 * 1024;

/// Body limit of `UpdateRecords`: a full dataset after the worst JSON escaping (8 MiB, `docs/protocol.md`
/// section 6.2).
pub const RECORDS_BODY_BYTES_MAX: u32 = 8 * 1024 * 1024;

/// An operation as a type: its declaration and both messages.
pub trait Operation {
    /// The row of the table.
    const SPEC: Spec;
    /// The input. Members are as received: absent ones are `None`, and constraints are not checked.
    type Input: DeserializeOwned + Serialize + Default + Names + Send;
    /// The output.
    type Output: DeserializeOwned + Serialize + Send;

    /// The size of an output in bytes of JSON, for operations whose outputs can be large.
    fn json_bytes(_output: &Self::Output) -> Option<usize> {
        None
    }

    /// Appends an output as JSON. An operation that reports a size writes exactly that many bytes.
    fn write_json(output: &Self::Output, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
        serde_json::to_writer(out, output)
    }
}

/// Work to do for an operation that is known by name only.
pub trait Visitor {
    /// The result of the visit.
    type Answer;
    /// Does the work for the operation as a type.
    fn visit<O: Operation>(self) -> Self::Answer;
}

/// Calls a macro with the whole table: `operations!(then, tokens…)` expands to `then! { { tokens… } table }`.
///
/// The table comes by service as `service { module::Operation(names…), … }`, where `names` are those members
/// of [`Names`] that the operation's input has. Code that needs one piece per operation takes the table from
/// here, so that adding an operation is one row.
#[macro_export]
macro_rules! operations {
    ($then:ident $(, $($with:tt)*)?) => {
        $then! {
            { $($($with)*)? }
            sync {
                bulk_publish::BulkPublish(pool),
                delete_dataset::DeleteDataset(pool, identity, dataset),
                describe_dataset::DescribeDataset(pool, identity, dataset),
                describe_identity_pool_usage::DescribeIdentityPoolUsage(pool),
                describe_identity_usage::DescribeIdentityUsage(pool, identity),
                get_bulk_publish_details::GetBulkPublishDetails(pool),
                get_cognito_events::GetCognitoEvents(pool),
                get_identity_pool_configuration::GetIdentityPoolConfiguration(pool),
                list_datasets::ListDatasets(pool, identity),
                list_identity_pool_usage::ListIdentityPoolUsage(),
                list_records::ListRecords(pool, identity, dataset),
                register_device::RegisterDevice(pool, identity),
                set_cognito_events::SetCognitoEvents(pool),
                set_identity_pool_configuration::SetIdentityPoolConfiguration(pool),
                subscribe_to_dataset::SubscribeToDataset(pool, identity, dataset),
                unsubscribe_from_dataset::UnsubscribeFromDataset(pool, identity, dataset),
                update_records::UpdateRecords(pool, identity, dataset),
            }
            identity {
                create_identity_pool::CreateIdentityPool(),
                delete_identities::DeleteIdentities(),
                delete_identity_pool::DeleteIdentityPool(pool),
                describe_identity::DescribeIdentity(identity),
                describe_identity_pool::DescribeIdentityPool(pool),
                get_credentials_for_identity::GetCredentialsForIdentity(identity),
                get_id::GetId(pool),
                get_identity_pool_roles::GetIdentityPoolRoles(pool),
                get_open_id_token::GetOpenIdToken(identity),
                list_identities::ListIdentities(pool),
                list_identity_pools::ListIdentityPools(),
                set_identity_pool_roles::SetIdentityPoolRoles(pool),
                update_identity_pool::UpdateIdentityPool(pool),
            }
            sts {
                assume_role_with_web_identity::AssumeRoleWithWebIdentity(),
                get_caller_identity::GetCallerIdentity(),
            }
        }
    };
}

macro_rules! declare {
    ({} $($service:ident { $($module:ident :: $name:ident ($($named:ident),*),)* })*) => {
        /// The name of an operation, for dispatch by exhaustive match.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum OperationName {
            $($(
                #[doc = concat!("`", stringify!($name), "`, declared in `ops/", stringify!($service), "/", stringify!($module), ".rs`.")]
                $name,
            )*)*
        }

        impl OperationName {
            /// Every operation, in the order of the table.
            pub const ALL: &'static [Self] = &[$($(Self::$name,)*)*];

            /// The name on the wire.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $($(Self::$name => stringify!($name),)*)*
                }
            }

            /// The file name of the operation in every layer.
            pub const fn file_name(self) -> &'static str {
                match self {
                    $($(Self::$name => stringify!($module),)*)*
                }
            }

            /// The operation's row in the table.
            pub const fn spec(self) -> &'static Spec {
                match self {
                    $($(Self::$name => &<ops::$service::$module::$name as Operation>::SPEC,)*)*
                }
            }

            /// Calls the visitor with the operation as a type.
            pub fn visit<V: Visitor>(self, visitor: V) -> V::Answer {
                match self {
                    $($(Self::$name => visitor.visit::<ops::$service::$module::$name>(),)*)*
                }
            }
        }

        /// The table: every row, in the order of [`OperationName::ALL`].
        pub static OPERATIONS: &[&Spec] = &[$($(OperationName::$name.spec(),)*)*];

        $($(
            impl Names for <ops::$service::$module::$name as Operation>::Input {
                $(named!($named);)*
            }
        )*)*
    };
}

/// The method of [`Names`] for a member that the table says an input has.
macro_rules! named {
    (pool) => {
        fn pool(&self) -> Option<&str> {
            self.identity_pool_id.as_deref()
        }
    };
    (identity) => {
        fn identity(&self) -> Option<&str> {
            self.identity_id.as_deref()
        }
    };
    (dataset) => {
        fn dataset(&self) -> Option<&str> {
            self.dataset_name.as_deref()
        }
    };
}

operations!(declare);

impl OperationName {
    /// Finds an operation of one service by its name on the wire.
    pub fn parse(service: Service, name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|known| known.as_str() == name && known.spec().service == service)
    }
}
