//! Traces: how much is recorded, and who collects it.

use super::super::scalar::{BACKEND, NAME, URL_PATH};
use super::{Kind, MILLISECOND, SECOND, Table, key};

pub(super) static TRACING: Table = Table {
    name: "tracing",
    doc: "Traces (W3C Trace Context), and their spans for a collector. Spans wait in bounded queues \
            and are dropped, and counted, when the collector does not keep up.",
    keys: &[
        key(
            "otlp",
            Kind::Scalar(&BACKEND),
            "The collector: OTLP over HTTP for `http://` and `https://`, over gRPC for `h2c://` and \
            `h2://`. Without it the context is passed on and nothing is recorded.",
        )
        .default("none")
        .example("\"http://127.0.0.1:4318\""),
        key(
            "path",
            Kind::Scalar(&URL_PATH),
            "Path of OTLP over HTTP.",
        )
        .default("/v1/traces")
        .example("/otlp/v1/traces"),
        key("service", Kind::Scalar(&NAME), "`service.name` of the spans.")
            .default("adit")
            .example("edge"),
        key(
            "sample",
            Kind::Integer { min: 0, max: 100 },
            "Share in percent of the traces begun here that are recorded.",
        )
        .default("100")
        .example("5"),
        key(
            "parentBased",
            Kind::Bool,
            "Whether the decision of a trusted client counts before `sample`.",
        )
        .default("true")
        .example("false"),
        key(
            "routes",
            Kind::Word(&["all", "named"]),
            "Whether every route is traced, or only those that write `tracing` themselves.",
        )
        .default("all")
        .example("named"),
        key(
            "queue",
            Kind::Integer {
                min: 1,
                max: 1_000_000,
            },
            "Spans that may wait in each worker.",
        )
        .default("2048")
        .example("4096"),
        key(
            "batch",
            Kind::Integer {
                min: 1,
                max: 10_000,
            },
            "Spans that are sent at once, at most.",
        )
        .default("512")
        .example("256"),
        key(
            "delay",
            Kind::Duration {
                min: MILLISECOND,
                max: 600 * SECOND,
            },
            "Time after which fewer are sent.",
        )
        .default("5s")
        .example("1s"),
    ],
    includes: &[],
    planned: &[],
};
