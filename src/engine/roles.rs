//! What a host and a co-host do: invites, the door, and who takes over.

use std::time::Instant;

use crate::engine::command::InviteWish;
use crate::engine::entrance::INVITE_LIFE;
use crate::engine::event::Tone;
use crate::engine::session::Session;
use crate::engine::view::{InviteNo, PeerId, Verification};
use crate::engine::{Event, unix_now, words};
use crate::protocol::meeting::{InviteOptions, Meeting, MeetingError, Moment, RosterState};
use crate::protocol::roster::MemberRole;

/// Longest label of an invite, in characters.
const LONGEST_LABEL: usize = 64;

impl Session {
    /// Asks something of the protocol; what it refuses is said.
    pub(super) fn with_meeting(&mut self, now: Instant, act: impl FnOnce(&mut Meeting) -> Result<(), MeetingError>) {
        let refused = self.room().and_then(|room| act(&mut room.meeting).err());
        if let Some(error) = refused {
            self.warn(words::meeting_error(&error));
        }
        self.settle(now);
    }

    /// Somebody knocks: whose key was compared comes in without being asked about, if the person has chosen so.
    pub(super) fn handle_knock(&mut self, now: Instant, visitor: PeerId) {
        let Some(room) = self.room() else { return };
        let Some(at) = room.visitors.iter().position(|waiting| waiting.id == visitor) else { return };
        let (identity, name) = (room.visitors[at].identity, room.visitors[at].name.clone());
        let host = room.is_hosting();
        let verified = matches!(self.contacts.verification(&identity, &name), Verification::Yes { .. });
        if host && verified && self.settings.admit_verified {
            self.with_meeting(now, |meeting| meeting.admit(now, visitor));
            return;
        }
        let _ = self.events.send(Event::Knock);
        (self.wake)();
    }

    /// Turns somebody away, now and whenever they knock again.
    pub(super) fn block(&mut self, now: Instant, visitor: PeerId) {
        let Some(room) = self.room() else { return };
        let Some(waiting) = room.visitors.iter().find(|waiting| waiting.id == visitor) else { return };
        let (identity, name) = (waiting.identity, waiting.name.clone());
        if let Err(error) = self.contacts.block(&identity, &name, unix_now()) {
            self.warn(words::contacts_error(&error));
        }
        self.with_meeting(now, |meeting| meeting.decline(now, visitor));
        self.tell_known();
        self.settle(now);
    }

    /// Hears somebody knocking again.
    pub(super) fn unblock(&mut self, now: Instant, fingerprint: &str) {
        if let Err(error) = self.contacts.unblock(fingerprint) {
            self.warn(words::contacts_error(&error));
        }
        self.tell_known();
        self.settle(now);
    }

    /// Opens a further invite.
    pub(super) fn create_invite(&mut self, now: Instant, wish: InviteWish) {
        let named = !self.settings.hide_name_in_links;
        let label: String = wish.label.trim().chars().filter(|c| !c.is_control()).take(LONGEST_LABEL).collect();
        let wish = InviteWish { label, ..wish };
        let Some(room) = self.room() else { return };
        let expires = wish.lasts.map(|lasts| Moment { unix: unix_now() + lasts.as_secs(), at: now + lasts });
        let options = InviteOptions { relays: room.relays.clone(), expires, single_use: wish.single_use, named };
        match room.meeting.create_invite(options) {
            Ok(invite) => room.invites.add(invite, wish, now),
            Err(error) => self.warn(words::meeting_error(&error)),
        }
    }

    /// Closes an invite.
    pub(super) fn revoke_invite(&mut self, now: Instant, no: InviteNo) {
        let Some(room) = self.room() else { return };
        let Some(id) = room.invites.id(no) else { return };
        room.invites.revoke(no);
        self.with_meeting(now, |meeting| meeting.revoke_invite(now, &id));
    }

    /// Leaves the meeting to whoever is to take over. The relay inside this app runs on until the app ends, or the others
    /// could not reach each other for what is still to be agreed.
    pub(super) async fn leave_to_heir(&mut self, now: Instant) {
        let relay = self.own_relay.take();
        self.leave_by(now, Meeting::leave_to_heir).await;
        self.own_relay = relay;
    }

    /// The roster has changed: who hosts may be another.
    pub(super) fn handle_roster(&mut self, now: Instant, before: Option<RosterState>) {
        let Some(room) = self.room() else { return };
        let (role, was) = (room.own_role(), before.as_ref().map(|before| before.own_role));
        if was == Some(role) {
            return self.tell_new_host(before.as_ref());
        }
        if role == MemberRole::Host && was.is_some() {
            self.tell_known();
            self.toast(Tone::Neutral, words::you_host());
            self.create_invite(now, InviteWish { label: String::new(), lasts: Some(INVITE_LIFE), single_use: false });
        } else if was == Some(MemberRole::Host) {
            if let Some(room) = self.room() {
                room.invites.clear();
            }
            self.tell_new_host(before.as_ref());
        } else if role == MemberRole::CoHost {
            self.toast(Tone::Neutral, words::you_are_cohost());
        }
    }

    fn tell_new_host(&mut self, before: Option<&RosterState>) {
        let host =
            |state: &RosterState| state.roles.iter().find(|(_, role)| *role == MemberRole::Host).map(|(peer, _)| *peer);
        let Some(room) = self.room() else { return };
        let new = room.roster.as_ref().and_then(host);
        if before.is_some()
            && new.is_some()
            && before.and_then(host) != new
            && let Some(name) = room.host_name()
        {
            self.toast(Tone::Neutral, words::hosts_now(&name));
        }
    }
}
