//! What a co-host sees of the host's door, and what it asks for.

use std::collections::BTreeMap;

use super::core::Core;
use super::event::{Event, PeerNo};
use crate::protocol::roster::MemberRole;
use crate::protocol::wire::Waiting;

/// Who waits at the host's door, by our own number for them.
#[derive(Default)]
pub(super) struct Vestibule {
    waiting: BTreeMap<PeerNo, Waiting>,
}

impl Vestibule {
    /// The host's number for somebody who waits.
    pub(super) fn number(&self, no: PeerNo) -> Option<u32> {
        self.waiting.get(&no).map(|waiting| waiting.number)
    }

    /// Takes the host's newest list, or none when we are no co-host any more.
    pub(super) fn update(&mut self, core: &mut Core, list: Vec<Waiting>) {
        let gone: Vec<PeerNo> =
            self.waiting.iter().filter(|(_, waiting)| !list.contains(waiting)).map(|(no, _)| *no).collect();
        for no in gone {
            self.waiting.remove(&no);
            core.events.push_back(Event::KnockGone { peer: no });
        }
        for new in list {
            if self.waiting.values().any(|waiting| *waiting == new) {
                continue;
            }
            let no = core.number();
            let (identity, name) = (new.identity, new.name.clone());
            core.events.push_back(Event::Knocked { peer: no, identity, name, invite: None, returning: false });
            self.waiting.insert(no, new);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

impl Core {
    /// The host tells its co-hosts who waits. From anyone else it is not taken: perhaps they host as of an entry that is still
    /// on its way here, and will say it again when somebody comes or goes.
    pub(super) fn handle_waiting(&mut self, no: PeerNo, list: Vec<Waiting>) {
        if self.host_peer() != Some(no) {
            self.counters.out_of_turn += 1;
        } else if self.seat.as_ref().is_some_and(|seat| seat.own_role() == MemberRole::CoHost) {
            self.told_waiting = Some(list);
        }
    }
}
