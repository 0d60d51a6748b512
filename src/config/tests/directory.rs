//! A directory of files as one document.

use super::super::load;
use super::*;

#[test]
fn the_files_of_a_directory_add_up() {
    let place = Workplace::new();
    fs::create_dir_all(place.path.join("conf/..data")).unwrap();
    fs::create_dir_all(place.path.join("conf/tls.yaml")).unwrap();
    place.write("conf/10-base.yaml", "version: 1\nnetworks: {lan: {role: lan, cidrs: [10.0.0.0/8]}}\ncertificates: {directories: [../live]}\n");
    place.write(
        "conf/20-doors.yml",
        "listeners: [{name: a, role: lan, bind: '127.0.0.1:0', allow: [lan, vpn]}]\n",
    );
    place.write(
        "conf/30-more.yaml",
        "networks: {vpn: {role: lan, cidrs: [172.16.0.0/12]}}\nlisteners: [{name: b, role: lan, bind: '127.0.0.1:0'}]\n\
         certificates: {directories: [more], files: [{cert: c.pem, key: k.pem}]}\nroutes: [{host: a.test, backends: ['http://10.0.0.1:1']}]\n",
    );
    place.write("conf/40-last.yaml", "routes: [{host: b.test, backends: ['http://10.0.0.1:1']}]\nrules: [{hosts: [a.test], exposure: lan}]\n");
    place.write("conf/.hidden.yaml", "nonsense: [");
    place.write("conf/notes.txt", "nonsense: [");
    let config = load(&place.path.join("conf"))
        .unwrap_or_else(|report| panic!("{report}"))
        .config;
    let names: Vec<_> = config
        .listeners
        .iter()
        .map(|listener| &*listener.name)
        .collect();
    assert_eq!(names, ["a", "b"]);
    let hosts: Vec<_> = config
        .routes
        .hosts
        .iter()
        .map(|host| (host.pattern.to_string(), host.place.clone()))
        .collect();
    assert_eq!(
        (hosts[0].0.as_str(), hosts[1].0.as_str()),
        ("a.test", "b.test")
    );
    assert!(hosts[1].1.source.ends_with("conf/40-last.yaml") && hosts[1].1.line == 1);
    assert_eq!(
        config.certificates.files[0].cert,
        place.path.join("conf/c.pem")
    );
    assert_eq!(config.certificates.directories.len(), 2);
    assert!(
        config.watched.contains(&place.path.join("conf"))
            && config
                .watched
                .contains(&place.path.join("conf/30-more.yaml"))
    );
    assert!(!config.watched.contains(&place.path.join("conf/notes.txt")));
}

#[test]
fn other_keys_may_appear_in_one_file_only() {
    let place = Workplace::new();
    fs::create_dir_all(place.path.join("conf")).unwrap();
    place.write(
        "conf/1.yaml",
        &format!("{HEAD}log: {{level: info}}\nnetworks: {{a: {{role: lan, cidrs: [10.0.0.1]}}}}\n"),
    );
    place.write("conf/2.yaml", "rules: {}\nlog: {level: info}\nversion: 1\nnetworks: {a: {role: lan, cidrs: [10.0.0.1]}}\n");
    place.write("conf/3.yaml", "rules: []\nlimts: {}\n");
    let report = load(&place.path.join("conf")).unwrap_err();
    let files: Vec<_> = report
        .diagnostics
        .iter()
        .map(|found| found.place.file.rsplit('/').next().unwrap().to_owned())
        .collect();
    let found: Vec<_> = places(&report)
        .into_iter()
        .zip(files)
        .map(|(place, file)| format!("{file} {place}"))
        .collect();
    assert_eq!(
        found,
        [
            "2.yaml 1:8 ADIT-1013",
            "2.yaml 2:1 ADIT-1005",
            "2.yaml 3:1 ADIT-1005",
            "2.yaml 4:12 ADIT-1005",
            "3.yaml 2:1 ADIT-1010 limts",
        ]
    );
    let (first, label) = &report.diagnostics[1].related[0];
    assert!(
        first.file.ends_with("conf/1.yaml") && first.line == 3 && *label == "first written here"
    );
}

#[test]
fn every_broken_file_of_a_directory_is_named() {
    let place = Workplace::new();
    fs::create_dir_all(place.path.join("conf")).unwrap();
    let report = load(&place.path.join("conf")).unwrap_err();
    assert_eq!(places(&report), ["0:0 ADIT-1008"]);
    place.write("conf/1.yaml", "");
    place.write("conf/2.yaml", "# nothing\n");
    place.write("conf/3.yaml", "a: [\n");
    fs::write(place.path.join("conf/4.yaml"), b"version: 1\nlog: \xff\n").unwrap();
    place.write("conf/5.yaml", "- a\n");
    let report = load(&place.path.join("conf")).unwrap_err();
    assert_eq!(
        places(&report),
        [
            "0:0 ADIT-1008",
            "0:0 ADIT-1008",
            "2:1 ADIT-1004",
            "2:6 ADIT-1003"
        ]
    );
    for name in ["1", "2", "3", "4"] {
        fs::remove_file(place.path.join(format!("conf/{name}.yaml"))).unwrap();
    }
    let report = load(&place.path.join("conf")).unwrap_err();
    assert_eq!(places(&report), ["1:1 ADIT-1013"]);
}

#[test]
fn a_file_that_is_missing_or_too_large_is_named() {
    let place = Workplace::new();
    let report = load(&place.path.join("adit.yaml")).unwrap_err();
    assert_eq!(places(&report), ["0:0 ADIT-1001"]);
    assert!(
        report.diagnostics[0].message.contains("No such file"),
        "{report}"
    );
    place.write(
        "adit.yaml",
        &format!("version: 1\n#{}", " ".repeat(1 << 20)),
    );
    let report = load(&place.path.join("adit.yaml")).unwrap_err();
    assert_eq!(places(&report), ["0:0 ADIT-1002"]);
    place.write("adit.yaml", &format!("\u{feff}{HEAD}"));
    assert!(
        load(&place.path.join("adit.yaml")).is_ok(),
        "a byte order mark is no content"
    );
}
