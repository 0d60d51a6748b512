//! Distinguished names as text (RFC 4514), in the spelling that nginx and OpenSSL give them.
//!
//! Backends compare these strings, and they travel in header fields: most specific part first,
//! every byte that could be mistaken for structure escaped, nothing but printable ASCII.

use std::fmt::Write;

use x509_parser::asn1_rs::ToDer;
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

/// The name in one line.
pub(super) fn rfc4514(name: &X509Name<'_>) -> String {
    let parts: Vec<_> = name.iter_rdn().collect();
    let mut text = String::new();
    for part in parts.into_iter().rev() {
        for (index, attribute) in part.iter().enumerate() {
            match (text.is_empty(), index) {
                (true, _) => {}
                (false, 0) => text.push(','),
                (false, _) => text.push('+'),
            }
            push_attribute(&mut text, attribute);
        }
    }
    text
}

fn push_attribute(text: &mut String, attribute: &AttributeTypeAndValue<'_>) {
    let oid = attribute.attr_type().to_id_string();
    let known = SHORT_NAMES
        .iter()
        .find(|(known, _)| *known == oid)
        .map(|(_, short)| *short);
    text.push_str(known.unwrap_or(&oid));
    text.push('=');
    if let (Some(_), Ok(value)) = (known, attribute.as_str()) {
        push_escaped(text, value);
    } else {
        // A type without a name here, or a value in a form that is not text: RFC 4514 §2.4.
        text.push('#');
        text.push_str(&hexadecimal(
            &attribute.attr_value().to_der_vec().unwrap_or_default(),
        ));
    }
}

/// Two lower-case digits for each byte.
pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn push_escaped(text: &mut String, value: &str) {
    let last = value.len().saturating_sub(1);
    for (index, byte) in value.bytes().enumerate() {
        match byte {
            b',' | b'+' | b'"' | b'\\' | b'<' | b'>' | b';' => {
                text.push('\\');
                text.push(char::from(byte));
            }
            b' ' if index == 0 || index == last => text.push_str("\\ "),
            b'#' if index == 0 => text.push_str("\\#"),
            b' '..=b'~' => text.push(char::from(byte)),
            _ => {
                let _ = write!(text, "\\{byte:02X}");
            }
        }
    }
}

const SHORT_NAMES: [(&str, &str); 13] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.4", "SN"),
    ("2.5.4.5", "serialNumber"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "street"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.42", "GN"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
];

#[cfg(test)]
mod tests {
    use rcgen::string::BmpString;
    use rcgen::{CertificateParams, DistinguishedName, DnType, DnValue, KeyPair};

    use super::*;

    #[test]
    fn names_are_written_as_openssl_writes_them() {
        let bmp = || DnValue::BmpString(BmpString::try_from("hi").unwrap());
        let custom = || DnType::CustomDnType(vec![1, 2, 3, 4]);
        for (parts, expected) in [
            (vec![], ""),
            (vec![(DnType::CommonName, "a.test".into())], "CN=a.test"),
            (
                vec![
                    (DnType::CountryName, "DE".into()),
                    (DnType::CommonName, "x".into()),
                ],
                "CN=x,C=DE",
            ),
            (
                vec![(DnType::CommonName, " a, b+c ".into())],
                r"CN=\ a\, b\+c\ ",
            ),
            (
                vec![(DnType::CommonName, "#1 \"q\" <x>;\\".into())],
                r#"CN=\#1 \"q\" \<x\>\;\\"#,
            ),
            (
                vec![(DnType::CommonName, "a\r\nX: y\0".into())],
                r"CN=a\0D\0AX: y\00",
            ),
            (vec![(DnType::CommonName, "\u{fc}".into())], r"CN=\C3\BC"),
            (vec![(DnType::CommonName, bmp())], "CN=#1e0400680069"),
            (vec![(custom(), "v".into())], "1.2.3.4=#0c0176"),
        ] {
            let mut params = CertificateParams::default();
            params.distinguished_name = DistinguishedName::new();
            for (kind, value) in parts {
                let value: DnValue = value;
                params.distinguished_name.push(kind, value);
            }
            let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
            let (_, parsed) = x509_parser::parse_x509_certificate(made.der()).unwrap();
            assert_eq!(rfc4514(parsed.subject()), expected);
        }
    }
}
