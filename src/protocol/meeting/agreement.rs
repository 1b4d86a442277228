//! The live group code within a meeting: the host begins a round when the list has changed, and everyone plays its part.

use std::collections::BTreeMap;
use std::time::Instant;

use super::core::Core;
use super::event::{Event, PeerNo, Violation};
use super::peer::Peer;
use crate::crypto::entropy::secret;
use crate::protocol::group_code::{Code, CodeError, Collector, Participant, PeopleHash, Round, sign_set};
use crate::protocol::log::Record;
use crate::protocol::timers::{CODE_AGAIN, CODE_SETTLE, earlier};
use crate::protocol::wire::Message;

/// In a member's code open: whichever the host draws.
const ANY_ROUND: Round = [0; 16];

/// How often one member can have a round begun anew for the same people.
const MOST_ASKED: u32 = 4;

#[derive(Default)]
pub(super) struct Agreement {
    people: PeopleHash,
    participant: Option<Participant>,
    collector: Option<Collector>,
    code: Option<Code>,
    /// When to begin a round, or to ask the host for one.
    due: Option<Instant>,
    /// Members that asked for a round.
    asked: BTreeMap<PeerNo, u32>,
    /// When the last round began: one a second, so that a host cannot try many.
    begun: Option<Instant>,
}

impl Agreement {
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(super) fn timeout(&self) -> Option<Instant> {
        self.due
    }
}

impl Core {
    /// The list is another: a code for other people says nothing about these.
    pub(super) fn renew_agreement(&mut self, now: Instant) {
        let Some(seat) = &self.seat else { return };
        let people = seat.roster.current().people();
        if people != self.agreement.people {
            let had = self.agreement.code.is_some();
            self.agreement.clear();
            self.agreement.people = people;
            if had {
                self.events.push_back(Event::Code(None));
            }
        }
        self.renew_agreement_with(now);
    }

    /// Somebody can be talked to who could not: if there is no code yet, a host begins a round, and others wait for one.
    pub(super) fn renew_agreement_with(&mut self, now: Instant) {
        if self.agreement.code.is_none() {
            let due = now + if self.is_host() { CODE_SETTLE } else { CODE_AGAIN };
            self.agreement.due = earlier(self.agreement.due, Some(due));
        }
    }

    pub(super) fn handle_agreement_timeout(&mut self, now: Instant) {
        if self.agreement.due.is_none_or(|due| due > now) {
            return;
        }
        self.agreement.due = None;
        let Some(seat) = self.seat.as_ref().filter(|seat| !seat.forked) else { return };
        let (others, people) = (seat.roster.current().members.len() - 1, seat.roster.current().people());
        if self.agreement.code.is_some() || others == 0 {
            return;
        }
        self.agreement.due = Some(now + CODE_AGAIN);
        let hears = |no: &PeerNo| self.peers.get(no).is_some_and(Peer::is_drained);
        if !self.is_host() {
            // The host may think that everyone has one: we were elsewhere when it came about.
            if let Some(host) = self.host_peer().filter(hears) {
                self.send(host, &Message::CodeOpen { round: ANY_ROUND, people });
            }
        } else if self.paired().len() < others {
            // Not everyone can be talked to yet; their session will say when.
            self.agreement.due = None;
        } else if self.paired().iter().all(hears) {
            self.open_round(now);
        }
    }

    /// A member has no code for these people. Each may say so a few times, or one could keep all others from having one.
    fn handle_ask(&mut self, now: Instant, no: PeerNo, people: PeopleHash) {
        let Some(seat) = self.seat.as_ref().filter(|seat| !seat.forked) else { return };
        let recent = self.agreement.begun.is_some_and(|begun| now < begun + CODE_AGAIN);
        if recent || people != seat.roster.current().people() {
            return;
        }
        let asked = self.agreement.asked.entry(no).or_default();
        if *asked >= MOST_ASKED {
            return;
        }
        *asked += 1;
        if self.agreement.code.take().is_some() {
            self.events.push_back(Event::Code(None));
        }
        self.agreement.due = Some(now);
    }

    fn open_round(&mut self, now: Instant) {
        let mut round = [0; 16];
        self.entropy.fill(&mut round);
        let Some(seat) = &self.seat else { return };
        let (people, own) = (seat.roster.current().people(), seat.own_index);
        let mut collector = Collector::new(round, people, seat.roster.current());
        let value = secret(self.entropy.as_mut());
        let participant = Participant::new(round, people, own, &self.identity.key(), value);
        // The first of several cannot complete the set.
        let _ = collector.handle_commit(own, &round, *participant.commitment());
        self.agreement.participant = Some(participant);
        self.agreement.collector = Some(collector);
        self.agreement.begun = Some(now);
        self.send_to_all(&Message::CodeOpen { round, people });
    }

    pub(super) fn handle_code(&mut self, now: Instant, no: PeerNo, message: Message) -> Result<(), Violation> {
        let index = self.peers.get(&no).map_or(0, |peer| peer.index);
        let from_host = self.host_peer() == Some(no);
        let outcome = match message {
            Message::CodeOpen { round, people } if from_host => {
                self.join_round(now, no, round, people);
                Ok(())
            }
            Message::CodeOpen { round: ANY_ROUND, people } if self.is_host() => {
                self.handle_ask(now, no, people);
                Ok(())
            }
            Message::CodeSet { round, signature, set } if from_host => {
                let (Some(seat), Some(part)) = (&self.seat, &mut self.agreement.participant) else { return Ok(()) };
                if part.round != round || *part.people() != seat.roster.current().people() {
                    return Ok(());
                }
                part.handle_set(&seat.meeting, seat.roster.current(), &round, set, &signature)
                    .map(|value| self.send(no, &Message::CodeReveal { round, value }))
            }
            Message::CodeValues { round, values } if from_host => {
                let (Some(seat), Some(part)) = (&self.seat, &self.agreement.participant) else { return Ok(()) };
                if part.round != round || *part.people() != seat.roster.current().people() {
                    return Ok(());
                }
                part.handle_values(seat.roster.current(), &round, &values).map(|code| self.agreed(now, code))
            }
            Message::CodeCommit { round, commitment } if self.is_host() => {
                let Some(collector) = self.agreement.collector.as_mut().filter(|c| c.round == round) else {
                    return Ok(());
                };
                match collector.handle_commit(index, &round, commitment).map(|set| set.cloned()) {
                    Ok(Some(set)) => self.close_set(round, set),
                    other => other.map(|_| ()),
                }
            }
            Message::CodeReveal { round, value } if self.is_host() => {
                let Some(collector) = self.agreement.collector.as_mut().filter(|c| c.round == round) else {
                    return Ok(());
                };
                let done = collector.handle_reveal(index, &round, value).map(|values| values.is_some());
                done.and_then(|done| if done { self.reveal_all(now) } else { Ok(()) })
            }
            // A step meant for whoever hosted a moment ago, or from whoever does as of an entry that is still on its way here.
            Message::CodeCommit { .. }
            | Message::CodeReveal { .. }
            | Message::CodeOpen { .. }
            | Message::CodeSet { .. }
            | Message::CodeValues { .. } => {
                self.counters.out_of_turn += 1;
                Ok(())
            }
            other => return Err(Violation::OutOfPlace(other.kind())),
        };
        outcome.map_err(|error| {
            self.counters.bad_codes += 1;
            Violation::Code(error)
        })
    }

    fn join_round(&mut self, now: Instant, host: PeerNo, round: [u8; 16], people: PeopleHash) {
        let Some(seat) = self.seat.as_ref().filter(|seat| !seat.forked) else { return };
        let too_soon = self.agreement.begun.is_some_and(|begun| now < begun + CODE_SETTLE / 2);
        if people != seat.roster.current().people() || too_soon {
            return;
        }
        self.agreement.begun = Some(now);
        self.agreement.due = Some(now + CODE_AGAIN + CODE_AGAIN);
        if self.agreement.code.take().is_some() {
            self.events.push_back(Event::Code(None));
        }
        let value = secret(self.entropy.as_mut());
        let participant = Participant::new(round, people, seat.own_index, &self.identity.key(), value);
        let commitment = *participant.commitment();
        self.agreement.participant = Some(participant);
        self.send(host, &Message::CodeCommit { round, commitment });
    }

    /// Everyone has committed: signs the set, and reveals our own value like everyone.
    fn close_set(&mut self, round: [u8; 16], set: BTreeMap<u16, [u8; 32]>) -> Result<(), CodeError> {
        let (Some(seat), Some(part)) = (&self.seat, &mut self.agreement.participant) else { return Ok(()) };
        let signature = sign_set(&seat.meeting, &round, part.people(), &set, &self.identity);
        let own = part.handle_set(&seat.meeting, seat.roster.current(), &round, set.clone(), &signature)?;
        if let Some(collector) = &mut self.agreement.collector {
            collector.handle_reveal(seat.own_index, &round, own)?;
        }
        self.send_to_all(&Message::CodeSet { round, signature, set });
        Ok(())
    }

    fn reveal_all(&mut self, now: Instant) -> Result<(), CodeError> {
        let (Some(seat), Some(part), Some(collector)) =
            (&self.seat, &self.agreement.participant, &self.agreement.collector)
        else {
            return Ok(());
        };
        let round = part.round;
        let copy = || collector.values().map(|(index, value)| (index, value.duplicate())).collect();
        let code = part.handle_values(seat.roster.current(), &round, &copy())?;
        let message = Message::CodeValues { round, values: copy() };
        self.send_to_all(&message);
        self.agreed(now, code);
        Ok(())
    }

    fn agreed(&mut self, now: Instant, code: Code) {
        self.agreement.due = None;
        self.agreement.collector = None;
        self.note(now, &Record::Code { people: &code.people, digits: &code.digits() });
        self.agreement.code = Some(code.clone());
        self.events.push_back(Event::Code(Some(code)));
    }
}
