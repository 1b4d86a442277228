//! Our taps in the packet chain of the crate `webrtc`.
//!
//! A chain is a list ordered by distance from the wire; packets read walk it upwards, packets written downwards.
//! Three of its places are ours:
//!
//! | place | tap | does |
//! |---|---|---|
//! | next to the wire | [`WireTap`] | counts, measures the round trip, bounds what a peer may ask for again |
//! | above the retransmitter | [`LossTap`] | asks for missing video packets ([`LossLog`](super::loss::LossLog)) |
//! | next to the application | [`MediaTap`] | hands media over, releases our video at a bounded rate, carries key-frame requests |
//!
//! Taking media out of the chain here, and not through the crate's tracks, saves a queue of 256 packets that one large
//! key frame overflows. All of this runs on the connection's driver task: nothing here waits.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use rtc::interceptor::{AttributedPacket, Interceptor, Packet, StreamInfo, TaggedPacket};
use rtc::rtcp;
use rtc::rtcp::payload_feedbacks::full_intra_request::FullIntraRequest;
use rtc::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc::rtcp::receiver_report::ReceiverReport;
use rtc::rtcp::reception_report::ReceptionReport;
use rtc::rtcp::sender_report::SenderReport;
use rtc::rtcp::transport_feedbacks::transport_layer_nack::{TransportLayerNack, nack_pairs_from_sequence_numbers};
use rtc::rtp;
use rtc::sansio::Protocol;
use rtc::shared::TransportContext;
use rtc::shared::error::Error;
use rtc::shared::marshal::MarshalSize;
use tokio::sync::mpsc;

use super::loss::LossLog;
use super::path::PathEvent;
use super::reassembly::Reassembler;
use super::sdp::{PT_AUDIO, PT_VIDEO, PT_VIDEO_RTX};
use super::stats::{Counters, RttMeter, add};

/// Video packets that leave at once. A larger burst overflows the receive buffer of a busy peer on a fast link, and
/// what it loses costs a round trip.
const BURST: f64 = 32.0;
/// Video packets released per millisecond beyond the burst: about 150 Mbit/s.
const RELEASE_PER_MS: f64 = 16.0;
const RELEASE_PAUSE: Duration = Duration::from_millis(2);
/// Bytes of video that may wait to be released.
pub(super) const OUTBOX_BYTES: usize = 2 << 20;
/// A peer's key-frame requests are passed on at most this often.
const KEY_FRAME_EVERY: Duration = Duration::from_millis(200);
/// A key-frame request of ours is repeated after this, or two round trips, until one arrives.
const ASK_AGAIN: Duration = Duration::from_millis(300);
const MAX_ASKS: u8 = 10;
/// Packets a peer may ask for again per second.
const NACKS_PER_SECOND: u64 = 3000;

/// Video packets on their way to the chain.
#[derive(Default)]
pub(super) struct Outbox {
    packets: VecDeque<rtp::Packet>,
    bytes: usize,
}

impl Outbox {
    /// Whether a frame of `bytes` still fits.
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        self.bytes + bytes <= OUTBOX_BYTES
    }

    pub(super) fn push(&mut self, packet: rtp::Packet) {
        self.bytes += packet.payload.len();
        self.packets.push_back(packet);
    }

    fn pop(&mut self) -> Option<rtp::Packet> {
        let packet = self.packets.pop_front()?;
        self.bytes -= packet.payload.len();
        Some(packet)
    }
}

/// What the taps share with their [`Path`](super::Path).
pub(super) struct Shared {
    pub(super) counters: Counters,
    pub(super) meter: RttMeter,
    pub(super) outbox: Mutex<Outbox>,
    /// No media are handed over while this is set: the route has not been held to the policy yet, or was refused.
    pub(super) held: AtomicBool,
    /// Set to have a key frame asked for at the next kick.
    pub(super) ask_key: AtomicBool,
    pub(super) events: mpsc::Sender<PathEvent>,
    pub(super) video_ssrc: u32,
}

/// The queues every interceptor needs: what it takes in, it gives back from here.
#[derive(Default)]
struct Queues {
    read: VecDeque<TaggedPacket>,
    write: VecDeque<TaggedPacket>,
}

impl Queues {
    fn write_rtcp(&mut self, now: Instant, packet: Box<dyn rtcp::Packet>) {
        let message = AttributedPacket::new(Packet::Rtcp(vec![packet]));
        self.write.push_back(TaggedPacket { now, transport: TransportContext::default(), message });
    }
}

/// The types and queues that are the same for every tap.
macro_rules! tap_types {
    () => {
        type Rout = TaggedPacket;
        type Wout = TaggedPacket;
        type Eout = ();
        type Error = Error;
        type Time = Instant;

        fn poll_read(&mut self) -> Option<TaggedPacket> {
            self.queues.read.pop_front()
        }

        fn poll_write(&mut self) -> Option<TaggedPacket> {
            self.queues.write.pop_front()
        }
    };
}

/// Counts, measures and limits next to the wire.
pub(super) struct WireTap {
    shared: Arc<Shared>,
    queues: Queues,
    nack_window: Option<(Instant, u64)>,
}

impl WireTap {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, queues: Queues::default(), nack_window: None }
    }

    fn on_report_blocks(&self, now: Instant, blocks: &[ReceptionReport]) {
        for block in blocks {
            if let Some(rtt) = self.shared.meter.on_report_block(now, block.ssrc, block.last_sender_report, block.delay)
            {
                self.shared.counters.on_rtt(rtt);
            }
            if block.ssrc == self.shared.video_ssrc {
                self.shared.counters.set_loss_out(f32::from(block.fraction_lost) / 256.0);
            }
        }
    }

    /// Whether this many more may be asked for in the current second.
    fn nack_allowed(&mut self, now: Instant, asked: u64) -> bool {
        let window = self.nack_window.get_or_insert((now, 0));
        if now.saturating_duration_since(window.0) >= Duration::from_secs(1) {
            *window = (now, 0);
        }
        window.1 += asked;
        window.1 <= NACKS_PER_SECOND
    }
}

impl Protocol<TaggedPacket, TaggedPacket, ()> for WireTap {
    tap_types!();

    fn handle_read(&mut self, mut msg: TaggedPacket) -> Result<(), Error> {
        let shared = Arc::clone(&self.shared);
        let counters = &shared.counters;
        match &mut msg.message.packet {
            Packet::Rtp(packet) => {
                add(&counters.packets_in, 1);
                add(&counters.bytes_in, packet.marshal_size() as u64);
                if packet.header.payload_type == PT_VIDEO_RTX {
                    add(&counters.retransmitted_in, 1);
                }
            }
            Packet::Rtcp(packets) => {
                let now = msg.now;
                packets.retain(|packet| {
                    add(&counters.bytes_in, packet.marshal_size() as u64);
                    let any = packet.as_any();
                    if let Some(report) = any.downcast_ref::<ReceiverReport>() {
                        self.on_report_blocks(now, &report.reports);
                    } else if let Some(report) = any.downcast_ref::<SenderReport>() {
                        self.on_report_blocks(now, &report.reports);
                    } else if let Some(nack) = any.downcast_ref::<TransportLayerNack>() {
                        let asked =
                            nack.nacks.iter().map(|pair| 1 + u64::from(pair.lost_packets.count_ones())).sum::<u64>();
                        add(&counters.nacks_in, asked);
                        return self.nack_allowed(now, asked);
                    }
                    true
                });
                // An empty compound packet means something else to the chain.
                if packets.is_empty() {
                    return Ok(());
                }
            }
            _ => {}
        }
        self.queues.read.push_back(msg);
        Ok(())
    }

    fn handle_write(&mut self, msg: TaggedPacket) -> Result<(), Error> {
        let counters = &self.shared.counters;
        match &msg.message.packet {
            Packet::Rtp(packet) => {
                add(&counters.packets_out, 1);
                add(&counters.bytes_out, packet.marshal_size() as u64);
                if packet.header.payload_type == PT_VIDEO_RTX {
                    add(&counters.retransmitted_out, 1);
                }
            }
            Packet::Rtcp(packets) => {
                for packet in packets {
                    add(&counters.bytes_out, packet.marshal_size() as u64);
                    if let Some(report) = packet.as_any().downcast_ref::<SenderReport>() {
                        self.shared.meter.on_sender_report(msg.now, report.ssrc, report.ntp_time);
                    }
                }
            }
            _ => {}
        }
        self.queues.write.push_back(msg);
        Ok(())
    }
}

impl Interceptor for WireTap {
    fn bind_local_stream(&mut self, _: &StreamInfo) {}
    fn unbind_local_stream(&mut self, _: &StreamInfo) {}
    fn bind_remote_stream(&mut self, _: &StreamInfo) {}
    fn unbind_remote_stream(&mut self, _: &StreamInfo) {}
}

/// Asks for missing video packets.
pub(super) struct LossTap {
    shared: Arc<Shared>,
    queues: Queues,
    video: Option<u32>,
    log: LossLog,
    measure_at: Option<Instant>,
}

impl LossTap {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, queues: Queues::default(), video: None, log: LossLog::new(), measure_at: None }
    }
}

impl Protocol<TaggedPacket, TaggedPacket, ()> for LossTap {
    tap_types!();

    fn handle_read(&mut self, msg: TaggedPacket) -> Result<(), Error> {
        if let Packet::Rtp(packet) = &msg.message.packet {
            let header = &packet.header;
            if header.payload_type == PT_VIDEO && Some(header.ssrc) == self.video {
                self.log.on_packet(msg.now, header.sequence_number);
                self.measure_at.get_or_insert(msg.now + Duration::from_secs(1));
            } else if header.payload_type == PT_VIDEO_RTX
                && let Some(original) = packet.payload.first_chunk()
            {
                self.log.on_repaired(u16::from_be_bytes(*original));
            }
        }
        self.queues.read.push_back(msg);
        Ok(())
    }

    fn handle_write(&mut self, msg: TaggedPacket) -> Result<(), Error> {
        self.queues.write.push_back(msg);
        Ok(())
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), Error> {
        let counters = &self.shared.counters;
        let missing = self.log.requests(now, counters.rtt());
        if let (false, Some(media_ssrc)) = (missing.is_empty(), self.video) {
            add(&counters.nacks_out, missing.len() as u64);
            let nacks = nack_pairs_from_sequence_numbers(&missing);
            let nack = TransportLayerNack { sender_ssrc: self.shared.video_ssrc, media_ssrc, nacks };
            self.queues.write_rtcp(now, Box::new(nack));
        }
        if self.measure_at.is_some_and(|at| at <= now) {
            self.measure_at = Some(now + Duration::from_secs(1));
            counters.set_loss_in(self.log.measure());
            counters.packets_lost_in.store(self.log.lost(), Ordering::Relaxed);
        }
        Ok(())
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        [self.log.poll_timeout(), self.measure_at].into_iter().flatten().min()
    }
}

impl Interceptor for LossTap {
    fn bind_local_stream(&mut self, _: &StreamInfo) {}
    fn unbind_local_stream(&mut self, _: &StreamInfo) {}
    fn bind_remote_stream(&mut self, info: &StreamInfo) {
        if info.payload_type == PT_VIDEO && self.video != Some(info.ssrc) {
            self.video = Some(info.ssrc);
            self.log = LossLog::new();
        }
    }
    fn unbind_remote_stream(&mut self, _: &StreamInfo) {}
}

/// The application's end of the chain.
pub(super) struct MediaTap {
    shared: Arc<Shared>,
    queues: Queues,
    audio: Option<u32>,
    video: Option<u32>,
    rtx: Option<u32>,
    reassembler: Reassembler,
    /// A frame was dropped because nobody took it: the next one follows a gap.
    gap: bool,
    /// Packets that may be released now, and when that was true.
    budget: (f64, Option<Instant>),
    /// The peer wants a key frame and the engine wasn't told yet.
    key_wanted: bool,
    key_told: Option<Instant>,
    /// We want a key frame: when to ask again, and how often we did.
    asking: Option<(Instant, u8)>,
}

impl MediaTap {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            queues: Queues::default(),
            audio: None,
            video: None,
            rtx: None,
            reassembler: Reassembler::new(),
            gap: false,
            budget: (BURST, None),
            key_wanted: false,
            key_told: None,
            asking: None,
        }
    }

    fn on_video(&mut self, now: Instant, payload: &Bytes, rtp_ts: u32) {
        // A refused fragment is counted by the reassembler; there is nobody to tell.
        let _ = self.reassembler.push(now, payload, rtp_ts);
        self.deliver();
    }

    fn deliver(&mut self) {
        while let Some(frame) = self.reassembler.poll() {
            if frame.key {
                self.asking = None;
            }
            let gap_before = frame.gap.is_some() || self.gap;
            let event =
                PathEvent::Video { frame: frame.data, rtp_ts: frame.rtp_ts, arrived: frame.arrived, gap_before };
            // Half of the queue is kept for sound, which must never wait behind pictures.
            let events = &self.shared.events;
            let sent = events.capacity() > events.max_capacity() / 2 && events.try_send(event).is_ok();
            self.gap = !sent;
            if !sent {
                add(&self.shared.counters.events_dropped, 1);
            }
        }
        let counters = self.reassembler.counters();
        self.shared.counters.frames_in.store(counters.frames, Ordering::Relaxed);
        self.shared.counters.frames_lost_in.store(counters.lost, Ordering::Relaxed);
    }

    /// Releases what the budget allows.
    fn release(&mut self, now: Instant) {
        let Ok(mut outbox) = self.shared.outbox.lock() else { return };
        let (budget, at) = self.budget;
        let passed = at.map_or(0.0, |at| now.saturating_duration_since(at).as_secs_f64() * 1e3);
        let mut budget = (budget + passed * RELEASE_PER_MS).min(BURST);
        while budget >= 1.0 {
            let Some(packet) = outbox.pop() else { break };
            budget -= 1.0;
            let message = AttributedPacket::new(Packet::Rtp(packet));
            self.queues.write.push_back(TaggedPacket { now, transport: TransportContext::default(), message });
        }
        self.budget = (budget, Some(now));
    }

    fn release_at(&self) -> Option<Instant> {
        let waiting = self.shared.outbox.lock().is_ok_and(|outbox| !outbox.packets.is_empty());
        self.budget.1.filter(|_| waiting).map(|at| at + RELEASE_PAUSE)
    }

    fn tell_key_wanted(&mut self, now: Instant) {
        if !self.key_wanted || self.key_told_at().is_some_and(|at| at > now) {
            return;
        }
        self.key_told = Some(now);
        // If the queue is full, it is told at the next turn.
        self.key_wanted = self.shared.events.try_send(PathEvent::KeyFrameWanted).is_err();
    }

    fn key_told_at(&self) -> Option<Instant> {
        self.key_told.map(|at| at + KEY_FRAME_EVERY)
    }

    fn ask_key_frame(&mut self, now: Instant) {
        if self.shared.ask_key.swap(false, Ordering::AcqRel) && self.asking.is_none() {
            self.asking = Some((now, 0));
        }
        let (Some((at, asks)), Some(media_ssrc)) = (self.asking, self.video) else { return };
        if at > now {
            return;
        }
        if asks == MAX_ASKS {
            self.asking = None;
            return;
        }
        let pause = self.shared.counters.rtt().map_or(ASK_AGAIN, |rtt| (rtt * 2).max(ASK_AGAIN));
        self.asking = Some((now + pause, asks + 1));
        add(&self.shared.counters.key_frame_requests_out, 1);
        let request = PictureLossIndication { sender_ssrc: self.shared.video_ssrc, media_ssrc };
        self.queues.write_rtcp(now, Box::new(request));
    }
}

impl Protocol<TaggedPacket, TaggedPacket, ()> for MediaTap {
    tap_types!();

    fn handle_read(&mut self, msg: TaggedPacket) -> Result<(), Error> {
        match &msg.message.packet {
            Packet::Rtp(_) if self.shared.held.load(Ordering::Acquire) => return Ok(()),
            Packet::Rtp(packet) => {
                let (header, ssrc) = (&packet.header, Some(packet.header.ssrc));
                match header.payload_type {
                    PT_AUDIO if ssrc == self.audio => {
                        let event = PathEvent::Audio {
                            payload: packet.payload.clone(),
                            rtp_ts: header.timestamp,
                            seq: header.sequence_number,
                            arrived: msg.now,
                        };
                        if self.shared.events.try_send(event).is_err() {
                            add(&self.shared.counters.events_dropped, 1);
                        }
                    }
                    PT_VIDEO if ssrc == self.video => self.on_video(msg.now, &packet.payload, header.timestamp),
                    // RFC 4588 section 4: the original sequence number, then the original payload.
                    PT_VIDEO_RTX if ssrc == self.rtx && packet.payload.len() > 2 => {
                        let mut payload = packet.payload.clone();
                        payload.advance(2);
                        self.on_video(msg.now, &payload, header.timestamp);
                    }
                    _ => {}
                }
                // Media ends here.
                return Ok(());
            }
            Packet::Rtcp(packets) => {
                let wanted = packets.iter().any(|packet| {
                    let any = packet.as_any();
                    any.is::<PictureLossIndication>() || any.is::<FullIntraRequest>()
                });
                if wanted {
                    add(&self.shared.counters.key_frame_requests_in, 1);
                    self.key_wanted = true;
                    self.tell_key_wanted(msg.now);
                }
            }
            _ => {}
        }
        self.queues.read.push_back(msg);
        Ok(())
    }

    fn handle_write(&mut self, msg: TaggedPacket) -> Result<(), Error> {
        // An empty packet is a kick: it wakes the driver and goes no further.
        if matches!(&msg.message.packet, Packet::Rtp(packet) if packet.payload.is_empty()) {
            self.ask_key_frame(msg.now);
            self.release(msg.now);
        } else {
            self.queues.write.push_back(msg);
        }
        Ok(())
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), Error> {
        if let Some(rtt) = self.shared.counters.rtt() {
            self.reassembler.set_rtt(rtt);
        }
        self.reassembler.handle_timeout(now);
        self.deliver();
        self.tell_key_wanted(now);
        self.ask_key_frame(now);
        self.release(now);
        Ok(())
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        let told = self.key_told_at().filter(|_| self.key_wanted);
        let asking = self.asking.filter(|_| self.video.is_some()).map(|(at, _)| at);
        [self.reassembler.poll_timeout(), self.release_at(), told, asking].into_iter().flatten().min()
    }
}

impl Interceptor for MediaTap {
    fn bind_local_stream(&mut self, _: &StreamInfo) {}
    fn unbind_local_stream(&mut self, _: &StreamInfo) {}
    fn bind_remote_stream(&mut self, info: &StreamInfo) {
        match info.payload_type {
            PT_AUDIO => self.audio = Some(info.ssrc),
            PT_VIDEO => {
                self.video = Some(info.ssrc);
                self.rtx = info.ssrc_rtx.or(self.rtx);
            }
            _ => {}
        }
    }
    fn unbind_remote_stream(&mut self, _: &StreamInfo) {}
}

impl Shared {
    pub(super) fn new(events: mpsc::Sender<PathEvent>, video_ssrc: u32) -> Self {
        Self {
            counters: Counters::default(),
            meter: RttMeter::default(),
            outbox: Mutex::default(),
            held: AtomicBool::new(false),
            ask_key: AtomicBool::new(false),
            events,
            video_ssrc,
        }
    }
}
