//! The log: to standard error, for people on a terminal and as JSON lines otherwise. Libraries that log through the
//! `log` crate end up in it too.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{LevelFilter, ParseError};

/// The filter that `directives` ask for. A bare level is about this program: libraries then speak up from warnings
/// on, since what they find worth telling is not what operators want to read.
pub fn filter(directives: &str) -> Result<EnvFilter, ParseError> {
    match directives.parse::<LevelFilter>() {
        Ok(level) if level > LevelFilter::WARN => EnvFilter::try_new(format!("warn,carryall={level}")),
        Ok(_) | Err(_) => EnvFilter::try_new(directives),
    }
}

/// Begins to log. `directives` have been checked with the other settings.
pub fn begin(directives: &str) {
    let filter = filter(directives).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() {
        builder.with_target(false).init();
    } else {
        builder
            .json()
            .flatten_event(true)
            .with_ansi(false)
            .with_current_span(false)
            .with_span_list(false)
            .init();
    }
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "a task panicked: {}", panic.payload_as_str().unwrap_or("no message"));
    }));
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_bare_level_is_about_this_program_and_directives_are_taken_as_they_are() {
        for (directives, filter) in [
            ("info", "carryall=info,warn"),
            ("DEBUG", "carryall=debug,warn"),
            ("error", "error"),
            ("off", "off"),
            ("info,fjall=debug", "fjall=debug,info"),
        ] {
            assert_eq!(super::filter(directives).unwrap().to_string(), filter);
        }
        assert!(super::filter("carryall=loud").is_err());
    }
}
