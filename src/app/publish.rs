//! From a configuration to a blueprint: certificates are loaded, sources are named.

use std::sync::Arc;

use adit_proxy::blueprint::Blueprint;
use adit_proxy::tls::{CertificateProblem, CertificateSet, CertificateSource};

use crate::config::Config;

/// Where the configuration says that certificates are.
pub(super) fn certificate_sources(config: &Config) -> Vec<CertificateSource> {
    let files = config
        .certificates
        .files
        .iter()
        .map(|file| CertificateSource::Pair {
            name: Some(Arc::clone(&file.name)),
            cert: file.cert.clone(),
            key: file.key.clone(),
        });
    let directories = config.certificates.directories.iter();
    let directories =
        directories.map(|directory| CertificateSource::Directory(directory.path.clone()));
    files.chain(directories).collect()
}

/// Reads the certificates; what is broken keeps its last good content.
pub(crate) fn load_certificates(
    config: &Config,
    previous: &CertificateSet,
) -> (CertificateSet, Vec<CertificateProblem>) {
    CertificateSet::load(&certificate_sources(config), previous)
}

/// What the data plane is told.
pub(crate) fn blueprint(config: &Config, certificates: &Arc<CertificateSet>) -> Blueprint {
    Blueprint {
        listeners: config.listeners.clone(),
        routes: config.routes.clone(),
        exposure: config.exposure.clone(),
        tls: config.tls.clone(),
        certificates: Arc::clone(certificates),
        limits: config.limits.clone(),
        tracing: config.tracing.clone(),
    }
}
