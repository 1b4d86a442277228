//! A member written by hand, in a meeting of real ones: it can say what no honest program would.
#![allow(dead_code)]

use std::sync::Arc;
use std::time::Duration;

use conclave::crypto::entropy::Seeded;
use conclave::crypto::handshake::StaticKey;
use conclave::crypto::identity::Identity;
use conclave::crypto::secret::Secret;
use conclave::protocol::invite::Invite;
use conclave::protocol::meeting::ConnId;
use conclave::protocol::roster::{Entry, Operation, Signed};
use conclave::protocol::wire::Message;

use crate::raw_peer::{RawAnswer, RawCall, RawDoor, RawSession};
use crate::virtual_relay::{Network, identity};

/// Where a raw member is at the relay.
const CONN: ConnId = 1_000;

pub(crate) struct RawMember {
    pub(crate) identity: Arc<Identity>,
    pub(crate) static_key: StaticKey,
    pub(crate) room_id: [u8; 32],
    pub(crate) index: u16,
    pub(crate) meeting: [u8; 32],
    pub(crate) secret: Secret<32>,
    /// The newest entry that the host has sent.
    pub(crate) roster: Signed,
    /// With the host, who is node 0.
    pub(crate) host: RawSession,
    heard: usize,
    conn: ConnId,
    seed: u64,
}

impl RawMember {
    /// Knocks at node 0, which has to admit everyone, and is let in.
    pub(crate) fn enter(net: &mut Network, invite: &Invite, who: u8) -> Self {
        let seed = 7_000 + u64::from(who) * 100;
        let (identity, static_key) = (identity(who), StaticKey::from_entropy(&mut Seeded(seed)));
        let conn = CONN + u64::from(who);
        let (mut host, _) = handshake(net, 0, &RawDoor::of_host(invite), &static_key, (conn, seed));
        let heard = net.overheard.len();
        let proof = host.proof(&identity);
        for message in [proof, Message::Knock { name: format!("Raw {who}") }] {
            let envelope = host.seal(&message);
            net.deliver(0, conn, &envelope);
        }
        let said = hear(&mut host, net, heard);
        let heard = net.overheard.len();
        let admit = said.into_iter().find_map(|message| match message {
            Message::Admit { your_index, meeting, secret, roster } => Some((your_index, meeting, secret, *roster)),
            _ => None,
        });
        let (index, meeting, secret, roster) = admit.unwrap();
        let room_id = invite.room_id();
        Self { identity, static_key, room_id, index, meeting, secret, roster, host, heard, conn, seed }
    }

    /// What the host has said since the last time. Pings are answered.
    pub(crate) fn hear(&mut self, net: &mut Network) -> Vec<Message> {
        let heard = std::mem::replace(&mut self.heard, net.overheard.len());
        let said = hear(&mut self.host, net, heard);
        for message in &said {
            match message {
                Message::Roster(signed) => self.roster = (**signed).clone(),
                Message::Ping { token } => self.say(net, &Message::Pong { token: *token }),
                _ => {}
            }
        }
        said
    }

    /// Lets time pass and answers the host's pings.
    pub(crate) fn wait(&mut self, net: &mut Network, time: Duration) -> Vec<Message> {
        let mut said = Vec::new();
        for _ in 0..time.as_millis() / 100 {
            net.run_for(Duration::from_millis(100));
            said.extend(self.hear(net));
        }
        said
    }

    pub(crate) fn say(&mut self, net: &mut Network, message: &Message) {
        let envelope = self.host.seal(message);
        net.deliver(0, self.conn, &envelope);
    }

    /// Bytes of any kind, as an ordered message.
    pub(crate) fn say_bytes(&mut self, net: &mut Network, message: &[u8]) {
        let envelope = self.host.seal_bytes(true, message);
        net.deliver(0, self.conn, &envelope);
    }

    pub(crate) fn deliver(&self, net: &mut Network, at: usize, envelope: &[u8]) {
        net.deliver(at, self.conn, envelope);
    }

    /// Makes a session with another member up to that one's proof, which is to be answered.
    pub(crate) fn call(&mut self, net: &mut Network, at: usize, index: u16) -> RawSession {
        self.seed += 1;
        let callee = self.roster.entry.member(index).unwrap().static_key;
        let door = RawDoor::of_member(&self.secret, self.room_id, callee);
        let (session, said) = handshake(net, at, &door, &self.static_key, (self.conn, self.seed));
        assert!(matches!(said[..], [Message::Proof { .. }]), "{said:?}");
        session
    }

    /// As [`call`](Self::call), and proves who it is.
    pub(crate) fn pair(&mut self, net: &mut Network, at: usize, index: u16) -> RawSession {
        let mut session = self.call(net, at, index);
        let proof = session.proof(&self.identity);
        let envelope = session.seal(&proof);
        net.deliver(at, self.conn, &envelope);
        session
    }

    /// Answers the call of a member that came later, and proves who it is.
    pub(crate) fn answer(&mut self, net: &mut Network, at: usize) -> RawSession {
        let door = RawDoor::of_member(&self.secret, self.room_id, self.static_key.public());
        let first = net.overheard.iter().rev().find(|payload| RawAnswer::is_called(&door, payload)).unwrap().clone();
        self.seed += 1;
        let (answer, second) = RawAnswer::start_at(&door, &self.static_key, &first, self.seed);
        net.deliver(at, self.conn, &second);
        let third = net.overheard.iter().rev().find(|payload| payload[0] == 3).unwrap().clone();
        let mut session = answer.finish(&third);
        let proof = session.proof(&self.identity);
        let envelope = session.seal(&proof);
        net.deliver(at, self.conn, &envelope);
        session
    }

    /// The entry in force, followed by one with a change, signed by this member.
    pub(crate) fn entry(&self, operation: Operation, change: impl FnOnce(&mut Entry)) -> Signed {
        entry(&self.roster, operation, &self.meeting, &self.identity, change)
    }
}

/// What follows an entry, with a change.
pub(crate) fn entry(
    before: &Signed,
    operation: Operation,
    meeting: &[u8; 32],
    signer: &Identity,
    change: impl FnOnce(&mut Entry),
) -> Signed {
    let mut entry = conclave::protocol::roster::chain::following(before, 0);
    entry.operation = operation;
    change(&mut entry);
    Signed::make(entry, meeting, signer)
}

/// What a session says among all that was sent since then.
pub(crate) fn hear(session: &mut RawSession, net: &Network, since: usize) -> Vec<Message> {
    net.overheard[since..].iter().filter_map(|payload| session.open(payload)).collect()
}

fn handshake(
    net: &mut Network,
    at: usize,
    door: &RawDoor,
    static_key: &StaticKey,
    (conn, seed): (ConnId, u64),
) -> (RawSession, Vec<Message>) {
    let (call, first) = RawCall::start_at(door, static_key, seed, 1);
    net.deliver(at, conn, &first);
    let second = net.overheard.last().unwrap().clone();
    let (mut session, third) = call.finish(&second);
    let heard = net.overheard.len();
    net.deliver(at, conn, &third);
    let said = hear(&mut session, net, heard);
    (session, said)
}
