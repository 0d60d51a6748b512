//! Files that are built to hurt: they are refused quickly, and never with a panic.

use std::fmt::Write as _;

use super::*;

#[test]
fn aliases_cannot_multiply_without_end() {
    let mut text = String::from("a: &a [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]\n");
    for letter in 'b'..='i' {
        let before = (letter as u8 - 1) as char;
        let aliases = vec![format!("*{before}"); 10].join(", ");
        writeln!(text, "{letter}: &{letter} [{aliases}]").unwrap();
    }
    refuse(&[
        (&text, &["4:32 ADIT-1007"]),
        ("a: &a [*a]\n", &["1:8 ADIT-1007"]),
        ("a: *nobody\n", &["1:4 ADIT-1004"]),
    ]);
}

#[test]
fn deep_nesting_is_refused() {
    let lists = format!("a: {}", "[".repeat(200_000));
    let maps = format!("a: {}", "{a: ".repeat(100_000));
    let blocks = (0..400).fold(String::new(), |text, depth| {
        text + &" ".repeat(depth)
            + "a:
"
    });
    let place = Workplace::new();
    for text in [lists, maps, blocks] {
        let report = place.load(&text).unwrap_err();
        let codes: Vec<_> = report
            .diagnostics
            .iter()
            .map(|found| found.code.to_string())
            .collect();
        assert!(
            matches!(codes.as_slice(), [code] if code == "ADIT-1009" || code == "ADIT-1004"),
            "{codes:?}"
        );
    }
}

#[test]
fn every_prefix_of_a_file_and_every_changed_byte_is_survived() {
    let place = Workplace::new();
    let text = include_str!("everything.yaml");
    assert!(
        place.load(text).is_ok(),
        "{}",
        place.load(text).unwrap_err()
    );
    for end in (0..text.len())
        .step_by(7)
        .filter(|end| text.is_char_boundary(*end))
    {
        if let Err(report) = place.load(&text[..end]) {
            report.render(true);
        }
    }
    for (at, byte) in (0..text.len())
        .step_by(3)
        .zip(b"{}[]:,&*!|>'\"%@`#-? \t\n\r0a~".iter().cycle())
    {
        let mut changed = text.as_bytes().to_vec();
        changed[at] = *byte;
        if let Ok(changed) = String::from_utf8(changed)
            && let Err(report) = place.load(&changed)
        {
            assert!(!report.diagnostics.is_empty());
            report.render(false);
            report.json();
        }
    }
}

#[test]
fn control_characters_do_not_reach_the_terminal() {
    let place = Workplace::new();
    let report = place
        .load("version: 1\n\"a\\u001b[31m\": \"\\u001b]0;x\\u0007\"\n")
        .unwrap_err();
    let text = report.render(false);
    assert!(
        !text.contains('\u{1b}') && !text.contains('\u{7}'),
        "{text:?}"
    );
}

#[test]
fn a_long_line_is_shown_in_part() {
    let place = Workplace::new();
    let text = format!(
        "{{version: 1, routes: [{}], nonsense: 1}}",
        vec!["{host: a.test}"; 5000].join(",")
    );
    let report = place.load(&text).unwrap_err();
    assert!(report.diagnostics.len() > 5000);
    assert!(
        report
            .render(false)
            .lines()
            .all(|line| line.chars().count() < 900)
    );
}

#[test]
fn a_file_with_errors_still_tells_where_the_admin_listener_is() {
    let text = "version: 9\nruels: []\nlisteners:\n- {name: web, bind: \"[::]:80\"}\n\
         - {name: adm, role: admin, bnid: 1, bind: [\"127.0.0.1:9090\", nonsense, \"[::1]:9090\"]}\n";
    let root = crate::config::tree::read(0, text, &mut crate::config::Problems::default()).unwrap();
    let found: Vec<_> = crate::config::read::admin_binds(&root)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(found, ["127.0.0.1:9090", "[::1]:9090"]);
}
