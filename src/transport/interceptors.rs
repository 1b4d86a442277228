//! Our taps in the packet chain of the crate `webrtc`.
//!
//! A chain is a list ordered by distance from the wire; packets read walk it upwards, packets written downwards.
//! Three of its places are ours:
//!
//! | place | tap | does |
//! |---|---|---|
//! | next to the wire | [`WireTap`] | counts, measures the round trip, reports arrivals and takes in the peer's reports, bounds what a peer may ask for again |
//! | above it | [`LossTap`] | asks for missing video packets ([`LossLog`](super::loss::LossLog)) |
//! | next to the application | [`MediaTap`] | hands media over, releases our video at the pacer's rate, carries key-frame requests |
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
use rtc::rtcp::transport_feedbacks::cc_feedback_report::CcFeedbackReport;
use rtc::rtcp::transport_feedbacks::transport_layer_nack::{TransportLayerNack, nack_pairs_from_sequence_numbers};
use rtc::rtp;
use rtc::sansio::Protocol;
use rtc::shared::TransportContext;
use rtc::shared::error::Error;
use rtc::shared::marshal::MarshalSize;
use tokio::sync::mpsc;

use super::bandwidth::feedback::ArrivalLog;
use super::bandwidth::{Limits, Packet as Outgoing, Sender, Stream};
use super::ccfb;
use super::loss::LossLog;
use super::path::{PathEvent, header};
use super::reassembly::Reassembler;
use super::rtc::Ssrcs;
use super::sdp::{PT_AUDIO, PT_VIDEO, PT_VIDEO_RTX};
use super::stats::{Counters, RttMeter, add};

/// A peer's key-frame requests are passed on at most this often.
const KEY_FRAME_EVERY: Duration = Duration::from_millis(200);
/// A key-frame request of ours is repeated after this, or two round trips, until one arrives.
const ASK_AGAIN: Duration = Duration::from_millis(300);
const MAX_ASKS: u8 = 10;
/// Packets a peer may ask for again per second.
const NACKS_PER_SECOND: u64 = 3000;

/// What the taps share with their [`Path`](super::Path).
pub(super) struct Shared {
    pub(super) counters: Counters,
    pub(super) meter: RttMeter,
    /// Congestion control and what waits to be sent.
    pub(super) sender: Mutex<Sender>,
    /// No media are handed over while this is set: the route has not been held to the policy yet, or was refused.
    pub(super) held: AtomicBool,
    /// Set to have a key frame asked for at the next kick.
    pub(super) ask_key: AtomicBool,
    pub(super) events: mpsc::Sender<PathEvent>,
    pub(super) ssrcs: Ssrcs,
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
    arrivals: Option<ArrivalLog>,
}

impl WireTap {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, queues: Queues::default(), nack_window: None, arrivals: None }
    }

    fn on_rtp(&mut self, now: Instant, packet: &rtp::Packet) {
        let header = &packet.header;
        let stream = match header.payload_type {
            PT_AUDIO => Stream::Audio,
            PT_VIDEO => Stream::Video,
            PT_VIDEO_RTX => Stream::Rtx,
            _ => return,
        };
        let log = self.arrivals.get_or_insert_with(|| ArrivalLog::new(now));
        log.on_packet(now, stream, header.ssrc, header.sequence_number, packet.marshal_size());
    }

    fn on_arrivals(&self, now: Instant, report: &CcFeedbackReport) {
        let Ok(mut sender) = self.shared.sender.lock() else { return };
        if let Some(rtt) = sender.on_report(now, &ccfb::read(report)) {
            self.shared.counters.on_rtt(rtt);
        }
        self.shared.counters.set_loss_out(sender.loss());
    }

    fn on_nack(&self, now: Instant, nack: &TransportLayerNack) {
        let Ok(mut sender) = self.shared.sender.lock() else { return };
        for pair in nack.nacks.iter().filter(|_| nack.media_ssrc == self.shared.ssrcs.video) {
            sender.on_missing(now, pair.packet_id);
            for bit in (0..16).filter(|bit| pair.lost_packets & (1 << bit) != 0) {
                sender.on_missing(now, pair.packet_id.wrapping_add(bit + 1));
            }
        }
    }

    fn on_report_blocks(&self, now: Instant, blocks: &[ReceptionReport]) {
        for block in blocks {
            if let Some(rtt) = self.shared.meter.on_report_block(now, block.ssrc, block.last_sender_report, block.delay)
            {
                self.shared.counters.on_rtt(rtt);
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
                self.on_rtp(msg.now, packet);
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
                        if self.nack_allowed(now, asked) {
                            self.on_nack(now, nack);
                        }
                        return false;
                    } else if let Some(report) = any.downcast_ref::<CcFeedbackReport>() {
                        self.on_arrivals(now, report);
                        return false;
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

    fn handle_timeout(&mut self, now: Instant) -> Result<(), Error> {
        if let Some(report) = self.arrivals.as_mut().and_then(|arrivals| arrivals.report(now)) {
            let report = ccfb::write(&report, self.shared.ssrcs.video);
            add(&self.shared.counters.bytes_out, report.marshal_size() as u64);
            self.queues.write_rtcp(now, Box::new(report));
        }
        Ok(())
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        self.arrivals.as_ref()?.poll_timeout()
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
            let nack = TransportLayerNack { sender_ssrc: self.shared.ssrcs.video, media_ssrc, nacks };
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

    /// Releases what the pacer allows.
    fn release(&mut self, now: Instant) {
        let Ok(mut sender) = self.shared.sender.lock() else { return };
        while let Some(packet) = sender.poll(now) {
            let message = AttributedPacket::new(Packet::Rtp(to_rtp(packet, self.shared.ssrcs)));
            self.queues.write.push_back(TaggedPacket { now, transport: TransportContext::default(), message });
        }
    }

    /// Does what time brings about in the sender, and tells what the path may carry.
    fn steer(&mut self, now: Instant) {
        let target = {
            let Ok(mut sender) = self.shared.sender.lock() else { return };
            if sender.poll_timeout().is_none_or(|at| at > now) {
                return;
            }
            sender.handle_timeout(now);
            self.key_wanted |= sender.key_wanted(now);
            sender.target(now)
        };
        if let Some(target) = target
            && self.shared.events.try_send(PathEvent::Target(target)).is_err()
        {
            add(&self.shared.counters.events_dropped, 1);
        }
        self.release(now);
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
        let request = PictureLossIndication { sender_ssrc: self.shared.ssrcs.video, media_ssrc };
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
            if let Packet::Rtp(packet) = &msg.message.packet
                && packet.header.payload_type == PT_AUDIO
                && let Ok(mut sender) = self.shared.sender.lock()
            {
                sender.on_sound(msg.now, packet.header.sequence_number, packet.payload.len());
            }
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
        self.steer(now);
        self.tell_key_wanted(now);
        self.ask_key_frame(now);
        Ok(())
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        let told = self.key_told_at().filter(|_| self.key_wanted);
        let asking = self.asking.filter(|_| self.video.is_some()).map(|(at, _)| at);
        let sender = self.shared.sender.lock().ok().and_then(|sender| sender.poll_timeout());
        [self.reassembler.poll_timeout(), sender, told, asking].into_iter().flatten().min()
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

fn to_rtp(packet: Outgoing, ssrcs: Ssrcs) -> rtp::Packet {
    let (ssrc, payload_type) = match packet.stream {
        Stream::Audio => (ssrcs.audio, PT_AUDIO),
        Stream::Video => (ssrcs.video, PT_VIDEO),
        Stream::Rtx => (ssrcs.rtx, PT_VIDEO_RTX),
    };
    let mut header = header(ssrc, payload_type, packet.sequence, packet.timestamp);
    header.marker = packet.marker;
    rtp::Packet { header, payload: packet.payload }
}

impl Shared {
    pub(super) fn new(events: mpsc::Sender<PathEvent>, ssrcs: Ssrcs, now: Instant, limits: Limits) -> Self {
        Self {
            counters: Counters::default(),
            meter: RttMeter::default(),
            sender: Mutex::new(Sender::new(now, limits, [ssrcs.audio, ssrcs.video, ssrcs.rtx])),
            held: AtomicBool::new(false),
            ask_key: AtomicBool::new(false),
            events,
            ssrcs,
        }
    }
}
