//! TLS towards clients: what a host's policy means, ready before the handshake begins.
//!
//! The connection code reads the ClientHello itself, finds the host, and takes from the host's
//! [`Termination`] the settings for this one connection. rustls is never asked to choose between
//! hosts, so no host's minimum version, client authorities or tickets can leak into another's
//! (TL-13, TL-15, TL-23). Control compiles, workers only read.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use adit_route::{CanonicalHost, ClientAuth, HostPattern, TlsVersion};
use aws_lc_rs::digest::{Context, SHA256};
use rustls::pki_types::CertificateDer;
use rustls::server::{NoServerSessionStorage, ResolvesServerCertUsingSni};
use rustls::sign::SingleCertAndKey;
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, SupportedProtocolVersion};

use super::certificate::Certificate;
use super::client_auth::{ClientIdentity, ClientVerifier};
use super::error::TlsError;
use super::provider::provider;
use super::store::CertificateSet;
use super::tickets::TicketSecrets;
use crate::blueprint::TlsDefaults;

/// What is demanded of the clients of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsPolicy {
    /// Lowest version (TL-01).
    pub min_version: TlsVersion,
    /// Client certificates.
    pub client_auth: Option<ClientAuth>,
    /// What is negotiated inside.
    pub alpn: Alpn,
}

/// Protocols offered by ALPN (TL-17).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Alpn {
    /// h2, then http/1.1; a client that offers only others is refused.
    Http,
    /// None: the bytes are not HTTP, and what the client offers is ignored.
    Ignore,
}

/// Equal exactly for equal policies; what TL-19 compares.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PolicyId([u8; 32]);

impl TlsPolicy {
    /// The policy of a host that states some of it.
    pub fn resolve(
        min_version: Option<TlsVersion>,
        client_auth: Option<&ClientAuth>,
        defaults: &TlsDefaults,
        alpn: Alpn,
    ) -> Self {
        Self {
            min_version: min_version
                .or(defaults.min_version)
                .unwrap_or(TlsVersion::V1_2),
            client_auth: client_auth.or(defaults.client_auth.as_ref()).cloned(),
            alpn,
        }
    }

    /// Its identity.
    pub fn id(&self) -> PolicyId {
        let version = match self.min_version {
            TlsVersion::V1_2 => 2,
            TlsVersion::V1_3 => 3,
        };
        let alpn = match self.alpn {
            Alpn::Http => 1,
            Alpn::Ignore => 0,
        };
        let mut context = Context::new(&SHA256);
        match &self.client_auth {
            None => context.update(&[version, alpn, 0]),
            Some(auth) => {
                context.update(&[version, alpn, 1 + u8::from(auth.required)]);
                context.update(&auth.ca_pem);
            }
        }
        let mut bytes = [0; 32];
        bytes.copy_from_slice(context.finish().as_ref());
        PolicyId(bytes)
    }
}

impl fmt::Debug for PolicyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, second, third, fourth, ..] = self.0;
        write!(
            f,
            "PolicyId({first:02x}{second:02x}{third:02x}{fourth:02x})"
        )
    }
}

/// Compiles policies, and keeps over reloads what need not be compiled again: ticket secrets and
/// the policies still in use.
#[derive(Debug)]
pub struct ServerTls {
    tickets: Arc<TicketSecrets>,
    compiled: Mutex<HashMap<PolicyId, Weak<CompiledPolicy>>>,
}

impl ServerTls {
    /// With secrets that were made, or taken over.
    pub fn new(tickets: Arc<TicketSecrets>) -> Self {
        Self {
            tickets,
            compiled: Mutex::default(),
        }
    }

    /// The secrets, to rotate, save and hand over.
    pub fn tickets(&self) -> &Arc<TicketSecrets> {
        &self.tickets
    }

    /// Compiles one host. `without_sni` is what clients get that name no host; without it there is
    /// nothing for them (TL-10). A host without a certificate compiles, and serves nobody.
    pub fn host(
        &self,
        policy: &TlsPolicy,
        host: &HostPattern,
        certificates: &Arc<CertificateSet>,
        without_sni: Option<&Arc<Certificate>>,
    ) -> Result<Termination, TlsError> {
        let policy = self.compile(policy)?;
        let choice = match host {
            HostPattern::Exact(name) => {
                let selected = certificates
                    .find(name.as_str())
                    .map(|certificate| policy.select(certificate, name.as_str(), &self.tickets));
                Choice::Settled {
                    name: name.clone(),
                    selected,
                }
            }
            pattern => Choice::BySni {
                pattern: pattern.clone(),
                certificates: Arc::clone(certificates),
                tickets: Arc::clone(&self.tickets),
            },
        };
        let without_sni =
            without_sni.map(|certificate| policy.select(certificate, "", &self.tickets));
        Ok(Termination {
            policy,
            choice,
            without_sni,
        })
    }

    fn compile(&self, policy: &TlsPolicy) -> Result<Arc<CompiledPolicy>, TlsError> {
        let id = policy.id();
        // Nothing below leaves the map half changed.
        let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = compiled.get(&id).and_then(Weak::upgrade) {
            return Ok(held);
        }
        let fresh = Arc::new(CompiledPolicy::new(policy, id)?);
        compiled.retain(|_, held| held.strong_count() > 0);
        compiled.insert(id, Arc::downgrade(&fresh));
        Ok(fresh)
    }
}

/// TLS for one host, or for all hosts of a pattern.
#[derive(Debug)]
pub struct Termination {
    policy: Arc<CompiledPolicy>,
    choice: Choice,
    without_sni: Option<Selected>,
}

#[derive(Debug)]
enum Choice {
    /// One name: everything is ready.
    Settled {
        name: CanonicalHost,
        selected: Option<Selected>,
    },
    /// Many: the certificate hangs on the name that the client asks for.
    BySni {
        pattern: HostPattern,
        certificates: Arc<CertificateSet>,
        tickets: Arc<TicketSecrets>,
    },
}

/// Settings for one connection.
#[derive(Clone, Debug)]
pub struct Selected {
    /// For `TlsAcceptor::from`.
    pub config: Arc<ServerConfig>,
    /// What the client will see.
    pub certificate: Arc<Certificate>,
}

impl Termination {
    /// The settings for a connection, or `None` if there is no certificate for the name: alert
    /// unrecognized_name, and never another host's certificate (TL-14).
    pub fn select(&self, sni: Option<&CanonicalHost>) -> Option<Selected> {
        let Some(sni) = sni else {
            return self.without_sni.clone();
        };
        match &self.choice {
            Choice::Settled { name, selected } => selected.clone().filter(|_| sni == name),
            Choice::BySni {
                pattern,
                certificates,
                tickets,
            } => {
                let host = sni.as_str();
                let certificate = certificates.find(host).filter(|_| pattern.matches(host))?;
                Some(self.policy.select(certificate, host, tickets))
            }
        }
    }

    /// Which policy this is.
    pub fn policy(&self) -> PolicyId {
        self.policy.id
    }

    /// Whether a request without a verified client certificate is to be refused.
    pub fn requires_client(&self) -> bool {
        self.policy.requires_client
    }

    /// Who the client is; asked once, when the handshake is over, with
    /// `connection.peer_certificates()`.
    pub fn identify(&self, presented: Option<&[CertificateDer<'_>]>) -> ClientIdentity {
        match &self.policy.verifier {
            Some(verifier) => verifier.identify(presented.unwrap_or_default()),
            None => ClientIdentity::None,
        }
    }
}

/// A policy as rustls takes it, without a certificate and without tickets.
#[derive(Debug)]
struct CompiledPolicy {
    id: PolicyId,
    requires_client: bool,
    verifier: Option<Arc<ClientVerifier>>,
    template: ServerConfig,
}

impl CompiledPolicy {
    fn new(policy: &TlsPolicy, id: PolicyId) -> Result<Self, TlsError> {
        let versions: &[&SupportedProtocolVersion] = match policy.min_version {
            TlsVersion::V1_2 => &[&TLS13, &TLS12],
            TlsVersion::V1_3 => &[&TLS13],
        };
        let verifier = policy
            .client_auth
            .as_ref()
            .map(ClientVerifier::new)
            .transpose()?
            .map(Arc::new);
        let builder = ServerConfig::builder_with_provider(Arc::clone(provider()))
            .with_protocol_versions(versions)
            .map_err(TlsError::Settings)?;
        let builder = match &verifier {
            Some(verifier) => builder.with_client_cert_verifier(Arc::clone(verifier) as _),
            None => builder.with_no_client_auth(),
        };
        // A resolver that knows no name: the template alone serves nobody.
        let mut template = builder.with_cert_resolver(Arc::new(ResolvesServerCertUsingSni::new()));
        template.ignore_client_order = true;
        template.require_ems = true;
        template.session_storage = Arc::new(NoServerSessionStorage {});
        // The second ticket that TLS libraries send by default costs a tenth of a handshake.
        template.send_tls13_tickets = usize::from(verifier.is_none());
        template.max_early_data_size = 0;
        template.alpn_protocols = match policy.alpn {
            // A client that insists on HTTP/1.0 may say so.
            Alpn::Http => vec![b"h2".to_vec(), b"http/1.1".to_vec(), b"http/1.0".to_vec()],
            Alpn::Ignore => Vec::new(),
        };
        let requires_client = policy
            .client_auth
            .as_ref()
            .is_some_and(|auth| auth.required);
        Ok(Self {
            id,
            requires_client,
            verifier,
            template,
        })
    }

    /// For one server name. Half a microsecond: cheap enough to do per connection where a pattern
    /// leaves the name open.
    fn select(
        &self,
        certificate: &Arc<Certificate>,
        host: &str,
        tickets: &Arc<TicketSecrets>,
    ) -> Selected {
        let mut config = self.template.clone();
        config.cert_resolver = Arc::new(SingleCertAndKey::from(Arc::clone(
            certificate.certified_key(),
        )));
        // TL-23: hosts that ask for client certificates do not resume, so that no session outlives
        // what its client was verified against.
        if self.verifier.is_none() {
            config.ticketer = Arc::new(tickets.for_host(&self.id.0, host));
        }
        Selected {
            config: Arc::new(config),
            certificate: Arc::clone(certificate),
        }
    }
}
