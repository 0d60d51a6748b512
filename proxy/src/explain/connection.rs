//! From accept to the end of the handshake: the door, its lists, the name in the ClientHello.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use adit_route::{CanonicalHost, CidrSet, Role, Verdict as Policy};
use http::StatusCode;

use super::{Verdict, Walk, Why, words};
use crate::blueprint::ListenerKind;
use crate::conn::{self, Decision, Refused, Terminating};
use crate::info::{ConnInfo, TlsInfo};
use crate::snapshot::{CompiledHost, DoorTcp};
use crate::tls::{Selected, Termination};

impl Walk<'_> {
    pub(super) fn listener(&mut self) {
        let spec = Arc::clone(self.door.spec());
        let step = self.passed("listener", words::listener(&spec));
        step.fact("listener", &spec.name).fact("role", spec.role);
        if let Some(trusted) = &spec.proxy_protocol {
            let trusted = words::blocks(trusted);
            step.note(format!(
                "a PROXY header is required, and believed from {trusted}"
            ));
            step.note("the client below is the one that the header conveys");
        }
    }

    /// The door's lists. The connection as it would have been accepted.
    pub(super) fn client(&mut self) -> Result<ConnInfo, Verdict> {
        let spec = Arc::clone(self.door.spec());
        let (info, assumed) = match self.question.client {
            Some(client) => (self.connection(client), false),
            None => (self.assumed(), true),
        };
        let client = info.client.ip();
        let admitted = info.is_admitted();
        let matters = spec.allow.is_some() || !spec.deny.is_empty() || self.from().is_some();
        if assumed && !matters {
            self.passed("client", "any: nothing here depends on its address");
            return Ok(info);
        }
        let text = match (&spec.allow, admitted) {
            _ if spec.deny.contains(client) => {
                format!("{client} is denied: {}", words::blocks(&spec.deny))
            }
            (Some(allow), false) => {
                format!("{client} is not allowed: {}", words::blocks(allow))
            }
            (Some(_), true) => format!("{client} is allowed"),
            (None, _) => format!("{client}, everybody is let in"),
        };
        let step = self.step("client", admitted, text.clone());
        step.fact("client", client).fact("assumed", assumed);
        if assumed {
            step.note("assumed; `--client` asks for another");
        }
        if admitted {
            Ok(info)
        } else {
            Err(Verdict::Closed(Why::because("listener-lists", text)))
        }
    }

    fn connection(&self, client: IpAddr) -> ConnInfo {
        let spec = self.door.spec();
        let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let local = spec.binds.first().copied().unwrap_or(any);
        let client = SocketAddr::new(client, 0);
        let Some(trusted) = &spec.proxy_protocol else {
            return ConnInfo::new(Arc::clone(&self.door), client, local);
        };
        let peer = firsts(trusted).next().map_or(any, |peer| (peer, 0).into());
        let mut info = ConnInfo::new(Arc::clone(&self.door), peer, local);
        info.conveyed(client, None);
        info
    }

    /// A connection of a client that gets as far as one can by its address.
    fn assumed(&self) -> ConnInfo {
        let spec = self.door.spec();
        let from = self.from();
        let from = from.as_deref();
        let usual = [IpAddr::from(Ipv4Addr::LOCALHOST)];
        let candidates = from
            .into_iter()
            .chain(&spec.allow)
            .flat_map(firsts)
            .chain(usual);
        let admitted: Vec<_> = candidates
            .map(|client| self.connection(client))
            .filter(ConnInfo::is_admitted)
            .collect();
        let inside = |info: &ConnInfo| from.is_none_or(|from| from.contains(info.client.ip()));
        let best = admitted.iter().position(inside).unwrap_or(0);
        admitted
            .into_iter()
            .nth(best)
            .unwrap_or_else(|| self.connection(Ipv4Addr::LOCALHOST.into()))
    }

    /// From where the policy lets clients in, where it is asked at all.
    fn from(&self) -> Option<Arc<CidrSet>> {
        let asked = match self.door.spec().kind {
            ListenerKind::Http | ListenerKind::H2c | ListenerKind::Https => true,
            ListenerKind::Tcp { .. } | ListenerKind::Admin => false,
        };
        let policy = self.policy(&self.question.host, self.path());
        policy.from.clone().filter(|_| asked)
    }

    /// The path of the question.
    fn path(&self) -> &str {
        let target = &self.question.target;
        target.split_once('?').map_or(target, |(path, _)| path)
    }

    pub(super) fn policy(&self, host: &CanonicalHost, path: &str) -> Arc<Policy> {
        Arc::clone(self.snapshot.exposure.decide(host.as_str(), path))
    }

    /// A door without TLS.
    pub(super) fn clear_text(&mut self) -> Result<(), Verdict> {
        if !self.question.secure {
            return Ok(());
        }
        let text = "the listener speaks plain HTTP, and the client begins with TLS";
        self.failed("tls", text);
        // The gate takes the ClientHello for a request line.
        Err(Verdict::Closed(Why::because("D-37", text)))
    }

    /// A door with TLS; a verdict if the connection is passed through.
    pub(super) fn tls(&mut self, info: &mut ConnInfo) -> Result<Option<Verdict>, Verdict> {
        if !self.question.secure {
            let text = "the listener speaks TLS, and the client begins with plain HTTP";
            self.failed("tls", text);
            let why = Why::because("TL-09", text);
            return Err(Verdict::Answered(StatusCode::BAD_REQUEST, why));
        }
        // Clients name no address in the ClientHello (RFC 6066 §3).
        let host = &self.question.host;
        let sni = (!host.is_ip_literal()).then(|| host.clone());
        match conn::decide(self.snapshot, info, sni.as_ref()) {
            Ok(Decision::Passthrough(host)) => self.passthrough(&host, sni),
            Ok(Decision::Terminate(selected, terminating)) => {
                self.terminated(info, sni, selected, &terminating);
                Ok(None)
            }
            Err(refused) => Err(self.no_handshake(&refused, sni.as_ref())),
        }
    }

    fn passthrough(
        &mut self,
        host: &CompiledHost,
        sni: Option<CanonicalHost>,
    ) -> Result<Option<Verdict>, Verdict> {
        let (CompiledHost::Passthrough { upstream, .. }, Some(sni)) = (host, sni) else {
            return Ok(None);
        };
        self.passed(
            "tls",
            format!("{sni}: passed through, TLS ends at the backend"),
        )
        .fact("sni", &sni)
        .fact("mode", "passthrough");
        self.exposed(&sni, "/", self.door.spec().role);
        self.relayed(upstream).map(Verdict::PassedThrough).map(Some)
    }

    fn terminated(
        &mut self,
        info: &mut ConnInfo,
        sni: Option<CanonicalHost>,
        selected: Selected,
        terminating: &Terminating,
    ) {
        let certificate = &selected.certificate;
        let name = match &sni {
            Some(sni) => sni.to_string(),
            None => "no name, as for every address".to_owned(),
        };
        let until = httpdate::fmt_http_date(certificate.not_after());
        let step = self.passed(
            "tls",
            format!("{name}: ends here, certificate {}", certificate.name()),
        );
        step.fact("mode", "terminate")
            .fact("certificate", certificate.name())
            .fact("notAfter", &until);
        if let Some(sni) = &sni {
            step.fact("sni", sni);
        }
        step.note(format!(
            "{}, until {until}",
            words::certificate(certificate)
        ));
        if terminating
            .termination()
            .is_some_and(Termination::requires_client)
        {
            step.fact("clientCertificate", "required");
            step.note("a client certificate is demanded");
        }
        let Some((policy, identity)) = conn::identify(terminating, None) else {
            return;
        };
        info.tls = Some(TlsInfo {
            sni,
            certificate: selected.certificate,
            policy,
            version: "",
            cipher: "",
            resumed: false,
            h2: false,
            identity,
        });
    }

    fn no_handshake(&mut self, refused: &Refused, sni: Option<&CanonicalHost>) -> Verdict {
        let rule = match refused {
            Refused::Alert(_, rule) | Refused::Closed(rule) => *rule,
            Refused::PlainHttp => "TL-09",
        };
        let (why, said, notes) = match sni {
            None => {
                let text =
                    "no name is sent for an address, and `tls.defaultCertificate` is not set";
                (Why::because(rule, text), text.to_owned(), Vec::new())
            }
            Some(sni) if rule == "TL-13" && self.door.tcp.is_none() => {
                let (why, notes) = self.unknown(rule, sni, "/", self.door.spec().role);
                let said = if why.hidden {
                    format!("{sni} is not known here ({})", why.text)
                } else {
                    why.text.clone()
                };
                (why, said, notes)
            }
            Some(sni) => {
                let text = format!("no certificate names {sni}");
                let held = self.snapshot.certificates.iter();
                let notes = held.map(|held| words::certificate(held)).collect();
                (Why::because(rule, text.clone()), text, notes)
            }
        };
        let step = self.failed("tls", said);
        step.notes = notes;
        if let Some(sni) = sni {
            step.fact("sni", sni);
        }
        Verdict::UnrecognizedName(why)
    }

    /// Why a host is unknown through a door: because nothing is there, or because the policy hides
    /// it. And what else might have been meant.
    pub(super) fn unknown(
        &self,
        rule: &'static str,
        host: &CanonicalHost,
        path: &str,
        role: Role,
    ) -> (Why, Vec<String>) {
        let Some(entry) = self.snapshot.table.host(host.as_str()) else {
            let near = self.snapshot.table.nearest(host.as_str());
            let mut notes = Vec::new();
            if !near.is_empty() {
                notes.push(format!("nearest: {}", near.join(", ")));
            }
            return (Why::because(rule, format!("no route is for {host}")), notes);
        };
        let verdict = entry.verdict(host.as_str(), path);
        let mut said = self.said(verdict);
        if verdict.class.reaches(role)
            && let Some(from) = &verdict.from
        {
            said = format!("{said}, from {} only", words::blocks(from));
        }
        (Why::hidden(rule, said), self.skipped(host, path))
    }

    /// A door that relays bytes.
    pub(super) fn tcp(&mut self, info: &mut ConnInfo, tcp: &DoorTcp) -> Result<Verdict, Verdict> {
        if tcp.tls.is_some() {
            self.tls(info)?;
        }
        self.relayed(&tcp.upstream).map(Verdict::Relayed)
    }
}

/// The first address of each block.
fn firsts(set: &CidrSet) -> impl Iterator<Item = IpAddr> {
    set.blocks().iter().filter_map(|block| block.hosts().next())
}
