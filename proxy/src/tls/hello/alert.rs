//! Fatal alerts that are sent before a handshake has keys (RFC 8446 §6.2).

/// Alert: a message came where it must not (RFC 8446 §6.2).
pub const UNEXPECTED_MESSAGE: u8 = 10;
/// Alert: a record is longer than records may be.
pub const RECORD_OVERFLOW: u8 = 22;
/// Alert: a field holds what it must not.
pub const ILLEGAL_PARAMETER: u8 = 47;
/// Alert: a message cannot be taken apart.
pub const DECODE_ERROR: u8 = 50;
/// Alert: no version in common.
pub const PROTOCOL_VERSION: u8 = 70;
/// Alert: no host of this name is served, or no name was sent (TL-10).
pub const UNRECOGNIZED_NAME: u8 = 112;
/// Alert: no application protocol in common (TL-17).
pub const NO_APPLICATION_PROTOCOL: u8 = 120;

/// A fatal alert, ready to be sent before any key exists.
pub fn alert_record(alert: u8) -> [u8; 7] {
    const ALERT: u8 = 21;
    const FATAL: u8 = 2;
    [ALERT, 3, 3, 0, 2, FATAL, alert]
}
