//! Who is believed to be whom: people who come into the meeting, and what comparing numbers and codes shows.

use std::path::Path;
use std::time::Instant;

use crate::crypto::identity::IdentityKey;
use crate::engine::event::Tone;
use crate::engine::member::Member;
use crate::engine::room::Room;
use crate::engine::session::{Place, Session};
use crate::engine::store;
use crate::engine::view::{PeerId, PeerLink, Verification};
use crate::engine::{Event, Verdict, unix_now, words};

/// Where what speaks for a false identity is kept, below the folder of settings.
const EVIDENCE: &str = "evidence";

impl Session {
    /// We are in.
    pub(super) fn handle_entered(&mut self, now: Instant) {
        self.place = match std::mem::replace(&mut self.place, Place::Home) {
            // A host is in its meeting from the first; its window shows that when the relay is reached.
            Place::Connecting { room, step } if room.is_hosting() => Place::Connecting { room, step },
            Place::Connecting { room, .. } | Place::Lobby { room, .. } => self.in_meeting(now, room),
            other => other,
        };
        self.connect_devices();
        self.announce_media(now);
    }

    /// The roster names somebody. Who they are, they have yet to prove to this device.
    pub(super) fn handle_joined(&mut self, now: Instant, peer: PeerId) {
        let mut renamed = None;
        let stays = {
            let Some((identity, given)) =
                self.room().and_then(|room| room.member(peer)).map(|member| (member.identity, member.name.clone()))
            else {
                return;
            };
            // What a person verified goes with the name they verified, never with one that the peer picks today.
            if let Some(saved) =
                self.contacts.verified_name(&identity).filter(|saved| *saved != given).map(str::to_owned)
            {
                renamed = Some(words::other_name(&saved, &given));
                if let Some(member) = self.room().and_then(|room| room.member(peer)) {
                    member.name = saved;
                }
            }
            self.contacts.verification(&identity, &given) != Verification::Mismatch
        };
        if let Some(sentence) = renamed {
            self.warn(sentence);
        }
        if !stays && let Some(room) = self.room() {
            // Found different earlier: nothing flows until a person takes that back.
            if let Some(member) = room.member(peer) {
                member.verification = Verification::Mismatch;
            }
            room.stop_media(now, peer);
        }
        let _ = self.events.send(Event::Joined);
    }

    /// Somebody has proven the identity that the roster names: now it counts whether that has been compared.
    pub(super) fn handle_proven(&mut self, now: Instant, peer: PeerId) {
        let Some(room) = self.room() else { return };
        let Some(member) = room.member(peer) else { return };
        let (identity, name) = (member.identity, member.name.clone());
        let verification = self.contacts.verification(&identity, &name);
        if let Some(member) = self.room().and_then(|room| room.member(peer)) {
            member.verification = verification;
        }
        if let Err(error) = self.contacts.met(&identity, &name, unix_now()) {
            self.warn(words::contacts_error(&error));
        }
        let volume = self.contacts.volume(&identity);
        if let Some(member) = self.room().and_then(|room| room.member(peer)) {
            member.volume = volume;
            member.inbound.set_volume(volume);
        }
        self.tell_known();
        self.announce_media(now);
    }

    /// Strangers do not crowd out the knocks of those who have been met.
    pub(super) fn tell_known(&mut self) {
        let (known, blocked) = (self.contacts.known_keys(), self.contacts.blocked_keys());
        if let Some(room) = self.room() {
            room.meeting.set_known(known);
            room.meeting.set_blocked(Instant::now(), blocked);
        }
    }

    /// How loud somebody is played; it is remembered for their key.
    pub(super) fn set_volume(&mut self, peer: PeerId, volume: f32) {
        if !volume.is_finite() {
            return;
        }
        let Some(member) = self.room().and_then(|room| room.member(peer)) else { return };
        let (identity, proven) = (member.identity, member.proven);
        member.volume = volume.clamp(0.0, 2.0);
        member.inbound.set_volume(volume);
        if proven {
            self.contacts.set_volume(&identity, volume);
        }
    }

    /// Writes volumes that have changed.
    pub(super) fn keep_volumes(&mut self) {
        if let Err(error) = self.contacts.keep_volumes() {
            self.warn(words::contacts_error(&error));
        }
    }

    /// What comparing two people's numbers showed.
    pub(super) fn judge(&mut self, now: Instant, peer: PeerId, verdict: Verdict) {
        let Some((identity, name, was)) = self
            .room()
            .and_then(|room| room.member(peer).map(|member| (member.identity, member.name.clone(), member.link)))
        else {
            return;
        };
        let outcome = match verdict {
            Verdict::Match => Some(true),
            Verdict::Mismatch => Some(false),
            Verdict::Withdrawn => None,
        };
        let kept = self.contacts.judge(&identity, &name, outcome, unix_now());
        let verification = self.contacts.verification(&identity, &name);
        if let Some(room) = self.room() {
            if let Some(member) = room.member(peer) {
                member.verification = verification;
            }
            if verdict == Verdict::Mismatch {
                room.stop_media(now, peer);
            } else if was == PeerLink::Stopped {
                // A path that was closed for good reason does not open again: they come back with new keys, or not at all.
                room.start_anew(now, peer);
            }
        }
        self.settle(now);
        if verdict == Verdict::Mismatch {
            self.keep_evidence(&identity, &name);
        }
        match kept {
            Ok(()) if verdict == Verdict::Match => {
                self.toast(Tone::Good, format!("{name} is verified on this device from now on."));
            }
            Ok(()) => {}
            Err(error) => self.warn(words::contacts_error(&error)),
        }
    }

    /// What reading the group code aloud showed. The same for all, it verifies everyone whose identity is proven here.
    pub(super) fn judge_code(&mut self, now: Instant, digits: &str, verdict: Verdict) {
        let Some(room) = self.room() else { return };
        let differed = room.code_verdict == Some(false);
        // Somebody may have come or gone between the reading and the pressing. A difference can be taken back all the same.
        let read = room.code.as_ref().is_some_and(|code| code.digits() == digits);
        let taken_back = differed && verdict == Verdict::Withdrawn;
        if !read && !taken_back {
            return self.warn(words::code_changed());
        }
        let people: Vec<(PeerId, IdentityKey, String)> = room
            .members
            .iter()
            .filter(|member| member.proven && member.link != PeerLink::Stopped)
            .map(|member| (member.id, member.identity, member.name.clone()))
            .collect();
        room.code_verdict = match verdict {
            Verdict::Match => Some(true),
            Verdict::Mismatch => Some(false),
            Verdict::Withdrawn => None,
        };
        match verdict {
            Verdict::Match => {
                let mut verified = Vec::new();
                for (peer, identity, name) in people {
                    verified.push(name.clone());
                    let already = matches!(self.contacts.verification(&identity, &name), Verification::Yes { .. });
                    if !already && let Err(error) = self.contacts.judge(&identity, &name, Some(true), unix_now()) {
                        self.warn(words::contacts_error(&error));
                    }
                    let verification = self.contacts.verification(&identity, &name);
                    if let Some(member) = self.room().and_then(|room| room.member(peer)) {
                        member.verification = verification;
                    }
                }
                self.toast(Tone::Good, words::verified_by_code(&verified));
            }
            Verdict::Mismatch => {
                // Nobody can say which of them is another: nothing flows to or from any.
                for (peer, identity, name) in people {
                    if let Some(room) = self.room() {
                        room.stop_media(now, peer);
                    }
                    self.keep_evidence(&identity, &name);
                }
                self.settle(now);
            }
            Verdict::Withdrawn if differed => self.hear_all_again(now),
            Verdict::Withdrawn => {}
        }
    }

    /// The codes were the same after all: with new keys, over new sessions, whoever was cut off for it is heard again.
    fn hear_all_again(&mut self, now: Instant) {
        let Some(room) = self.room() else { return };
        let (hosting, host) = (room.is_hosting(), room.host_name());
        let stopped: Vec<PeerId> = room
            .members
            .iter()
            .filter(|member| member.link == PeerLink::Stopped && member.verification != Verification::Mismatch)
            .map(|member| member.id)
            .collect();
        for peer in stopped {
            if let Some(room) = self.room() {
                room.start_anew(now, peer);
            }
        }
        self.settle(now);
        // The session with the host carries the meeting, and is not made anew.
        if let Some(host) = host.filter(|_| !hosting) {
            self.warn(words::come_back_for(&host));
        }
    }

    /// The host has signed two lists.
    pub(super) fn handle_fork(&mut self) {
        let Some(room) = self.room() else { return };
        let host = room.host_name();
        let host = host.unwrap_or_else(|| "host".into());
        let own = self.identity.key();
        self.keep_evidence(&own, &host);
        self.toast(Tone::Danger, words::forked());
    }

    /// Keeps the signed log of the meeting so far beside the settings: what was certified and which keys were used.
    fn keep_evidence(&mut self, about: &IdentityKey, name: &str) {
        let Some(log) = self.room().and_then(|room| room.meeting.log()) else { return };
        let folder = self.options.config.join(EVIDENCE);
        let file = folder.join(format!("{}-{}.log", unix_now(), about.fingerprint()));
        let kept = store::make_private_folder(&folder).and_then(|()| store::replace_private(&file, log.as_bytes()));
        match kept {
            Ok(()) => self.toast(Tone::Neutral, words::evidence_kept(name, &file)),
            Err(error) => self.warn(words::evidence_not_kept(&error)),
        }
    }

    /// Writes the signed log of the meeting, or of the one that has just ended, where the person wants it.
    pub(super) fn save_log(&mut self, path: &Path) {
        let log = match self.room() {
            Some(room) => room.meeting.log(),
            None => self.last_log.clone(),
        };
        let Some(log) = log else { return };
        match store::replace_private(path, log.as_bytes()) {
            Ok(()) => self.toast(Tone::Good, words::log_saved(path)),
            Err(error) => self.warn(words::log_not_saved(path, &error)),
        }
    }
}

impl Room {
    /// Keeps who was here, and whether they were verified.
    pub(crate) fn note_met(&mut self, member: &Member) {
        let verified = matches!(member.verification, Verification::Yes { .. });
        match self.met.iter_mut().find(|(identity, ..)| *identity == member.identity) {
            Some(entry) => entry.2 = verified,
            None => self.met.push((member.identity, member.name.clone(), verified)),
        }
    }

    /// All who were here, those still here included.
    pub(crate) fn everyone_met(&mut self) -> Vec<(String, bool)> {
        for member in std::mem::take(&mut self.members) {
            self.note_met(&member);
        }
        self.met.iter().map(|(_, name, verified)| (name.clone(), *verified)).collect()
    }
}
