//! Who may ask: addresses, names and passwords, a server that decides, certificates.
//!
//! Each demand is a step of its own, in the order of the profile. With `satisfy: any` the demands
//! are one step at the place of the passwords.

mod addresses;
mod any;
mod basic;
pub(super) mod certificate;
mod external;

use std::sync::Arc;

use adit_route::policy::{Access, Satisfy};

pub(super) use addresses::Addresses;
pub(super) use any::Any;
pub(super) use basic::{Basic, Checked};
pub(super) use certificate::Certificate;
pub(super) use external::{Answers, External, Judgement};

use super::plan::Compiling;
use super::step::Step;

/// The steps of a route's demands, and the server that decides, which is needed after them too.
pub(super) fn steps(
    access: &Access,
    with: &mut Compiling<'_>,
) -> (Vec<Step>, Option<Arc<External>>) {
    let lists = Addresses::compile(&access.deny, access.allow.as_ref());
    let checked = &with.memory.checked;
    let basic = access.basic.as_ref();
    let basic = basic.map(|basic| Basic::compile(basic, checked));
    let external = access.external.as_ref().and_then(|external| {
        let upstream = (with.upstreams)(&external.upstream)?;
        let answers = &with.memory.answers;
        Some(Arc::new(External::compile(
            external,
            with.profile,
            upstream,
            answers,
        )))
    });
    let certificate = access.certificate.as_ref().map(Certificate::compile);
    let mut steps: Vec<Step> = certificate.map(Step::Certificate).into_iter().collect();
    match access.satisfy {
        Satisfy::Any if basic.is_some() || external.is_some() => steps.push(Step::Any(Any {
            lists,
            basic,
            external: external.clone(),
        })),
        Satisfy::Any | Satisfy::All => {
            steps.extend(lists.map(Step::Addresses));
            steps.extend(basic.map(Step::Basic));
            steps.extend(external.clone().map(Step::External));
        }
    }
    (steps, external)
}
