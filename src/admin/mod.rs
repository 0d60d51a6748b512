//! The admin surface: health, metrics, what is served and by whom. Read-only.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::SystemTime;

use adit_proxy::http::body::Body;
use adit_proxy::http::message::{Request, Response};
use adit_proxy::metrics::Metrics;
use adit_proxy::snapshot::Snapshot;
use adit_proxy::{AdminSurface, ConnectionView};
use arc_swap::ArcSwap;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use tokio::sync::{mpsc, oneshot};

use crate::config::Config;

/// How far the process is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Starting,
    Serving,
    Draining,
}

/// What control knows at the moment; replaced whole.
pub(crate) struct Status {
    pub phase: Phase,
    /// Why the newest configuration was refused, if it was.
    pub config_error: Option<String>,
    /// Problems that do not stop serving, such as a certificate that kept its last good content.
    pub degraded: Vec<String>,
    /// When the served generation was published.
    pub published: SystemTime,
    pub snapshot: Option<Arc<Snapshot>>,
    pub config: Option<Arc<Config>>,
    pub addresses: Vec<(Arc<str>, Vec<SocketAddr>)>,
}

/// Asks control for the open connections.
pub(crate) type Inspect = oneshot::Sender<Vec<ConnectionView>>;

/// Answers on admin doors.
pub(crate) struct Admin {
    pub metrics: Arc<Metrics>,
    pub status: ArcSwap<Status>,
    pub inspect: mpsc::Sender<Inspect>,
}

impl Admin {
    pub(crate) fn new(metrics: Arc<Metrics>, inspect: mpsc::Sender<Inspect>) -> Self {
        Self {
            metrics,
            status: ArcSwap::from_pointee(Status {
                phase: Phase::Starting,
                config_error: None,
                degraded: Vec::new(),
                published: SystemTime::now(),
                snapshot: None,
                config: None,
                addresses: Vec::new(),
            }),
            inspect,
        }
    }
}

impl AdminSurface for Admin {
    fn respond<'a>(&'a self, request: &'a Request) -> Pin<Box<dyn Future<Output = Response> + 'a>> {
        Box::pin(async move {
            let status = self.status.load();
            match request.target.path() {
                "/livez" => text(StatusCode::OK, "alive\n"),
                "/readyz" if status.phase == Phase::Serving => text(StatusCode::OK, "ready\n"),
                "/readyz" => text(StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
                "/metrics" => text(StatusCode::OK, &self.metrics.render()),
                _ => text(StatusCode::NOT_FOUND, "not found\n"),
            }
        })
    }
}

fn text(status: StatusCode, body: &str) -> Response {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    Response { status, headers, body: Body::full(body.to_owned()) }
}
