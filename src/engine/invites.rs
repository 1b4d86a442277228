//! The invites of a meeting that is hosted here: for whom each is, and who has used it. What the host calls them stays on this
//! device; the protocol knows numbers alone.

use std::time::Instant;

use crate::crypto::identity::IdentityKey;
use crate::engine::command::InviteWish;
use crate::engine::view::{InviteLink, InviteNo, InviteState};
use crate::protocol::invite::{Invite, InviteId};
use crate::protocol::relay_address::RelayAddress;

/// Names kept of those who used one invite; more are as many.
const MOST_USERS: usize = 16;

struct Held {
    no: InviteNo,
    invite: Invite,
    label: String,
    single_use: bool,
    /// When it stops working.
    ends: Option<Instant>,
    revoked: bool,
    /// Somebody came in with it.
    spent: bool,
    users: Vec<(IdentityKey, String)>,
}

/// What the host should know of the invite that somebody knocks with.
pub(crate) struct Used {
    /// For whom it was made; empty for the general one.
    pub(crate) label: String,
    /// Somebody else who used it before, if it was for one person.
    pub(crate) shared_with: Option<String>,
}

/// All invites of one meeting, in the order in which they were made.
#[derive(Default)]
pub(crate) struct Invites {
    held: Vec<Held>,
    made: InviteNo,
}

impl Invites {
    /// Takes in an invite that was made as wished.
    pub(crate) fn add(&mut self, invite: Invite, wish: InviteWish, now: Instant) {
        self.made += 1;
        self.held.push(Held {
            no: self.made,
            invite,
            label: wish.label,
            single_use: wish.single_use,
            ends: wish.lasts.map(|lasts| now + lasts),
            revoked: false,
            spent: false,
            users: Vec::new(),
        });
    }

    /// The protocol's name of an invite.
    pub(crate) fn id(&self, no: InviteNo) -> Option<InviteId> {
        self.held.iter().find(|held| held.no == no).map(|held| held.invite.invite_id)
    }

    /// It opens the door no more.
    pub(crate) fn revoke(&mut self, no: InviteNo) {
        if let Some(held) = self.held.iter_mut().find(|held| held.no == no) {
            held.revoked = true;
        }
    }

    /// The meeting has another host now: its links are what opens doors.
    pub(crate) fn clear(&mut self) {
        self.held.clear();
    }

    /// Somebody knocks with an invite.
    pub(crate) fn used(&mut self, id: &InviteId, identity: &IdentityKey, name: &str) -> Used {
        let Some(held) = self.held.iter_mut().find(|held| held.invite.invite_id == *id) else {
            return Used { label: String::new(), shared_with: None };
        };
        let personal = held.single_use || !held.label.is_empty();
        let other = held.users.iter().find(|(user, _)| user != identity).map(|(_, name)| name.clone());
        if !held.users.iter().any(|(user, _)| user == identity) && held.users.len() < MOST_USERS {
            held.users.push((*identity, name.to_owned()));
        }
        Used { label: held.label.clone(), shared_with: other.filter(|_| personal) }
    }

    /// Somebody who knocked with an invite is in.
    pub(crate) fn entered(&mut self, identity: &IdentityKey) {
        for held in &mut self.held {
            held.spent |= held.single_use && held.users.iter().any(|(user, _)| user == identity);
        }
    }

    /// The relays are reached at other addresses now.
    pub(crate) fn move_to(&mut self, relays: &[RelayAddress]) {
        for held in &mut self.held {
            if let Ok(moved) = held.invite.with_relays(relays.to_vec()) {
                held.invite = moved;
            }
        }
    }

    /// As the host sees them.
    pub(crate) fn view(&self, now: Instant) -> Vec<InviteLink> {
        let one = |held: &Held| InviteLink {
            id: held.no,
            label: held.label.clone(),
            link: held.invite.to_link(),
            expires: held.invite.expires,
            single_use: held.single_use,
            state: held.state(now),
            used_by: held.users.iter().map(|(_, name)| name.clone()).collect(),
        };
        self.held.iter().map(one).collect()
    }

    /// The link to hand out where nobody asks for a particular one.
    pub(crate) fn general(&self, now: Instant) -> Option<String> {
        let open = |held: &&Held| held.label.is_empty() && !held.single_use && held.state(now) == InviteState::Open;
        self.held.iter().find(open).map(|held| held.invite.to_link())
    }
}

impl Held {
    fn state(&self, now: Instant) -> InviteState {
        if self.revoked {
            InviteState::Revoked
        } else if self.spent {
            InviteState::Used
        } else if self.ends.is_some_and(|ends| ends <= now) {
            InviteState::Expired
        } else {
            InviteState::Open
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::crypto::secret::Secret;

    const ANA: IdentityKey = IdentityKey([1; 32]);
    const BEN: IdentityKey = IdentityKey([2; 32]);

    fn invites(wishes: &[(&str, bool, Option<u64>)], now: Instant) -> Invites {
        let mut invites = Invites::default();
        for (at, (label, single_use, lasts)) in wishes.iter().enumerate() {
            let invite = Invite {
                room_secret: Secret::new([1; 16]),
                host_identity: IdentityKey([9; 32]),
                host_static: [3; 32],
                host_name: None,
                invite_id: [at as u8; 8],
                secret: Secret::new([at as u8; 32]),
                relays: vec![RelayAddress::from_setting("relay.example").unwrap()],
                expires: None,
            };
            let lasts = lasts.map(Duration::from_secs);
            invites.add(invite, InviteWish { label: (*label).to_owned(), lasts, single_use: *single_use }, now);
        }
        invites
    }

    #[test]
    fn a_personal_link_used_by_two_shows_that_it_was_passed_on() {
        let mut invites = invites(&[("", false, None), ("Ana", false, None)], Instant::now());
        assert_eq!(invites.used(&[1; 8], &ANA, "Ana").shared_with, None);
        assert_eq!(invites.used(&[1; 8], &ANA, "Ana").shared_with, None, "the same person may come again");
        let second = invites.used(&[1; 8], &BEN, "Ben");
        assert_eq!((second.label.as_str(), second.shared_with.as_deref()), ("Ana", Some("Ana")));
        assert_eq!(invites.used(&[0; 8], &ANA, "Ana").shared_with, None);
        assert_eq!(invites.used(&[0; 8], &BEN, "Ben").shared_with, None, "the general link is for everyone");
        assert_eq!(invites.view(Instant::now())[1].used_by, ["Ana", "Ben"]);
    }

    #[test]
    fn an_invite_is_open_until_it_is_used_up_revoked_or_over() {
        let now = Instant::now();
        let mut invites = invites(&[("", false, None), ("Ana", true, None), ("Ben", false, Some(60))], now);
        let states = |invites: &Invites, at| invites.view(at).iter().map(|one| one.state).collect::<Vec<_>>();
        assert_eq!(states(&invites, now), [InviteState::Open; 3]);
        invites.used(&[1; 8], &ANA, "Ana");
        assert_eq!(states(&invites, now)[1], InviteState::Open, "a knock is no entry");
        invites.entered(&ANA);
        invites.revoke(1);
        let later = now + Duration::from_secs(60);
        assert_eq!(states(&invites, later), [InviteState::Revoked, InviteState::Used, InviteState::Expired]);
        assert_eq!(invites.general(now), None, "no open link is for everyone");
    }

    #[test]
    fn links_follow_the_relay_to_other_addresses() {
        let mut invites = invites(&[("", false, None)], Instant::now());
        invites.move_to(&[RelayAddress::from_setting("other.example").unwrap()]);
        assert!(invites.general(Instant::now()).unwrap().starts_with("conclave://other.example/"));
    }
}
