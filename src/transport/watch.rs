//! What keeps an eye on a path that runs: its state, the pair that ICE chose, whether its driver lives.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rtc::rtp;
use tokio::sync::mpsc;
use webrtc::media_stream::track_local::TrackLocal;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;
use webrtc::peer_connection::{PeerConnection, RTCIceCandidate, RTCIceCandidateType, RTCStatsReport};
use webrtc::rtp_transceiver::RtpSender;

use super::interceptors::Shared;
use super::path::{Gathering, Named, PathEvent, header, lock};
use super::policy::{RoutePolicy, RouteRefusal};
use super::sdp::{CandidateKind, PT_VIDEO};
use super::stats::{Route, get};

/// How often the route is looked at.
const ROUTE_EVERY: Duration = Duration::from_secs(1);
/// And while a connection waits for it.
const ROUTE_SOON: Duration = Duration::from_millis(20);
/// How often it is looked whether media still come.
const FLOW_EVERY: Duration = Duration::from_millis(200);
/// Sound comes fifty times a second whatever is heard or shown, so a second without any packet is no chance loss.
const QUIET_AFTER: Duration = Duration::from_millis(1000);
/// Packets in a second that count as a steady flow.
const STEADY: u64 = 20;
/// This program itself was held up if it looks so late; what came meanwhile may still wait in the socket.
const LATE: Duration = Duration::from_millis(600);

/// Whether the peer's media come steadily.
#[derive(Default)]
struct Flow {
    packets: u64,
    heard: Option<Instant>,
    looked: Option<Instant>,
    /// Packets since `counting`, to tell a steady flow.
    counting: Option<(Instant, u64)>,
    steady: bool,
    quiet: bool,
}

impl Flow {
    /// Looks at the count of packets received. Says when a steady flow ends (`true`) and when it begins again (`false`).
    fn look(&mut self, now: Instant, packets: u64) -> Option<bool> {
        let late = self.looked.replace(now).is_some_and(|at| now.saturating_duration_since(at) > LATE);
        let came = packets > std::mem::replace(&mut self.packets, packets);
        if came || late {
            self.heard = Some(now);
        }
        let (since, before) = *self.counting.get_or_insert((now, packets));
        if now.saturating_duration_since(since) >= QUIET_AFTER {
            self.counting = Some((now, packets));
            self.steady |= packets - before >= STEADY;
        }
        if came && std::mem::take(&mut self.quiet) {
            return Some(false);
        }
        let silent = self.heard.is_some_and(|at| now.saturating_duration_since(at) >= QUIET_AFTER);
        if self.steady && silent {
            (self.steady, self.quiet) = (false, true);
            self.counting = None;
            return Some(true);
        }
        None
    }
}

/// The part of a path that runs by itself until the path is closed.
pub(super) struct Watch {
    pub(super) connection: Arc<dyn PeerConnection>,
    /// Leads to the transports below.
    pub(super) sender: Arc<dyn RtpSender>,
    pub(super) video: Arc<TrackLocalStaticRTP>,
    pub(super) video_ssrc: u32,
    pub(super) policy: RoutePolicy,
    pub(super) shared: Arc<Shared>,
    pub(super) named: Arc<Mutex<Named>>,
    pub(super) gathering: Arc<Mutex<Gathering>>,
    pub(super) connected: Arc<AtomicBool>,
    pub(super) refusal: Arc<OnceLock<RouteRefusal>>,
    pub(super) events: mpsc::Sender<PathEvent>,
}

impl Watch {
    /// Passes on what must not be lost, and watches the route and the driver. A route outside the policy ends the path.
    pub(super) async fn run(self, mut lifecycle: mpsc::UnboundedReceiver<PathEvent>) {
        let mut known: Option<Route> = None;
        // ICE and DTLS are through, and nobody has been told.
        let mut waiting = false;
        // ICE says that the way stands.
        let mut stands = false;
        let (mut flow, mut flow_tick) = (Flow::default(), tokio::time::interval(FLOW_EVERY));
        flow_tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut tick = tokio::time::interval(ROUTE_EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let mut event = None;
            tokio::select! {
                told = lifecycle.recv() => match told {
                    Some(PathEvent::Connected) => (waiting, stands) = (true, true),
                    Some(told) => {
                        if matches!(told, PathEvent::Disconnected | PathEvent::Failed) {
                            (waiting, stands) = (false, false);
                            // What cannot leave now is dropped, not kept: it would come late, and all at once.
                            self.connected.store(false, Ordering::Release);
                            // Nor is anything taken from a way that the policy has not seen.
                            self.shared.held.store(self.policy.restricts(), Ordering::Release);
                        }
                        event = Some(told);
                    }
                    None => return,
                },
                _ = tick.tick() => {
                    // A driver that died leaves no other sign.
                    let kick = rtp::Packet { header: header(self.video_ssrc, PT_VIDEO, 0, 0), payload: Bytes::new() };
                    if self.video.write_rtp(kick).await.is_err() {
                        let _ = self.events.send(PathEvent::Failed).await;
                        return;
                    }
                    if self.policy.restricts() && lock(&self.gathering).found_nothing(Instant::now()) {
                        event = Some(PathEvent::RouteRefused(RouteRefusal::NoRelay));
                    }
                }
                _ = flow_tick.tick() => match flow.look(Instant::now(), get(&self.shared.counters.packets_in)) {
                    Some(true) if stands => event = Some(PathEvent::Quiet),
                    Some(false) if stands => waiting = true,
                    _ => continue,
                },
                () = tokio::time::sleep(ROUTE_SOON), if waiting => {}
            }
            let route = route(&self.sender, &self.named).await;
            if let Some(refusal) = route.as_ref().and_then(|route| self.policy.check_route(route).err()) {
                return self.refuse(refusal).await;
            }
            // Under a policy nothing flows before the route has been held to it.
            if waiting && (route.is_some() || !self.policy.restricts()) {
                waiting = false;
                self.connected.store(true, Ordering::Release);
                self.shared.held.store(false, Ordering::Release);
                if self.events.send(PathEvent::Connected).await.is_err() {
                    return;
                }
            }
            if let Some(event) = event
                && self.events.send(event).await.is_err()
            {
                return;
            }
            if let Some(route) = route.filter(|route| known != Some(*route)) {
                if known.replace(route).is_some() {
                    lock(&self.shared.sender).restart(Instant::now());
                }
                if self.events.send(PathEvent::RouteChanged(route)).await.is_err() {
                    return;
                }
            }
        }
    }

    async fn refuse(&self, refusal: RouteRefusal) {
        self.shared.held.store(true, Ordering::Release);
        let _ = self.refusal.set(refusal);
        self.connected.store(false, Ordering::Release);
        // Closing tears everything down whatever it reports.
        let _ = self.connection.close().await;
        let _ = self.events.send(PathEvent::RouteRefused(refusal)).await;
    }
}

/// The pair that ICE selected. What an address of the peer's is, the peer's candidates say; one that they do not name
/// was seen in a check alone.
pub(super) async fn route(sender: &Arc<dyn RtpSender>, named: &Mutex<Named>) -> Option<Route> {
    let transport = sender.transport().await.ok()??;
    let pair = transport.ice_transport().get_selected_candidate_pair().await.ok()??;
    let address = |c: &RTCIceCandidate| Some(SocketAddr::new(c.address.parse().ok()?, c.port));
    let kind = |c: &RTCIceCandidate| match c.typ {
        RTCIceCandidateType::Host => CandidateKind::Host,
        RTCIceCandidateType::Relay => CandidateKind::Relay,
        _ => CandidateKind::Reflexive,
    };
    let (local, remote) = (address(pair.local())?, address(pair.remote())?);
    let remote_kind = lock(named).kind(remote).unwrap_or_else(|| kind(pair.remote()));
    Some(Route::new((local, kind(pair.local())), (remote, remote_kind)))
}

/// The round trip of the selected pair's last ICE check.
pub(super) fn check_rtt(report: &RTCStatsReport) -> Option<Duration> {
    let selected = &report.transport()?.selected_candidate_pair_id;
    let seconds = report.candidate_pairs().find(|pair| pair.stats.id == *selected)?.current_round_trip_time;
    Some(seconds).filter(|s| s.is_finite() && *s > 0.0 && *s < 60.0).map(Duration::from_secs_f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks every 200 ms; `packets` says how many have come by then. What was said, and when.
    fn watch(millis: u64, packets: impl Fn(u64) -> u64) -> Vec<(u64, bool)> {
        let (start, mut flow) = (Instant::now(), Flow::default());
        let looks = (0..=millis).step_by(200);
        looks.filter_map(|at| Some((at, flow.look(start + Duration::from_millis(at), packets(at))?))).collect()
    }

    #[test]
    fn a_steady_flow_that_stops_is_noticed_within_a_second_and_a_half_and_so_is_its_return() {
        let said = watch(12_000, |at| if at < 5000 { at / 20 } else { 250 + at.saturating_sub(8000) / 20 });
        assert!(matches!(said[..], [(5800..=6400, true), (8200..=8400, false)]), "{said:?}");
    }

    #[test]
    fn loss_of_nine_packets_in_ten_is_no_silence() {
        assert_eq!(watch(30_000, |at| at / 200), []);
        assert_eq!(watch(30_000, |at| if at < 5000 { at / 20 } else { 250 + (at - 5000) / 600 }), []);
    }

    #[test]
    fn what_never_flowed_does_not_stop() {
        assert_eq!(watch(30_000, |_| 0), []);
        assert_eq!(watch(30_000, |at| at / 1000 * 2), [], "reports alone are no media");
    }

    #[test]
    fn a_program_that_was_held_up_looks_twice() {
        let (start, mut flow) = (Instant::now(), Flow::default());
        let at = |millis| start + Duration::from_millis(millis);
        for n in 0..20 {
            assert_eq!(flow.look(at(n * 200), n * 10), None);
        }
        assert_eq!(flow.look(at(10_000), 190), None);
        assert_eq!(flow.look(at(10_200), 190), None);
        assert_eq!(flow.look(at(10_400), 400), None);
    }
}
