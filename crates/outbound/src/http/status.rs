//! The meaning of a receiver's status for a message: one table for all HTTP destinations but triggers.

use http::StatusCode;

use super::client::{Answer, NoAnswer};
use crate::port::Undelivered;

/// Maps an answer to an outcome. 2xx is success. 410 means that the destination is gone, and 429 asks for
/// fewer requests. 401, 403, 404, 408, 425 and 5xx may be temporary, as they are while a receiver is
/// redeployed. Any other status, redirects included, refuses this message.
pub(super) fn outcome(origin: &str, exchanged: Result<Answer, NoAnswer>) -> Result<(), Undelivered> {
    let status = match exchanged {
        Ok(answer) => answer.status,
        Err(NoAnswer::TimedOut { cause } | NoAnswer::Unreached { cause }) => {
            return Err(Undelivered::Retry { cause });
        }
        Err(NoAnswer::Unmakeable { cause }) => return Err(Undelivered::Refused { cause }),
    };
    let cause = format!("{origin} answered {status}");
    match status {
        _ if status.is_success() => Ok(()),
        StatusCode::GONE => Err(Undelivered::Gone { cause }),
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::UNAUTHORIZED
        | StatusCode::FORBIDDEN
        | StatusCode::NOT_FOUND
        | StatusCode::REQUEST_TIMEOUT
        | StatusCode::TOO_EARLY => Err(Undelivered::Retry { cause }),
        _ if status.is_server_error() => Err(Undelivered::Retry { cause }),
        _ => Err(Undelivered::Refused { cause }),
    }
}
