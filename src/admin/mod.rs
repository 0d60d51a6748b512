//! The admin surface: health, metrics, what is served and by whom, and a page that shows it.
//!
//! Answers on doors of role `admin` and changes nothing. It holds three sources: the counters, what
//! control said last ([`StatusCell`]), and a way to ask control for the open connections. Requests
//! come in on data workers, so whatever walks over all routes is put together on a thread of its
//! own, two at a time: a page that somebody watches must not delay anybody's traffic.

mod clock;
mod gate;
mod health;
mod page;
mod reply;
mod routes;
mod standing;
mod status;
mod traffic;

use std::cmp::Reverse;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use adit_proxy::http::message::{Request, Response};
use adit_proxy::metrics::{Metrics, Reading};
use adit_proxy::{AdminSurface, ConnectionView, RefusedHead};
use http::StatusCode;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::config::{LimitValue, limit_values};

use gate::Gate;
use standing::Standing;
pub(crate) use standing::{Phase, Status, StatusCell};
use traffic::Traffic;

/// Asks control for the open connections.
pub(crate) type Inspect = oneshot::Sender<Vec<ConnectionView>>;

/// Reports that are put together at once.
const REPORTS: usize = 2;

/// How long control may take to say which connections are open.
const PATIENCE: Duration = Duration::from_secs(3);

/// Answers on admin doors.
pub(crate) struct Admin {
    /// What control said last.
    pub status: StatusCell,
    metrics: Arc<Metrics>,
    traffic: Arc<Mutex<Traffic>>,
    inspect: mpsc::Sender<Inspect>,
    gate: Gate,
    reports: Semaphore,
}

/// What a report is made from, at one moment.
struct Sources {
    metrics: Arc<Metrics>,
    traffic: Arc<Mutex<Traffic>>,
    standing: Arc<Standing>,
}

impl Admin {
    pub(crate) fn new(metrics: Arc<Metrics>, inspect: mpsc::Sender<Inspect>) -> Self {
        Self {
            status: StatusCell::default(),
            metrics,
            traffic: Arc::default(),
            inspect,
            gate: Gate::of_this_machine(),
            reports: Semaphore::new(REPORTS),
        }
    }

    async fn answer(&self, request: &Request) -> Response {
        if let Some(refusal) = self.gate.refuse(&request.host, &request.method) {
            return refusal;
        }
        match request.target.path() {
            "/" => page::page(),
            "/livez" => health::livez(self.metrics.overload()),
            "/readyz" => {
                let standing = self.status.standing();
                health::readyz(&standing, self.metrics.overload(), &request.headers)
            }
            "/statusz" => health::statusz(&self.status.standing(), self.metrics.overload()),
            "/metrics" => self.report(reply::metrics, Sources::metrics).await,
            "/status" => self.report(reply::json, Sources::status).await,
            "/routes" => self.report(reply::json, Sources::routes).await,
            "/limits" => self.report(reply::json, Sources::limits).await,
            "/refused" => self.report(reply::json, Sources::refused).await,
            "/connections" => self.connections().await,
            _ => reply::text(
                StatusCode::NOT_FOUND,
                "not found; there are / /livez /readyz /statusz /metrics /status /routes /connections /limits /refused\n",
            ),
        }
    }

    /// Puts a report together beside the workers.
    async fn report(
        &self,
        reply: impl FnOnce(String) -> Response,
        make: impl FnOnce(&Sources) -> String + Send + 'static,
    ) -> Response {
        let sources = Sources {
            metrics: Arc::clone(&self.metrics),
            traffic: Arc::clone(&self.traffic),
            standing: self.status.standing(),
        };
        let turn = self.reports.acquire().await;
        let made = tokio::task::spawn_blocking(move || make(&sources)).await;
        drop(turn);
        match made {
            Ok(text) => reply(text),
            Err(_) => reply::text(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the report failed; the log says why\n",
            ),
        }
    }

    async fn connections(&self) -> Response {
        let (answer, answered) = oneshot::channel();
        let asking = async {
            self.inspect.send(answer).await.ok()?;
            answered.await.ok()
        };
        match tokio::time::timeout(PATIENCE, asking).await {
            Ok(Some(views)) => {
                let report = move |sources: &Sources| connections(&views, &sources.metrics.read());
                self.report(reply::json, report).await
            }
            _ => reply::text(
                StatusCode::SERVICE_UNAVAILABLE,
                "not now: connections are not listed while adit starts or stops\n",
            ),
        }
    }
}

impl Sources {
    fn metrics(&self) -> String {
        self.metrics.render()
    }

    fn status(&self) -> String {
        let reading = self.metrics.read();
        let rates = self
            .traffic
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .observe(&reading);
        let shed = self.metrics.overload().shedding();
        status::report(&self.standing, &reading, rates.as_ref(), shed).to_string()
    }

    fn routes(&self) -> String {
        routes::report(&self.standing.status).to_string()
    }

    fn limits(&self) -> String {
        let config = self.standing.status.config.as_ref();
        let limits = config.map(|config| limit_values(&config.limits));
        let limit = |limit: LimitValue| {
            let source = if limit.value == limit.default {
                "default"
            } else {
                "file"
            };
            json!({"key": limit.key, "id": limit.id, "value": limit.value,
                "default": limit.default, "source": source})
        };
        let limits: Vec<Value> = limits.into_iter().flatten().map(limit).collect();
        // What 0 stands for depends on the machine.
        let overload = self.metrics.overload();
        let derived = json!({"connections": overload.most_connections(),
            "memory": overload.memory_limit()});
        json!({"limits": limits, "derived": derived}).to_string()
    }

    /// The heads that the gate refused last, and what was attempted so far (O-06, O-07).
    fn refused(&self) -> String {
        let security = self.metrics.security();
        let head = |head: &RefusedHead| {
            json!({"at": clock::rfc3339(head.at), "rule": head.rule,
                "listener": &*head.listener, "client": head.client.to_string(),
                "head": reply::tame(&head.head.escape_ascii().to_string())})
        };
        let heads: Vec<Value> = security.heads().iter().map(head).collect();
        let attempts = security
            .attempts()
            .map(|(attempt, count)| (attempt.as_str(), count));
        let attempts: std::collections::BTreeMap<_, _> = attempts.into();
        json!({"attempts": attempts, "heads": heads}).to_string()
    }
}

/// Open connections, the oldest first; of very many only a part is shown.
fn connections(views: &[ConnectionView], reading: &Reading) -> String {
    let open: u64 = reading.listeners.iter().map(|door| door.active).sum();
    let mut views: Vec<&ConnectionView> = views.iter().collect();
    views.sort_by_key(|view| Reverse(view.age));
    let list: Vec<Value> = views
        .into_iter()
        .map(|view| {
            json!({"id": view.id, "worker": view.worker, "listener": view.listener,
                "client": view.client.map(|client| client.to_string()), "sni": view.sni,
                "protocol": view.protocol, "requests": view.requests,
                "ageSeconds": view.age.as_secs_f64()})
        })
        .collect();
    json!({"open": open, "shown": list.len(), "connections": list}).to_string()
}

impl AdminSurface for Admin {
    fn respond<'a>(&'a self, request: &'a Request) -> Pin<Box<dyn Future<Output = Response> + 'a>> {
        Box::pin(self.answer(request))
    }
}
