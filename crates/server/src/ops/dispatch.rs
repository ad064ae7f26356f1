//! Dispatch from the name of an operation to its type, by the table of the wire crate.

/// Calls `$run::<Operation>` for the operation with this name.
macro_rules! dispatch {
    ($name:expr, $run:ident($($argument:expr),* $(,)?)) => {
        carryall_wire::operations!(dispatch_rows, ($name, $run($($argument),*)))
    };
}

/// One arm for each row of the table. The arguments are one token tree here, since they are repeated in every arm.
macro_rules! dispatch_rows {
    ({ ($name:expr, $run:ident $arguments:tt) } $($service:ident {
        $($module:ident :: $operation:ident ($($named:ident),*),)*
    })*) => {
        match $name {
            $($(carryall_wire::spec::OperationName::$operation => {
                $run::<carryall_wire::ops::$service::$operation> $arguments .await
            })*)*
        }
    };
}

pub(crate) use {dispatch, dispatch_rows};
