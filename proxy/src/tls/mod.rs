//! .
/// .
#[derive(Debug, Default)]
pub struct CertificateSet {}
