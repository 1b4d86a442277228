//! The way to each member of a meeting: opened with the session, closed with it, and what is heard of it meanwhile.

use std::time::Instant;

use crate::engine::input::PathNews;
use crate::engine::peer_path::{PathPlan, PeerPath};
use crate::engine::room::{Room, tell};
use crate::engine::series::What;
use crate::engine::view::{PeerId, PeerLink, PeerStats};
use crate::engine::words;
use crate::transport::{Limits, PathConfig, Role, RouteRefusal};

impl Room {
    /// A peer's pictures are shown with so many rows.
    pub(crate) fn watch(&mut self, now: Instant, peer: PeerId, height: u32) {
        if let Some(member) = self.member(peer) {
            member.shown.height = Some(u16::try_from(height).unwrap_or(u16::MAX));
            member.expect_pictures();
        }
        self.send_wishes(now);
    }

    /// Tells those members who do not know it yet how large they are shown. Whether there were any.
    pub(crate) fn send_wishes(&mut self, now: Instant) -> bool {
        let mut told = false;
        for member in self.members.iter_mut().filter(|member| member.proven && member.path.is_some()) {
            if let Some(height) = member.shown.news(now) {
                tell(self.meeting.send_video_wish(now, member.id, height));
                told = true;
            }
        }
        told
    }

    /// A session with a member stands: a path is agreed in it. Whoever called offers.
    pub(super) fn open_path(&mut self, now: Instant, peer: PeerId, offers: bool) {
        let Some(outbox) = &self.outbox else { return };
        let Some(member) = self.members.iter_mut().find(|member| member.id == peer) else { return };
        (member.proven, member.since) = (true, now);
        if member.link == PeerLink::Stopped {
            return;
        }
        if self.code_verdict == Some(false) {
            // The list is not to be trusted, and whoever comes by it is not heard either.
            return self.stop_media(now, peer);
        }
        self.paths += 1;
        let plan = PathPlan {
            peer,
            number: self.paths,
            role: if offers { Role::Offerer } else { Role::Answerer },
            config: PathConfig {
                stun: self.reach.stun.clone(),
                bind: self.reach.bind.clone(),
                allow_loopback: self.reach.allow_loopback,
                policy: self.reach.routes.policy(),
                limits: Limits::default(),
            },
        };
        member.shown.forget_told();
        member.path = Some(PeerPath::start(plan, member.inbound.clone(), outbox, self.inputs.clone()));
    }

    /// The session with a member is gone, and with it the way to agree on a path.
    pub(super) fn close_path(&mut self, peer: PeerId) {
        if let Some(outbox) = &self.outbox {
            outbox.remove(peer);
        }
        if let Some(member) = self.member(peer) {
            member.path = None;
            member.route = None;
            if member.link != PeerLink::Stopped {
                member.link = PeerLink::Connecting;
            }
        }
    }

    pub(super) fn with_path(&mut self, peer: PeerId, act: impl FnOnce(&PeerPath)) {
        if let Some(path) = self.member(peer).and_then(|member| member.path.as_ref()) {
            act(path);
        }
    }

    /// Ends media with a member whose safety number differed; the session stays, so that it can be taken back.
    pub(crate) fn stop_media(&mut self, now: Instant, peer: PeerId) {
        if let Err(error) = self.meeting.stop(now, peer) {
            tracing::debug!(%error, "nobody to stop");
        }
        if let Some(outbox) = &self.outbox {
            outbox.remove(peer);
        }
        self.playout.remove(peer);
        if let Some(member) = self.member(peer) {
            member.inbound.stop();
            member.path = None;
            member.link = PeerLink::Stopped;
            (member.route, member.stats) = (None, PeerStats::default());
        }
    }

    /// A member whose media were stopped may be heard again: with new keys, over a new session and a new path. The host's
    /// session carries the meeting and cannot be made anew; a guest of ours knocks again.
    pub(crate) fn start_anew(&mut self, now: Instant, peer: PeerId) {
        if self.is_hosting() {
            let _ = self.meeting.drop_peer(now, peer);
            return;
        }
        let Some(at) = self.members.iter().position(|member| member.id == peer) else { return };
        if self.meeting.resume(now, peer).and_then(|()| self.meeting.renew(now, peer)).is_err() {
            return;
        }
        let old = self.members.remove(at);
        let given = (old.identity, old.name.clone(), old.index);
        match self.add_member(now, peer, given.0, given.1, given.2) {
            Ok(()) => {
                if let Some(member) = self.member(peer) {
                    (member.role, member.verification) = (old.role, old.verification);
                    member.shown.height = old.shown.height;
                    member.expect_pictures();
                }
            }
            Err(error) => tracing::error!(%error, "no thread for a peer's pictures"),
        }
    }

    /// Takes news of a path.
    pub(crate) fn handle_path(&mut self, now: Instant, peer: PeerId, number: u64, news: PathNews) {
        let Some(at) = self.members.iter().position(|member| member.id == peer) else { return };
        let member = &mut self.members[at];
        if member.path.as_ref().is_none_or(|path| path.number != number) {
            return;
        }
        match news {
            PathNews::Offer(sdp) => tell(self.meeting.send_offer(now, peer, sdp)),
            PathNews::Answer(sdp) => tell(self.meeting.send_answer(now, peer, sdp)),
            PathNews::Candidate(line) => tell(self.meeting.send_candidate(now, peer, line)),
            PathNews::Connected => {
                member.link = PeerLink::Live;
                member.refused = None;
                self.statistics.note(now, peer, What::Connected);
                if let Some(measure) = &self.measure {
                    measure.connected(now);
                }
            }
            PathNews::Disconnected | PathNews::Failed => {
                if member.link == PeerLink::Live {
                    member.link = PeerLink::Reconnecting;
                    self.statistics.note(now, peer, What::Disconnected);
                }
                // The network may have changed: the relay, through which a new path is agreed, should be back at once.
                self.relay.hurry();
                if member.silent && matches!(news, PathNews::Failed) {
                    let _ = self.meeting.drop_peer(now, peer);
                }
            }
            PathNews::Route(route) => {
                self.statistics.note(now, peer, if route.relayed { What::Relayed } else { What::Direct });
                member.route = Some(self.reach.routes.shown(&route));
            }
            PathNews::Refused(why) => {
                let certificate = Some(words::route_refusal(RouteRefusal::TurnCertificate));
                // That no address came is what follows from it, and a way that stands needs no TURN server.
                let follows = why == RouteRefusal::NoRelay && member.refused == certificate;
                let idle = why == RouteRefusal::TurnCertificate && member.link == PeerLink::Live;
                if !follows && !idle {
                    member.refused = Some(words::route_refusal(why));
                }
                if why.closes() && member.link == PeerLink::Live {
                    member.link = PeerLink::Reconnecting;
                }
            }
            PathNews::Ruled(why) => member.refused = Some(words::policy_error(why)),
            PathNews::Stats(stats) => {
                let wanted = self.outbox.as_ref().and_then(|outbox| outbox.worth_bps(now, peer));
                self.statistics.handle_path(now, member, *stats, wanted);
                self.statistics.handle_own(now, self.outbox.as_deref());
            }
        }
        if let Some(measure) = &self.measure
            && let Some(member) = self.members.get(at)
        {
            measure.update_peer(peer, member.generation, member.route.as_ref());
        }
    }
}
