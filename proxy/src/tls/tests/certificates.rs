//! What is loaded, what is refused, and what is kept when a file breaks.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::Duration;

use rcgen::{CustomExtension, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256};

use super::*;

#[test]
fn the_certificate_that_names_the_host_is_found() {
    let authority = Authority::new("ca");
    let certificates = [
        authority.issue(&["a.test", "192.0.2.7", "2001:db8::7"]),
        authority.issue(&["*.test", "Upper.Example"]),
        authority.issue(&["*.b.test", "b.test"]),
    ];
    let set = CertificateSet::new(certificates.iter().map(|pair| pair.certificate().unwrap()));
    for (host, expected) in [
        ("a.test", Some(0)),
        ("192.0.2.7", Some(0)),
        ("[2001:db8::7]", Some(0)),
        ("b.test", Some(2)),
        ("c.test", Some(1)),
        ("upper.example", Some(1)),
        ("x.b.test", Some(2)),
        ("x.c.test", None),
        ("test", None),
        ("x.y.b.test", None),
        ("192.0.2.8", None),
        ("", None),
    ] {
        let found = set.find(host);
        let expected = expected.and_then(|index| set.iter().nth(index));
        assert_eq!(found.map(Arc::as_ptr), expected.map(Arc::as_ptr), "{host}");
        assert_eq!(set.covers(host), expected.is_some(), "{host}");
        assert!(
            found.is_none_or(|certificate| certificate.covers(host)),
            "{host}"
        );
    }
}

#[test]
fn the_better_of_two_certificates_is_served() {
    let authority = Authority::new("ca");
    let in_days = |days: u64| SystemTime::now() + Duration::from_hours(24 * days);
    let until =
        |days| move |params: &mut CertificateParams| params.not_after = in_days(days).into();
    let rsa = || KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
    let ec = || KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let short = authority.issue_for(&ec(), &["a.test"], until(5));
    let long = authority.issue_for(&ec(), &["a.test"], until(50));
    let rsa = authority.issue_for(&rsa(), &["a.test"], until(500));
    let future = authority.issue_for(&ec(), &["a.test"], |params| {
        params.not_before = in_days(3).into();
    });
    let wildcard = authority.issue(&["*.test"]);
    for (name, candidates, best) in [
        ("longer", vec![&short, &long], 1),
        ("order does not matter", vec![&long, &short], 0),
        ("ecdsa before rsa", vec![&rsa, &short], 1),
        ("valid before preferred", vec![&future, &rsa], 1),
        ("exact before wildcard", vec![&wildcard, &rsa], 1),
        (
            "valid wildcard before one of the future",
            vec![&future, &wildcard],
            1,
        ),
        ("the only one, whatever it is", vec![&future], 0),
    ] {
        let set = CertificateSet::new(candidates.iter().map(|pair| pair.certificate().unwrap()));
        let expected = set.iter().nth(best).unwrap();
        assert!(Arc::ptr_eq(set.find("a.test").unwrap(), expected), "{name}");
    }
}

#[test]
fn a_bundle_that_clients_would_refuse_is_not_loaded() {
    use CertificateFault as Fault;
    type Expected = fn(&CertificateFault) -> bool;

    let authority = Authority::new("ca");
    let good = authority.issue(&["a.test"]);
    let other = authority.issue(&["a.test"]);
    let expired = authority.issue_with(&["a.test"], |params| {
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    });
    let nameless = authority.issue(&[]);
    let odd_names = authority.issue(&["a*b.test", "**.test", "*", "a b.test"]);
    let staple = authority.issue_with(&["a.test"], |params| {
        let feature = vec![0x30, 0x03, 0x02, 0x01, 0x05];
        let extension = CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 24], feature);
        params.custom_extensions.push(extension);
    });
    let cut = good.chain.replace("-----END CERTIFICATE-----\n", "");
    let broken = "-----BEGIN CERTIFICATE-----\nMAAA\n-----END CERTIFICATE-----\n";
    let locked =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let rubbish = "-----BEGIN PRIVATE KEY-----\nMAAA\n-----END PRIVATE KEY-----\n";

    let cases: [(&str, String, &str, Expected); 16] = [
        ("empty", String::new(), &good.key, |fault| {
            matches!(fault, Fault::NoCertificate)
        }),
        ("text", "hello".into(), &good.key, |fault| {
            matches!(fault, Fault::NoCertificate)
        }),
        ("cut off", cut, &good.key, |fault| {
            matches!(fault, Fault::ChainPem(_))
        }),
        ("not X.509", broken.into(), &good.key, |fault| {
            matches!(fault, Fault::Malformed { position: 1 })
        }),
        ("other key", good.chain.clone(), &other.key, |fault| {
            matches!(fault, Fault::KeyMismatch)
        }),
        ("no key", good.chain.clone(), "", |fault| {
            matches!(fault, Fault::KeyPem(_))
        }),
        ("passphrase", good.chain.clone(), locked, |fault| {
            matches!(fault, Fault::KeyEncrypted)
        }),
        ("bad key", good.chain.clone(), rubbish, |fault| {
            matches!(fault, Fault::KeyUnusable(_))
        }),
        (
            "stranger in the chain",
            good.chain.clone() + &other.chain,
            &good.key,
            |fault| matches!(fault, Fault::ChainOrder { position: 2 }),
        ),
        (
            "leaf last",
            authority.pem() + &good.chain,
            &good.key,
            |fault| matches!(fault, Fault::ChainOrder { position: 2 }),
        ),
        ("expired", expired.chain, &expired.key, |fault| {
            matches!(fault, Fault::Expired { .. })
        }),
        ("no names", nameless.chain, &nameless.key, |fault| {
            matches!(fault, Fault::NoNames)
        }),
        ("odd names", odd_names.chain, &odd_names.key, |fault| {
            matches!(fault, Fault::NoNames)
        }),
        ("must-staple", staple.chain, &staple.key, |fault| {
            matches!(fault, Fault::MustStaple)
        }),
        ("RSA-1024", SHORT_RSA.into(), "", |fault| {
            matches!(fault, Fault::WeakKey { bits: 1024 })
        }),
        ("SHA-1", SHA_1.into(), "", |fault| {
            matches!(fault, Fault::WeakSignature)
        }),
    ];
    for (name, chain, key, expected) in cases {
        let fault = Pair {
            chain,
            key: key.to_owned(),
        }
        .certificate()
        .expect_err(name);
        assert!(expected(&fault), "{name}: {fault:?}");
        assert!(!fault.remedy().is_empty() && !fault.to_string().is_empty());
    }
    let with_issuer = Pair {
        chain: good.chain + &authority.pem(),
        key: good.key,
    };
    assert_eq!(
        with_issuer
            .certificate()
            .unwrap()
            .certified_key()
            .cert
            .len(),
        2
    );
}

/// Acceptance: 24, R-23
#[test]
fn a_file_that_breaks_keeps_what_was_served() {
    type Breakage = fn(&Scratch, &Authority);

    let cases: [(&str, Breakage); 8] = [
        ("garbage", |files, _| drop(files.write("a.crt", "garbage"))),
        ("half renewed", |files, ca| {
            files.write("a.crt", &ca.issue(&["a.test"]).chain);
        }),
        ("expired", |files, ca| {
            let past = |params: &mut CertificateParams| {
                params.not_after = rcgen::date_time_ymd(2020, 1, 1);
            };
            files.write_pair("a", &ca.issue_with(&["a.test"], past));
        }),
        ("key gone", |files, _| {
            fs::remove_file(files.path("a.key")).unwrap();
        }),
        ("chain gone", |files, _| {
            fs::remove_file(files.path("a.crt")).unwrap();
        }),
        ("key exposed", |files, _| {
            fs::set_permissions(files.path("a.key"), Permissions::from_mode(0o644)).unwrap();
        }),
        ("a directory in its place", |files, _| {
            fs::remove_file(files.path("a.key")).unwrap();
            fs::create_dir(files.path("a.key")).unwrap();
        }),
        ("endless", |files, _| {
            drop(files.write("a.crt", &"#".repeat(2 << 20)));
        }),
    ];
    for (name, breakage) in cases {
        let (files, authority) = (Scratch::new(), Authority::new("ca"));
        files.write_pair("a", &authority.issue(&["a.test"]));
        let by_pair = [pair(&files, None, "a")];
        let by_directory = [CertificateSource::Directory(files.0.clone())];
        for sources in [&by_pair, &by_directory] {
            files.write_pair("a", &authority.issue(&["a.test"]));
            let (good, problems) = CertificateSet::load(sources, &none());
            assert!(problems.is_empty(), "{name}: {problems:?}");

            breakage(&files, &authority);
            let (kept, problems) = CertificateSet::load(sources, &good);
            assert!(kept.is_same(&good), "{name}");
            let [problem] = problems.as_slice() else {
                panic!("{name}: {problems:?}")
            };
            assert_eq!(problem.outcome, Outcome::KeptPrevious, "{name}: {problem}");
            // Broken files are kept again and again, not only once.
            assert!(
                CertificateSet::load(sources, &kept).0.is_same(&good),
                "{name}"
            );

            let (fresh, _) = CertificateSet::load(sources, &none());
            assert!(fresh.is_empty(), "{name}: nothing good was ever loaded");

            let _ = fs::remove_dir(files.path("a.key"));
            files.write_pair("a", &authority.issue(&["a.test", "new.test"]));
            let (renewed, problems) = CertificateSet::load(sources, &kept);
            assert!(
                problems.is_empty() && renewed.covers("new.test"),
                "{name}: {problems:?}"
            );
        }
    }
}

#[test]
fn unchanged_files_are_not_read_anew() {
    let (files, authority) = (Scratch::new(), Authority::new("ca"));
    files.write_pair("a", &authority.issue(&["a.test"]));
    files.write_pair("b", &authority.issue(&["b.test"]));
    let sources = [CertificateSource::Directory(files.0.clone())];
    let (first, _) = CertificateSet::load(&sources, &none());
    let (same, _) = CertificateSet::load(&sources, &first);
    assert!(same.is_same(&first));

    files.write_pair("b", &authority.issue(&["b.test"]));
    let (second, _) = CertificateSet::load(&sources, &first);
    let kept = |host| Arc::ptr_eq(first.find(host).unwrap(), second.find(host).unwrap());
    assert!(kept("a.test") && !kept("b.test"));
}

#[test]
fn a_certificate_that_expires_in_service_stays_and_is_reported() {
    let (files, authority) = (Scratch::new(), Authority::new("ca"));
    files.write_pair(
        "a",
        &authority.issue_with(&["a.test"], |params| {
            params.not_after = rcgen::date_time_ymd(2090, 1, 1);
        }),
    );
    let sources = [pair(&files, None, "a")];
    let (good, _) = CertificateSet::load(&sources, &none());
    let later = SystemTime::now() + Duration::from_hours(100 * 365 * 24);
    let (kept, problems) = CertificateSet::load_at(&sources, &good, later);
    assert!(kept.is_same(&good));
    assert!(matches!(
        problems.as_slice(),
        [CertificateProblem {
            fault: CertificateFault::Expired { .. },
            outcome: Outcome::KeptPrevious,
            ..
        }]
    ));
    assert!(
        CertificateSet::load_at(&sources, &none(), later)
            .0
            .is_empty()
    );
}

#[test]
fn a_clock_that_is_behind_does_not_close_hosts() {
    let (files, authority) = (Scratch::new(), Authority::new("ca"));
    files.write_pair("a", &authority.issue(&["a.test"]));
    let sources = [pair(&files, None, "a")];
    let (set, problems) = CertificateSet::load_at(&sources, &none(), SystemTime::UNIX_EPOCH);
    assert!(set.covers("a.test"));
    let [problem] = problems.as_slice() else {
        panic!("{problems:?}")
    };
    assert_eq!(problem.outcome, Outcome::Served);
    assert!(
        problem
            .to_string()
            .contains("not valid before Wed, 01 Jan 1975"),
        "{problem}"
    );
}

#[test]
fn keys_may_be_read_by_the_group_and_no_further() {
    let (files, authority) = (Scratch::new(), Authority::new("ca"));
    files.write_pair("a", &authority.issue(&["a.test"]));
    for (mode, accepted) in [
        (0o400, true),
        (0o600, true),
        (0o640, true),
        (0o440, true),
        (0o644, false),
        (0o602, false),
    ] {
        fs::set_permissions(files.path("a.key"), Permissions::from_mode(mode)).unwrap();
        let (set, problems) = CertificateSet::load(&[pair(&files, None, "a")], &none());
        assert_eq!(set.len() == 1, accepted, "{mode:o}: {problems:?}");
    }
}

#[test]
fn directories_of_every_layout_are_read() {
    let (files, authority) = (Scratch::new(), Authority::new("ca"));
    files.write_pair("flat/b.test", &authority.issue(&["b.test"]));
    files.write("flat/c.pem", &authority.issue(&["unused.test"]).chain);
    files.write_pair("flat/c", &authority.issue(&["c.test"]));
    // What lies about in such directories by right.
    files.write("flat/ca.crt", &authority.pem());
    files.write(
        "flat/dhparam.pem",
        "-----BEGIN DH PARAMETERS-----\nMAAA\n-----END DH PARAMETERS-----\n",
    );
    files.write("flat/README", "no certificate");
    // What should not.
    files.write("flat/orphan.crt", &authority.issue(&["orphan.test"]).chain);

    let renewed = authority.issue(&["d.test"]);
    files.write("le/archive/d.test/fullchain1.pem", &renewed.chain);
    files.write("le/archive/d.test/privkey1.pem", &renewed.key);
    files.write("le/live/README", "certbot");
    fs::create_dir(files.path("le/live/d.test")).unwrap();
    for (link, target) in [
        ("fullchain.pem", "fullchain1.pem"),
        ("privkey.pem", "privkey1.pem"),
    ] {
        let target = Path::new("../../archive/d.test").join(target);
        symlink(target, files.path("le/live/d.test").join(link)).unwrap();
    }

    files.write_pair("mount/..2030/tls", &authority.issue(&["e.test"]));
    symlink("..2030", files.path("mount/..data")).unwrap();
    for file in ["tls.crt", "tls.key"] {
        symlink(
            Path::new("..data").join(file),
            files.path("mount").join(file),
        )
        .unwrap();
    }

    for (directory, expected, orphans) in [
        ("flat", vec![("b.test", "b.test"), ("c", "c.test")], 1),
        ("le", vec![("d.test", "d.test")], 0),
        ("le/live", vec![("d.test", "d.test")], 0),
        ("le/live/d.test", vec![("d.test", "d.test")], 0),
        ("mount", vec![("mount", "e.test")], 0),
    ] {
        let source = CertificateSource::Directory(files.path(directory));
        let (set, problems) = CertificateSet::load(&[source], &none());
        assert_eq!(set.len(), expected.len(), "{directory}: {problems:?}");
        for (name, host) in expected {
            assert!(
                set.by_name(name).is_some_and(|found| found.covers(host)),
                "{directory} {name}"
            );
        }
        let without_key = |problem: &&CertificateProblem| {
            matches!(problem.fault, CertificateFault::NoKeyFile { .. })
        };
        assert_eq!(
            problems.iter().filter(without_key).count(),
            orphans,
            "{directory}"
        );
        assert_eq!(problems.len(), orphans, "{directory}: {problems:?}");
    }
}

#[test]
fn what_is_taken_from_a_directory_is_no_longer_served() {
    let (files, authority) = (Scratch::new(), Authority::new("ca"));
    files.write_pair("dir/a", &authority.issue(&["a.test"]));
    files.write_pair("dir/b", &authority.issue(&["b.test"]));
    let sources = [CertificateSource::Directory(files.path("dir"))];
    let (both, _) = CertificateSet::load(&sources, &none());
    for file in ["dir/a.crt", "dir/a.key"] {
        fs::remove_file(files.path(file)).unwrap();
    }
    let (one, problems) = CertificateSet::load(&sources, &both);
    assert!(problems.is_empty() && !one.covers("a.test") && one.covers("b.test"));

    fs::rename(files.path("dir"), files.path("away")).unwrap();
    let (kept, problems) = CertificateSet::load(&sources, &one);
    assert!(
        kept.is_same(&one),
        "a directory that cannot be read takes nothing away"
    );
    assert_eq!(problems.len(), 1);
    assert!(CertificateSet::load(&[], &kept).0.is_empty());
}

#[test]
fn names_come_from_the_operator_then_from_the_file() {
    let (files, authority) = (Scratch::new(), Authority::new("ca"));
    files.write_pair("site/tls", &authority.issue(&["a.test"]));
    files.write_pair("b", &authority.issue(&["b.test"]));
    let named = |name: Option<&str>| [pair(&files, name, "b")];
    let (set, _) = CertificateSet::load(&[pair(&files, None, "site/tls")], &none());
    assert!(set.by_name("site").is_some());

    let (set, _) = CertificateSet::load(&named(None), &none());
    assert!(set.by_name("b").is_some());
    files.write("b.crt", "broken");
    let (renamed, problems) = CertificateSet::load(&named(Some("default")), &set);
    assert_eq!(problems.len(), 1);
    assert!(
        renamed
            .by_name("default")
            .is_some_and(|certificate| certificate.covers("b.test"))
    );

    let twice = [
        pair(&files, Some("x"), "b"),
        pair(&files, Some("x"), "site/tls"),
    ];
    let (set, problems) = CertificateSet::load(&twice, &renamed);
    assert!(set.covers("a.test") && set.covers("b.test"));
    let taken = |problem: &CertificateProblem| {
        matches!(problem.fault, CertificateFault::NameTaken) && problem.outcome == Outcome::Served
    };
    assert!(problems.iter().any(taken), "{problems:?}");
}

#[test]
fn a_pair_named_by_file_and_directory_is_loaded_once() {
    let (files, authority) = (Scratch::new(), Authority::new("ca"));
    files.write_pair("a", &authority.issue(&["a.test"]));
    let sources = [
        CertificateSource::Directory(files.0.clone()),
        pair(&files, Some("mine"), "a"),
    ];
    let (set, problems) = CertificateSet::load(&sources, &none());
    assert_eq!((set.len(), problems.len()), (1, 0));
    assert!(set.by_name("mine").is_some());
}

fn pair(files: &Scratch, name: Option<&str>, stem: &str) -> CertificateSource {
    CertificateSource::Pair {
        name: name.map(Arc::from),
        cert: files.path(&format!("{stem}.crt")),
        key: files.path(&format!("{stem}.key")),
    }
}

fn none() -> CertificateSet {
    CertificateSet::default()
}

/// Made with OpenSSL: our own tools refuse to make such things.
const SHORT_RSA: &str = "\
-----BEGIN CERTIFICATE-----
MIICDDCCAXWgAwIBAgIUM0N+Nms4T2zTtbiviWQWN6/C5S0wDQYJKoZIhvcNAQEL
BQAwDzENMAsGA1UEAwwEd2VhazAgFw0yNjExMjAxMTE4MDhaGA8yMDgxMDgyMzEx
MTgwOFowDzENMAsGA1UEAwwEd2VhazCBnzANBgkqhkiG9w0BAQEFAAOBjQAwgYkC
gYEAvQNxBHMlR8G2jCmAsCuxb+EE0rd+cQTV5uHnZfT/qkiqQJIfTOBDM0RZOubK
8iOGc5dxNlNJ5yfZZFlc9JIdaQ3gInEe7b7nIyQVYeu4Y8lYpTEvBT4ziUc4ygaP
FoGcn7WzY4y1irZ70wvqMMmLJmA+GNa8ZC+U87suY1hpod8CAwEAAaNjMGEwHQYD
VR0OBBYEFIadqbwS1MvNwgABhsDp/PJm8TLKMB8GA1UdIwQYMBaAFIadqbwS1MvN
wgABhsDp/PJm8TLKMBEGA1UdEQQKMAiCBmEudGVzdDAMBgNVHRMBAf8EAjAAMA0G
CSqGSIb3DQEBCwUAA4GBAKYMSadRViUsW+DD3BnJ3tPHYWIU/BxKJ0v2npIumAgm
N5TttXXeJSI7Y6LbcB4rKhbguxN+Zw0WFsoQWyvu0K1tlh1HHIZNTbOrgMnGAHQR
gxaKz5MnUs5/Y4aB9+yuHkHIgOPIfMTc2BP9aKEuqZOCRNkOCpUeor+s8Q9R054K
-----END CERTIFICATE-----
";

const SHA_1: &str = "\
-----BEGIN CERTIFICATE-----
MIIBhjCCAS2gAwIBAgIUZxbye6xtZZ5nkSrduIwPa1iEheMwCQYHKoZIzj0EATAP
MQ0wCwYDVQQDDAR3ZWFrMCAXDTI2MTEyMDExMTgwOFoYDzIwODEwODIzMTExODA4
WjAPMQ0wCwYDVQQDDAR3ZWFrMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAETIp6
81Htu16mWzS2VSzPyJwLeyDcu2DhLr4MXnQk4JYQUaM+AnkdVBCo55LSsDpdApp3
px08mE5speGeB44GnKNmMGQwHQYDVR0OBBYEFIPzXEJVxkaeiS/ZKNiI6gSRf2WD
MB8GA1UdIwQYMBaAFIPzXEJVxkaeiS/ZKNiI6gSRf2WDMA8GA1UdEwEB/wQFMAMB
Af8wEQYDVR0RBAowCIIGYS50ZXN0MAkGByqGSM49BAEDSAAwRQIhAN03yq4o+/lR
06NmbYlFwfgMOVXI+hv52Dfa8zXrwqMQAiB0Lh4ePXFlT7ZzMrxyHlKjgv2KvAh3
4PwEWxt430xpPw==
-----END CERTIFICATE-----
";
