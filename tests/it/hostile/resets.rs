//! Streams that are reset: the work that they began counts as running until it has stopped (L-30).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::backend::Backend;
use crate::support::h2raw::{H2Raw, RST_STREAM, frame, get};
use crate::support::site::Site;
use crate::support::{eventually, pass};

/// A client resets what it has opened and opens more, within what its resets are worth: the backend
/// never works on more than a hundred of its requests.
///
/// Acceptance: 38
#[test]
fn a_client_has_a_hundred_requests_at_the_backend_whatever_it_resets() {
    let site = Site::new();
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (now, highest) = (Arc::clone(&running), Arc::clone(&most));
    let backend = Backend::start(move |_, mut client| {
        if client.try_until_head() {
            let count = now.fetch_add(1, Ordering::Relaxed) + 1;
            highest.fetch_max(count, Ordering::Relaxed);
            // Until adit gives it up.
            client.drain();
            now.fetch_sub(1, Ordering::Relaxed);
        }
    });
    let doors = "listeners:\n- {name: prior, role: lan, bind: \"127.0.0.1:0\", protocol: h2c}\n";
    let adit = site.run_with(
        doors,
        &format!(
            "workers: 1\nroutes:\n- {{host: www.example.test, backends: [\"http://{}\"]}}\n",
            backend.addr()
        ),
    );
    let mut client = H2Raw::connect(adit.addr("prior"));
    let mut next = 1;
    for round in 0..3 {
        for _ in 0..if round == 0 { 100 } else { 30 } {
            client.send(get(next, "/hold"));
            next += 2;
        }
        if round == 0 {
            eventually("the backend is busy", || {
                (running.load(Ordering::Relaxed) == 100).then_some(())
            });
        }
        for reset in 0..30 {
            let stream = next - 2 - 2 * reset;
            client.send(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
        }
        pass(Duration::from_millis(100));
    }
    assert!(
        most.load(Ordering::Relaxed) <= 100,
        "{}",
        most.load(Ordering::Relaxed)
    );
}
