#![doc = include_str!("../README.md")]

mod admin;
mod app;
mod cli;
mod commands;
mod config;
mod telemetry;

use std::process::ExitCode;

use clap::Parser;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    adit_proxy::tls::install_provider();
    let cli = cli::Cli::parse();
    commands::run(cli).into()
}
