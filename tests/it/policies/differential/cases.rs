//! Parts that cases share.

/// What an authentication server answers: by the path that it is asked for.
pub(super) const AUTHORITY: &str = r#"
    location = /yes { add_header X-User jane; return 200; }
    location = /no { add_header WWW-Authenticate 'Bearer realm="x"' always; return 401; }
    location = /never { return 403; }
    location = /broken { return 500; }
"#;

/// A file of users: `jane` with the password `secret`.
pub(super) const USERS: &str = "jane:$apr1$ab12cd34$A7e5VoN5k.EWKFE.eC0lz.\n";
