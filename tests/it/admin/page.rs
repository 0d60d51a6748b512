//! The page as it is in a browser: what it shows, by keyboard, in the dark, on a phone, and when
//! something is wrong.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use adit_bench::Kind;
use serde_json::json;

use super::chromium::Chromium;
use super::serve;
use crate::support::adit::Adit;
use crate::support::raw::Raw;
use crate::support::site::Site;
use crate::support::{free_addr, origin, pass};

fn open(adit: &Adit) -> Chromium {
    let mut page = Chromium::open(&format!("http://{}/", adit.addr("adm")));
    page.wait("document.getElementById('state')?.textContent.startsWith('serving')");
    page
}

/// Text of the rows of a table, by its id.
fn rows(id: &str) -> String {
    format!(
        "[...document.querySelectorAll('#{id} tbody tr')].map(row => row.innerText).join('\\n')"
    )
}

fn active() -> &'static str {
    "document.activeElement.id || document.activeElement.className || document.activeElement.textContent"
}

#[test]
fn the_page_shows_hosts_doors_backends_and_certificates_in_a_browser() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let dead = free_addr();
    let adit = site.run(&format!(
        "routes:\n\
         - {{host: www.example.test, backends: [\"http://{}\"]}}\n\
         - {{host: old.example.test, backends: [\"http://{dead}\"]}}\n\
         - {{host: own.example.test, tls: passthrough, backends: [\"{}\"]}}\n\
         rules:\n- {{name: hidden, hosts: [old.example.test], exposure: off}}\n",
        one.addr(),
        one.addr(),
    ));
    let (enough, web) = (AtomicBool::new(false), adit.addr("web"));
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut client = Raw::connect(web);
            while !enough.load(Ordering::Relaxed) {
                client.send("GET / HTTP/1.1\r\nHost: www.example.test\r\n\r\n");
                assert!(client.answer().0.starts_with("HTTP/1.1 200"));
                pass(Duration::from_millis(20));
            }
        });
        let mut page = Ended(&enough, open(&adit));
        shows_everything(&mut page.1, &adit, &[one.addr(), dead]);
    });
}

/// Lets the load end however the test does.
struct Ended<'a>(&'a AtomicBool, Chromium);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn shows_everything(page: &mut Chromium, adit: &Adit, backend_addresses: &[SocketAddr]) {
    let hosts = page.text(&rows("hosts"));
    for part in [
        "www.example.test",
        "own.example.test",
        "passed through",
        "hidden",
        "off",
        "webs",
    ] {
        assert!(hosts.contains(part), "{part} in {hosts}");
    }
    let doors = page.text(&rows("doors"));
    for part in ["web", "webs", "adm", &adit.addr("webs").to_string()] {
        assert!(doors.contains(part), "{part} in {doors}");
    }
    let backends = page.text(&rows("backends"));
    for address in backend_addresses {
        assert!(
            backends.contains(&address.to_string()),
            "{address} in {backends}"
        );
    }
    let certificates = page.text(&rows("certificates"));
    assert!(certificates.contains("*.example.test"), "{certificates}");
    // It is live: the rate is measured, and belongs to the host that is asked for.
    page.wait("parseFloat(document.querySelector('#tiles dd').textContent.replace(',', '')) > 0");
    page.wait(
        "[...document.querySelectorAll('#hosts tbody tr')].some(row => \
         row.innerText.includes('www') && parseFloat(row.children[4].textContent) > 0)",
    );
    page.wait("document.querySelector('#backends').innerText.includes('up')");
    assert_eq!(page.complaints(), Vec::<String>::new());
    // Paused is paused.
    page.value("document.getElementById('pause').click()");
    let moment = "document.getElementById('moment').textContent";
    let before = page.text(moment);
    pass(Duration::from_millis(4_500));
    assert_eq!(page.text(moment), before);
    page.value("document.getElementById('pause').click()");
    page.wait(&format!("{moment} !== {}", json!(before)));
}

#[test]
fn the_page_is_used_by_keyboard_alone() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let adit = serve(&site, one.addr());
    let mut page = open(&adit);
    page.press("Tab");
    assert_eq!(page.text(active()), "skip");
    page.press("Enter");
    page.wait("document.activeElement.id === 'hosts-title'");
    page.press("Tab");
    assert_eq!(page.text(active()), "filter");
    let ring = "getComputedStyle(document.activeElement).outlineStyle";
    assert_eq!(page.text(ring), "solid", "the focus is seen");
    let count = "document.querySelectorAll('#hosts tbody tr').length";
    assert_eq!(page.value(count), 2);
    page.write("OWN");
    assert_eq!(page.value(count), 1);
    assert!(page.text(&rows("hosts")).contains("own.example.test"));
    page.write(" is not there");
    assert!(page.text(&rows("hosts")).contains("No host matches"));
    page.value("document.getElementById('filter').select()");
    page.write("example");
    assert_eq!(page.value(count), 2);
    page.press("Tab");
    assert_eq!(page.text(active()), "Host");
    let first = "document.querySelector('#hosts tbody tr').innerText";
    let sorted = "document.querySelector('#hosts [aria-sort]')?.getAttribute('aria-sort')";
    for (order, host) in [("ascending", "own"), ("descending", "www")] {
        page.press("Enter");
        assert_eq!(page.text(sorted), order);
        assert!(page.text(first).starts_with(host), "{order}");
    }
    assert_eq!(page.text(active()), "Host", "the focus stays over updates");
    // Names and roles, as assistive technology is told them.
    let tree = page.call("Accessibility.getFullAXTree", &json!({}));
    let roles = |role: &str| {
        let nodes = tree["nodes"].as_array().unwrap().iter();
        nodes.filter(|node| node["role"]["value"] == role).count()
    };
    assert_eq!(roles("table"), 4);
    assert_eq!((roles("main"), roles("searchbox")), (1, 1));
    assert!(roles("columnheader") > 20 && roles("rowheader") >= 6);
    assert_eq!(page.complaints(), Vec::<String>::new());
}

/// Contrast of every text on the page with what is behind it (WCAG 2.2, 1.4.3): the worst.
const CONTRAST: &str = r"
(() => {
  const parse = color => color.match(/[\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const behind = node => {
    for (; node; node = node.parentElement) {
      const color = parse(getComputedStyle(node).backgroundColor);
      if (color.length === 3 || color[3] === 1) return color;
    }
    return [255, 255, 255];
  };
  let worst = [99, ''];
  for (const node of document.querySelectorAll('body *')) {
    const own = [...node.childNodes].some(child => child.nodeType === 3 && child.data.trim());
    if (!own || !node.checkVisibility() || node.closest('script, style, noscript, template')) continue;
    const [a, b] = [light(parse(getComputedStyle(node).color)), light(behind(node))];
    const contrast = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (contrast < worst[0]) worst = [contrast, node.outerHTML.slice(0, 120)];
  }
  return worst;
})()";

#[test]
fn the_page_is_readable_in_light_in_the_dark_and_on_a_phone() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let adit = serve(&site, one.addr());
    adit.rewrite("version: 1\nnonsense: true\n");
    let mut page = open(&adit);
    page.wait("document.querySelector('.note') !== null");
    let ground = "getComputedStyle(document.body).backgroundColor";
    let mut grounds = Vec::new();
    for scheme in ["light", "dark"] {
        page.prefer(scheme);
        grounds.push(page.text(ground));
        let worst = page.value(CONTRAST);
        assert!(worst[0].as_f64().unwrap() >= 4.5, "{scheme}: {worst}");
    }
    assert_ne!(grounds[0], grounds[1]);
    for width in [1280, 760, 360] {
        page.resize(width, 800);
        let over = page.value("document.documentElement.scrollWidth - innerWidth");
        assert!(
            over.as_i64().unwrap() <= 0,
            "{width}: {over} pixels too wide"
        );
    }
    let label = "getComputedStyle(document.querySelector('#hosts td'), '::before').content";
    assert!(
        page.text(label).contains("Exposure"),
        "cells say what they are"
    );
    assert_eq!(page.complaints(), Vec::<String>::new());
}

#[test]
fn the_page_says_what_is_wrong_and_takes_nothing_for_markup() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let adit = serve(&site, one.addr());
    let mut page = open(&adit);
    adit.rewrite("version: 1\n\"<img src=x onerror=document.title=1><b>\": true\n");
    page.wait("document.getElementById('state').textContent.includes('refused')");
    let note = page.text("document.querySelector('.note').innerText");
    assert!(note.contains("generation 1 is served on"), "{note}");
    assert!(note.contains("<img src=x onerror="), "{note}");
    assert_eq!(
        page.value("document.querySelectorAll('main img, main b').length"),
        0
    );
    adit.rewrite(&Site::config("routes: []\n"));
    page.wait("document.querySelector('.note') === null");
    page.wait("document.querySelector('#hosts').innerText.includes('No hosts are declared')");
    assert_eq!(page.complaints(), Vec::<String>::new());
    adit.stop();
    page.wait("document.getElementById('state').textContent.includes('no answer')");
    page.wait("document.body.classList.contains('stale')");
}
