//! Who is in which room. Pure: no socket, no clock.

use std::collections::HashMap;

use crate::rendezvous::frames::{ConnId, EVERYONE, RefusedCode, RoomId};

/// The rooms of a relay. A room exists while somebody is in it and leaves no trace after.
#[derive(Default)]
pub struct Rooms {
    members: HashMap<RoomId, Vec<ConnId>>,
    room_of: HashMap<ConnId, RoomId>,
    max_rooms: usize,
    max_members: usize,
}

impl Rooms {
    /// No rooms yet; at most `max_rooms` at a time with at most `max_members` in each.
    pub fn new(max_rooms: usize, max_members: usize) -> Self {
        Self { max_rooms, max_members, ..Self::default() }
    }

    /// Puts a connection into a room and returns who was there before, in the order of arrival.
    ///
    /// # Errors
    /// `Malformed` if the connection is in a room already, `RoomFull`, `TooManyRooms`.
    pub fn join(&mut self, conn: ConnId, room: RoomId) -> Result<Vec<ConnId>, RefusedCode> {
        if self.room_of.contains_key(&conn) {
            return Err(RefusedCode::Malformed);
        }
        let rooms = self.members.len();
        let others = match self.members.get_mut(&room) {
            Some(members) if members.len() >= self.max_members => return Err(RefusedCode::RoomFull),
            Some(members) => {
                let others = members.clone();
                members.push(conn);
                others
            }
            None if rooms >= self.max_rooms => return Err(RefusedCode::TooManyRooms),
            None => {
                self.members.insert(room, vec![conn]);
                Vec::new()
            }
        };
        self.room_of.insert(conn, room);
        Ok(others)
    }

    /// Takes a connection out of its room, forgets the room if it was the last, and returns who stays.
    pub fn leave(&mut self, conn: ConnId) -> Vec<ConnId> {
        let Some(room) = self.room_of.remove(&conn) else { return Vec::new() };
        let Some(members) = self.members.get_mut(&room) else { return Vec::new() };
        members.retain(|member| *member != conn);
        if members.is_empty() {
            self.members.remove(&room);
            return Vec::new();
        }
        members.clone()
    }

    /// Who is to get what `from` sends `to`: nobody if `to` is not in the same room or is `from` itself.
    pub fn route(&self, from: ConnId, to: ConnId) -> impl Iterator<Item = ConnId> {
        let members = self.room_of.get(&from).and_then(|room| self.members.get(room)).map_or(&[][..], Vec::as_slice);
        members.iter().copied().filter(move |member| *member != from && (to == EVERYONE || *member == to))
    }

    /// How many rooms there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether nobody is in any room.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const A: RoomId = [1; 32];
    const B: RoomId = [2; 32];

    fn to(rooms: &Rooms, from: ConnId, to: ConnId) -> Vec<ConnId> {
        rooms.route(from, to).collect()
    }

    #[test]
    fn a_message_reaches_the_named_member_of_the_same_room_only() {
        let mut rooms = Rooms::new(10, 10);
        assert_eq!(rooms.join(1, A), Ok(vec![]));
        assert_eq!(rooms.join(2, A), Ok(vec![1]));
        assert_eq!(rooms.join(3, A), Ok(vec![1, 2]));
        assert_eq!(rooms.join(4, B), Ok(vec![]));
        assert_eq!(to(&rooms, 1, 2), [2]);
        assert_eq!(to(&rooms, 1, EVERYONE), [2, 3]);
        assert_eq!(to(&rooms, 1, 4), [0; 0]);
        assert_eq!(to(&rooms, 4, EVERYONE), [0; 0]);
        assert_eq!(to(&rooms, 1, 1), [0; 0]);
        assert_eq!(to(&rooms, 99, EVERYONE), [0; 0], "a stranger reaches nobody");
    }

    #[test]
    fn rooms_and_members_are_bounded() {
        let mut rooms = Rooms::new(1, 2);
        assert!(rooms.join(1, A).is_ok());
        assert_eq!(rooms.join(2, B), Err(RefusedCode::TooManyRooms));
        assert!(rooms.join(2, A).is_ok());
        assert_eq!(rooms.join(3, A), Err(RefusedCode::RoomFull));
        assert_eq!(rooms.join(1, A), Err(RefusedCode::Malformed));
    }

    #[test]
    fn an_empty_room_is_forgotten() {
        let mut rooms = Rooms::new(1, 2);
        rooms.join(1, A).unwrap();
        rooms.join(2, A).unwrap();
        assert_eq!(rooms.leave(1), [2]);
        assert_eq!(rooms.leave(2), [0; 0]);
        assert!(rooms.is_empty() && rooms.room_of.is_empty());
        assert!(rooms.join(3, B).is_ok());
    }

    proptest! {
        #[test]
        fn whatever_happens_both_maps_agree_and_bounds_hold(steps in prop::collection::vec((any::<bool>(), 1u64..12, 0u8..5), 0..200)) {
            let mut rooms = Rooms::new(3, 4);
            for (join, conn, room) in steps {
                if join { let _ = rooms.join(conn, [room; 32]); } else { rooms.leave(conn); }
                prop_assert!(rooms.len() <= 3);
                prop_assert!(rooms.members.values().all(|members| (1..=4).contains(&members.len())));
                prop_assert_eq!(rooms.members.values().map(Vec::len).sum::<usize>(), rooms.room_of.len());
                for (conn, room) in &rooms.room_of {
                    prop_assert!(rooms.members[room].contains(conn));
                }
            }
        }
    }
}
