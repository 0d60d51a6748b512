//! Samples and their escaping: the grammar of the Prometheus text format.

use std::fmt::{Display, Write as _};

use crate::metrics::histogram::{BOUNDS_MICROS, HistogramReading};

/// The text that grows. Writing into a `String` does not fail.
#[derive(Default)]
pub(super) struct Page(String);

/// Labels of one sample: names with values.
pub(super) type Labels<'a> = &'a [(&'static str, &'a str)];

impl Page {
    pub(super) fn into_text(self) -> String {
        self.0
    }

    pub(super) fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    pub(super) fn sample(&mut self, name: &str, labels: Labels<'_>, value: impl Display) {
        self.0.push_str(name);
        self.labels(labels);
        let _ = writeln!(self.0, " {value}");
    }

    fn labels(&mut self, labels: Labels<'_>) {
        let mut open = '{';
        for (name, value) in labels {
            self.0.push(open);
            self.0.push_str(name);
            self.0.push_str("=\"");
            self.escaped(value);
            self.0.push('"');
            open = ',';
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
    }

    fn escaped(&mut self, value: &str) {
        for character in value.chars() {
            match character {
                '\\' => self.0.push_str("\\\\"),
                '"' => self.0.push_str("\\\""),
                '\n' => self.0.push_str("\\n"),
                control if control.is_control() => self.0.push('\u{fffd}'),
                plain => self.0.push(plain),
            }
        }
    }

    pub(super) fn histogram(&mut self, name: &str, labels: Labels<'_>, reading: &HistogramReading) {
        let mut below = 0;
        let bounds = BOUNDS_MICROS.iter().map(|micros| *micros as f64 / 1e6);
        for (bound, count) in bounds.zip(reading.buckets) {
            below += count;
            self.bucket(name, labels, &bound, below);
        }
        self.bucket(name, labels, &"+Inf", reading.count());
        self.0.push_str(name);
        self.0.push_str("_sum");
        self.labels(labels);
        let _ = writeln!(self.0, " {}", reading.nanos as f64 / 1e9);
        self.0.push_str(name);
        self.0.push_str("_count");
        self.labels(labels);
        let _ = writeln!(self.0, " {}", reading.count());
    }

    fn bucket(&mut self, name: &str, labels: Labels<'_>, bound: &dyn Display, count: u64) {
        self.0.push_str(name);
        self.0.push_str("_bucket");
        self.labels(labels);
        if labels.is_empty() {
            self.0.push('{');
        } else {
            // The bound joins the labels that are already written.
            self.0.pop();
            self.0.push(',');
        }
        let _ = writeln!(self.0, "le=\"{bound}\"}} {count}");
    }
}
