//! A request on its way through a plan: what the steps know of it, and what they leave behind.

use std::borrow::Cow;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use adit_route::CanonicalHost;
use http::HeaderValue;
use http::uri::PathAndQuery;

use super::access::Judgement;
use super::rate::Place;
use crate::http::handle::Serving;
use crate::http::handle::forwarded_client;
use crate::http::headers;
use crate::http::message::Request;
use crate::info::ConnInfo;

/// A request on its way.
pub(crate) struct Passage<'a> {
    pub serving: Serving<'a>,
    pub info: &'a Rc<ConnInfo>,
    /// The client, as section 4.2 finds it: the peer, or what trusted proxies say.
    pub client: IpAddr,
    /// Path and query as the client sent them.
    pub target: PathAndQuery,
    /// The path of the rule, as it was written.
    pub location: &'a str,
    /// Who basic authentication let in.
    pub user: Option<Arc<str>>,
    /// The client's place among its requests in progress.
    pub place: Option<Place>,
    /// The cookie of a session that begins.
    pub session: Option<HeaderValue>,
    /// The origin that may read the answer, if there is one.
    pub origin: Option<HeaderValue>,
    /// What the server said that decides.
    pub said: Option<Arc<Judgement>>,
}

/// What variables and decisions may depend on.
#[derive(Clone, Copy)]
pub(crate) struct Scene<'a> {
    pub info: &'a ConnInfo,
    pub request: &'a Request,
    pub client: IpAddr,
    pub target: &'a PathAndQuery,
    pub location: &'a str,
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
            location: self.location,
            user: self.user.as_deref(),
        }
    }
}

impl<'a> Scene<'a> {
    /// The scene of a request whose route has no policies.
    pub(crate) fn plain(info: &'a ConnInfo, request: &'a Request) -> Self {
        Self {
            info,
            request,
            client: forwarded_client(info, request).unwrap_or_else(|| info.client.ip()),
            target: &request.target,
            location: "",
            user: None,
        }
    }

    /// The host that the client asked for, as far as a trusted proxy knows it better than we do, and
    /// without a port (RED-02). Asked after the forwarding fields were set.
    pub(crate) fn public_host(&self) -> Cow<'_, str> {
        let forwarded = self.request.headers.get(headers::X_FORWARDED_HOST);
        let forwarded = forwarded.filter(|_| self.info.trusts_forwarding());
        let named = forwarded.and_then(|host| CanonicalHost::parse_authority(host.as_bytes()).ok());
        match named {
            Some((host, _)) => Cow::Owned(host.as_str().to_owned()),
            None => Cow::Borrowed(self.request.host.as_str()),
        }
    }

    /// The scheme that the client used, as far as a trusted proxy knows it better than we do. Asked
    /// after the forwarding fields were set.
    pub(crate) fn scheme(&self) -> &'static str {
        let forwarded = self.request.headers.get(headers::X_FORWARDED_PROTO);
        match forwarded.map(HeaderValue::as_bytes) {
            Some(b"https") => "https",
            Some(b"http") => "http",
            _ if self.info.tls.is_some() => "https",
            _ => "http",
        }
    }
}
