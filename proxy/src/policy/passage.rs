//! A request on its way through a plan: what the steps know of it, and what they leave behind.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use http::uri::PathAndQuery;

use super::rate::Place;
use crate::http::headers;
use crate::http::message::Request;
use crate::info::ConnInfo;

/// A request on its way.
pub(crate) struct Passage<'a> {
    pub info: &'a Rc<ConnInfo>,
    /// The client, as section 4.2 finds it: the peer, or what trusted proxies say.
    pub client: IpAddr,
    /// Path and query as the client sent them.
    pub target: PathAndQuery,
    /// Who basic authentication let in.
    pub user: Option<Arc<str>>,
    /// The client's place among its requests in progress.
    pub place: Option<Place>,
}

/// What variables and decisions may depend on.
#[derive(Clone, Copy)]
pub(crate) struct Scene<'a> {
    pub info: &'a ConnInfo,
    pub request: &'a Request,
    pub client: IpAddr,
    pub target: &'a PathAndQuery,
    pub user: Option<&'a str>,
}

impl<'a> Passage<'a> {
    pub(crate) fn scene<'b>(&'b self, request: &'b Request) -> Scene<'b>
    where
        'a: 'b,
    {
        Scene {
            info: self.info,
            request,
            client: self.client,
            target: &self.target,
            user: self.user.as_deref(),
        }
    }
}

impl Scene<'_> {
    /// The scheme that the client used, as far as a trusted proxy knows it better than we do. Asked
    /// after the forwarding fields were set.
    pub(crate) fn scheme(&self) -> &'static str {
        let forwarded = self.request.headers.get(headers::X_FORWARDED_PROTO);
        match forwarded.map(http::HeaderValue::as_bytes) {
            Some(b"https") => "https",
            Some(b"http") => "http",
            _ if self.info.tls.is_some() => "https",
            _ => "http",
        }
    }
}
