//! Where connections meet: the rooms, and the queue in front of each connection.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::{Notify, mpsc};

use super::metrics::Metrics;
use super::room::Rooms;
use super::settings::Limits;
use crate::rendezvous::frames::{ConnId, RefusedCode, RoomId, ServerFrame};

/// Tells a connection's task that it is over.
#[derive(Default)]
pub(crate) struct Kick {
    code: AtomicU8,
    notify: Notify,
}

impl Kick {
    fn kick(&self, code: RefusedCode) {
        self.code.store(code.code(), Ordering::Relaxed);
        self.notify.notify_one();
    }

    /// Waits for the kick and says why.
    pub(crate) async fn kicked(&self) -> RefusedCode {
        self.notify.notified().await;
        RefusedCode::from_code(self.code.load(Ordering::Relaxed))
    }
}

/// The near end of a connection's queue; the far end is [`Queue`].
struct Outbox {
    frames: mpsc::Sender<Bytes>,
    queued: Arc<AtomicUsize>,
    kick: Arc<Kick>,
}

/// The frames that wait for one connection.
pub(crate) struct Queue {
    frames: mpsc::Receiver<Bytes>,
    queued: Arc<AtomicUsize>,
    total: Arc<AtomicUsize>,
    pub(crate) kick: Arc<Kick>,
}

impl Queue {
    /// The next frame; `None` once the connection has left the hall.
    pub(crate) async fn next(&mut self) -> Option<Bytes> {
        let frame = self.frames.recv().await?;
        self.queued.fetch_sub(frame.len(), Ordering::Relaxed);
        self.total.fetch_sub(frame.len(), Ordering::Relaxed);
        Some(frame)
    }

    /// Whether nothing waits now.
    pub(crate) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.frames.close();
        while let Ok(frame) = self.frames.try_recv() {
            self.queued.fetch_sub(frame.len(), Ordering::Relaxed);
            self.total.fetch_sub(frame.len(), Ordering::Relaxed);
        }
    }
}

struct Inner {
    rooms: Rooms,
    outboxes: HashMap<ConnId, Outbox>,
}

/// All rooms of a relay. One lock, held for a few queue operations and never across an await: it is what makes the
/// order of Arrived, Left and From the same for everyone.
pub(crate) struct Hall {
    inner: Mutex<Inner>,
    queued: Arc<AtomicUsize>,
    limits: Limits,
    metrics: Arc<Metrics>,
}

impl Hall {
    pub(crate) fn new(limits: Limits, metrics: Arc<Metrics>) -> Self {
        let rooms = Rooms::new(limits.rooms, limits.members_per_room);
        let inner = Mutex::new(Inner { rooms, outboxes: HashMap::new() });
        Self { inner, queued: Arc::default(), limits, metrics }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing panics while the lock is held; should it ever, the maps are still whole.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings a connection into a room: queues Joined for it and Arrived for the others.
    pub(crate) fn join(&self, conn: ConnId, room: RoomId) -> Result<Queue, RefusedCode> {
        let mut inner = self.lock();
        let others = inner.rooms.join(conn, room)?;
        let (frames, receiver) = mpsc::channel(self.limits.queue_messages.max(1));
        let (queued, kick) = (Arc::<AtomicUsize>::default(), Arc::<Kick>::default());
        let queue = Queue { frames: receiver, queued: queued.clone(), total: self.queued.clone(), kick: kick.clone() };
        inner.outboxes.insert(conn, Outbox { frames, queued, kick });
        let arrived = ServerFrame::Arrived(conn).encode();
        for other in &others {
            self.put(&inner, *other, &arrived);
        }
        self.put(&inner, conn, &ServerFrame::Joined { you: conn, others }.encode());
        self.count(&inner);
        Ok(queue)
    }

    /// Takes a connection out and queues Left for those who stay.
    pub(crate) fn leave(&self, conn: ConnId) {
        let mut inner = self.lock();
        inner.outboxes.remove(&conn);
        let left = ServerFrame::Left(conn).encode();
        for other in inner.rooms.leave(conn) {
            self.put(&inner, other, &left);
        }
        self.count(&inner);
    }

    /// Carries a payload.
    pub(crate) fn send(&self, from: ConnId, to: ConnId, payload: Bytes) {
        self.metrics.messages_in.up();
        self.metrics.bytes_in.add(payload.len() as u64);
        let length = payload.len() as u64;
        // Outside the lock: it copies up to 64 KiB.
        let frame = ServerFrame::From { from, payload }.encode();
        let inner = self.lock();
        let mut reached = 0;
        for other in inner.rooms.route(from, to) {
            if self.put(&inner, other, &frame) {
                reached += 1;
            }
        }
        drop(inner);
        self.metrics.messages_out.add(reached);
        self.metrics.bytes_out.add(reached * length);
        if reached == 0 {
            self.metrics.undeliverable.up();
        }
    }

    /// Queues a frame, or tells a reader for whom too much waits that it is over.
    fn put(&self, inner: &Inner, to: ConnId, frame: &Bytes) -> bool {
        let Some(outbox) = inner.outboxes.get(&to) else { return false };
        let tight = self.queued.load(Ordering::Relaxed) + frame.len() > self.limits.queue_bytes_total;
        let most = if tight { self.limits.queue_bytes / 16 } else { self.limits.queue_bytes };
        let fits = outbox.queued.load(Ordering::Relaxed) + frame.len() <= most;
        // Counted before it is sent: the reader may take it out at once.
        outbox.queued.fetch_add(frame.len(), Ordering::Relaxed);
        self.queued.fetch_add(frame.len(), Ordering::Relaxed);
        if fits && outbox.frames.try_send(frame.clone()).is_ok() {
            return true;
        }
        outbox.queued.fetch_sub(frame.len(), Ordering::Relaxed);
        self.queued.fetch_sub(frame.len(), Ordering::Relaxed);
        outbox.kick.kick(RefusedCode::TooSlow);
        false
    }

    fn count(&self, inner: &Inner) {
        self.metrics.rooms.set(inner.rooms.len() as u64);
        self.metrics.members.set(inner.outboxes.len() as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hall(limits: Limits) -> Hall {
        Hall::new(limits, Arc::default())
    }

    async fn next(queue: &mut Queue) -> ServerFrame {
        ServerFrame::parse(&queue.next().await.unwrap()).unwrap()
    }

    #[tokio::test]
    async fn members_hear_of_each_other_in_one_order() {
        let hall = hall(Limits::embedded());
        let mut a = hall.join(1, [0; 32]).unwrap();
        let mut b = hall.join(2, [0; 32]).unwrap();
        hall.send(2, 1, Bytes::from_static(b"x"));
        hall.leave(2);
        assert_eq!(next(&mut a).await, ServerFrame::Joined { you: 1, others: vec![] });
        assert_eq!(next(&mut a).await, ServerFrame::Arrived(2));
        assert_eq!(next(&mut a).await, ServerFrame::From { from: 2, payload: Bytes::from_static(b"x") });
        assert_eq!(next(&mut a).await, ServerFrame::Left(2));
        assert_eq!(next(&mut b).await, ServerFrame::Joined { you: 2, others: vec![1] });
        assert!(b.next().await.is_none());
    }

    #[tokio::test]
    async fn a_reader_for_whom_too_much_waits_is_kicked_and_its_bytes_are_given_back() {
        let hall = hall(Limits { queue_bytes: 1000, ..Limits::embedded() });
        let slow = hall.join(1, [0; 32]).unwrap();
        let _fast = hall.join(2, [0; 32]).unwrap();
        hall.send(2, 1, Bytes::from(vec![0; 900]));
        assert!(hall.queued.load(Ordering::Relaxed) > 900);
        hall.send(2, 1, Bytes::from(vec![0; 900]));
        assert_eq!(slow.kick.kicked().await, RefusedCode::TooSlow);
        hall.leave(1);
        drop(slow);
        assert!(hall.queued.load(Ordering::Relaxed) < 100, "only what waits for the other is counted");
        assert_eq!(hall.metrics.read().messages_out, 1);
    }

    #[tokio::test]
    async fn when_all_queues_together_are_full_only_small_ones_may_grow() {
        let limits = Limits { queue_bytes: 16_000, queue_bytes_total: 10_000, ..Limits::embedded() };
        let hall = hall(limits);
        let hog = hall.join(1, [0; 32]).unwrap();
        let _sender = hall.join(2, [0; 32]).unwrap();
        let mut modest = hall.join(3, [0; 32]).unwrap();
        hall.send(2, 1, Bytes::from(vec![0; 9000]));
        hall.send(2, 1, Bytes::from(vec![0; 2000]));
        assert_eq!(hog.kick.kicked().await, RefusedCode::TooSlow);
        hall.send(2, 3, Bytes::from(vec![0; 500]));
        hall.send(2, 3, Bytes::from(vec![0; 100]));
        assert!(matches!(next(&mut modest).await, ServerFrame::Joined { .. }));
        assert!(matches!(next(&mut modest).await, ServerFrame::From { .. }));
        assert!(matches!(next(&mut modest).await, ServerFrame::From { .. }));
    }
}
