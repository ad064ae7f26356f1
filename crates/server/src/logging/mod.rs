//! The log on standard error: text on a terminal, JSON lines otherwise. Libraries that log through the `log`
//! crate are included.

#[cfg(test)]
pub mod captured;
mod json_line;
mod once;

use std::io::IsTerminal;

use tracing_subscriber::filter::{LevelFilter, ParseError, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use self::json_line::JsonLine;
pub use self::once::LoggedOnce;

/// The filter of `directives`: levels by target, such as `info,fjall=debug`. A bare level is that of this
/// program; libraries then log warnings and errors only.
pub fn filter(directives: &str) -> Result<Targets, ParseError> {
    match directives.parse::<LevelFilter>() {
        Ok(level) if level > LevelFilter::WARN => {
            Ok(Targets::new().with_default(LevelFilter::WARN).with_target("carryall", level))
        }
        Ok(level) => Ok(Targets::new().with_default(level)),
        Err(_) => directives.parse(),
    }
}

/// Starts to log. `directives` have been checked with the other settings.
pub fn begin(directives: &str) {
    let filter = filter(directives).unwrap_or_else(|_| Targets::new().with_default(LevelFilter::INFO));
    let builder = tracing_subscriber::fmt().with_max_level(LevelFilter::TRACE).with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() {
        builder.with_target(false).finish().with(filter).init();
    } else {
        builder.with_ansi(false).event_format(JsonLine).finish().with(filter).init();
    }
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "a task panicked: {}", panic.payload_as_str().unwrap_or("no message"));
    }));
}

#[cfg(test)]
mod tests {
    use tracing::Level;
    use tracing_subscriber::filter::LevelFilter;

    #[test]
    fn a_bare_level_is_that_of_this_program_and_directives_name_targets() {
        for (directives, own, engine) in [
            ("info", LevelFilter::INFO, LevelFilter::WARN),
            ("DEBUG", LevelFilter::DEBUG, LevelFilter::WARN),
            ("error", LevelFilter::ERROR, LevelFilter::ERROR),
            ("off", LevelFilter::OFF, LevelFilter::OFF),
            ("info,fjall=debug", LevelFilter::INFO, LevelFilter::DEBUG),
        ] {
            let filter = super::filter(directives).unwrap();
            for (target, most) in [("carryall::relay", own), ("fjall::journal", engine)] {
                for level in [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE] {
                    assert_eq!(
                        filter.would_enable(target, &level),
                        level <= most,
                        "{directives} {target} {level}"
                    );
                }
            }
        }
        assert!(super::filter("carryall=loud").is_err());
    }
}
