//! What becomes of a client's certificate beyond the handshake (MTL-04, MTL-05).
//!
//! Whether it is good was settled with the connection, and a client without a good one was turned
//! away where the host demands it. Here its subject is compared, and the backend is told of it.

use adit_route::policy::CertificateFields;
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderName, HeaderValue, StatusCode};

use crate::http::message::Request;
use crate::info::ConnInfo;
use crate::policy::expand::escape;
use crate::policy::step::{Answer, Told};
use crate::tls::{ClientIdentity, VerifiedClient};

/// The id of a refusal.
const RULE: &str = "MTL-04";
const VERIFY: HeaderName = HeaderName::from_static("ssl-client-verify");
const SUBJECT: HeaderName = HeaderName::from_static("ssl-client-subject-dn");
const ISSUER: HeaderName = HeaderName::from_static("ssl-client-issuer-dn");
const CERTIFICATE: HeaderName = HeaderName::from_static("ssl-client-cert");

/// What a route does with certificates.
#[derive(Debug)]
pub(crate) struct Certificate {
    policy: CertificateFields,
}

impl Certificate {
    pub(crate) fn compile(policy: &CertificateFields) -> Self {
        Self {
            policy: policy.clone(),
        }
    }

    /// Where clients without a good certificate are sent.
    pub(crate) fn error_page(&self) -> Option<&HeaderValue> {
        self.policy.error_page.as_ref()
    }

    /// Compares the subject, and tells the backend of the certificate. What a client says of its own
    /// in these fields is gone by now.
    pub(crate) fn refuse(&self, info: &ConnInfo, request: &mut Request) -> Option<Answer> {
        if !self.matches(info) {
            return Some(Answer::refused(StatusCode::FORBIDDEN, RULE));
        }
        let mut set = |name: HeaderName, text: &str| {
            if let Ok(value) = HeaderValue::from_bytes(text.as_bytes()) {
                request.headers.insert(name, value);
            }
        };
        set(VERIFY, &verify(info));
        if let Some(client) = verified(info) {
            set(SUBJECT, &client.subject);
            set(ISSUER, &client.issuer);
            if self.policy.pass_certificate {
                set(CERTIFICATE, &escaped_pem(&client.certificate));
            }
        }
        None
    }

    fn matches(&self, info: &ConnInfo) -> bool {
        let subject = verified(info).map_or("", |client| &client.subject);
        let expression = self.policy.match_subject.as_ref();
        expression.is_none_or(|expression| expression.is_match(subject))
    }

    /// What it would do.
    pub(crate) fn tell(&self, info: &ConnInfo) -> Told {
        if self.matches(info) {
            return Told::Passes("the backend is told of the client's certificate".to_owned());
        }
        let text = "the subject of the client's certificate is not one that `clientCertificate.\
                    matchSubject` finds";
        Told::Answers(StatusCode::FORBIDDEN, RULE, text.to_owned())
    }
}

/// The certificate of the connection, if it is good.
pub(crate) fn verified(info: &ConnInfo) -> Option<&VerifiedClient> {
    match &info.tls.as_ref()?.identity {
        ClientIdentity::Verified(client) => Some(client),
        ClientIdentity::None | ClientIdentity::Invalid(_) => None,
    }
}

/// `SUCCESS`, `NONE` or `FAILED:why`.
pub(crate) fn verify(info: &ConnInfo) -> String {
    match info.tls.as_ref().map(|tls| &tls.identity) {
        Some(ClientIdentity::Verified(_)) => "SUCCESS".to_owned(),
        Some(ClientIdentity::Invalid(reason)) => format!("FAILED:{}", reason.as_str()),
        Some(ClientIdentity::None) | None => "NONE".to_owned(),
    }
}

/// SHA-1 of the certificate, as nginx names certificates.
pub(crate) fn fingerprint(client: &VerifiedClient) -> String {
    let sum = digest(&SHA1_FOR_LEGACY_USE_ONLY, &client.certificate);
    sum.as_ref().iter().fold(String::new(), |mut text, byte| {
        use std::fmt::Write as _;
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The certificate as PEM, percent-encoded.
fn escaped_pem(certificate: &[u8]) -> String {
    const COLUMNS: usize = 64;
    let encoded = STANDARD.encode(certificate);
    let mut pem = String::with_capacity(encoded.len() + 128);
    pem.push_str("-----BEGIN CERTIFICATE-----\n");
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at_checked(COLUMNS).unwrap_or((rest, ""));
        pem.push_str(line);
        pem.push('\n');
        rest = more;
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    let mut escaped = String::with_capacity(pem.len() * 5 / 4);
    escape(&pem, &mut escaped);
    escaped
}
