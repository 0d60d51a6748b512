//! adit's own events on standard error. The level can change while it runs.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;
use tracing_subscriber::reload;
use tracing_subscriber::{Registry, fmt};

use crate::config::{Log, LogFormat, LogLevel};

/// Changes the level of what is logged.
pub(crate) struct LevelControl(reload::Handle<Targets, Registry>);

/// Installs the subscriber. `None` if there is one already.
pub(crate) fn install(log: Log) -> Option<LevelControl> {
    let (filter, handle) = reload::Layer::new(filter(log.level));
    let registry = tracing_subscriber::registry().with(filter);
    let colors = crate::commands::colors_on_stderr();
    let installed = match log.format {
        LogFormat::Text => registry
            .with(
                fmt::layer()
                    .with_writer(std::io::stderr)
                    .with_ansi(colors)
                    .with_target(false),
            )
            .try_init(),
        LogFormat::Json => registry
            .with(
                fmt::layer()
                    .json()
                    .flatten_event(true)
                    .with_writer(std::io::stderr),
            )
            .try_init(),
    };
    installed.ok().map(|()| LevelControl(handle))
}

impl LevelControl {
    pub(crate) fn set(&self, level: LogLevel) {
        // Fails only if the subscriber is gone, and it lives as long as the process.
        let _ = self.0.reload(filter(level));
    }
}

fn filter(level: LogLevel) -> Targets {
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    // The library warns of what any client can cause.
    let library = if level < LevelFilter::DEBUG {
        level.min(LevelFilter::ERROR)
    } else {
        level
    };
    Targets::new()
        .with_default(level)
        .with_target("h2", library)
}
