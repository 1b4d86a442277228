//! One peer's path: a task that drives the WebRTC side, and one that carries sealed frames to it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::engine::hosting::own_addresses;
use crate::engine::input::{Input, Inputs, PathNews};
use crate::engine::mending::Mending;
use crate::engine::network::NetworkChange;
use crate::engine::outbox::{Outbox, PathInlet};
use crate::engine::receiving::Inbound;
use crate::engine::view::PeerId;
use crate::rendezvous::local;
use crate::transport::sdp::CandidateKind;
use crate::transport::{Path, PathConfig, PathError, PathEvent, Role};

/// Events of a path that may wait. Past that, media are dropped at the path, and counted there.
const EVENTS: usize = 512;
/// How often figures are taken.
const STATS: Duration = Duration::from_secs(1);
/// What the session asks of a path.
enum Ask {
    Offer(String),
    Answer(String),
    Candidate(String),
    Network(NetworkChange),
}

/// A path to one peer. Dropping it closes it.
pub(crate) struct PeerPath {
    pub(crate) number: u64,
    asks: mpsc::Sender<Ask>,
    task: JoinHandle<()>,
}

/// What a path needs of the rest of the engine.
pub(crate) struct PathPlan {
    pub(crate) peer: PeerId,
    pub(crate) number: u64,
    pub(crate) role: Role,
    pub(crate) config: PathConfig,
}

impl PeerPath {
    /// Starts the path's tasks.
    pub(crate) fn start(plan: PathPlan, inbound: Arc<Inbound>, outbox: &Arc<Outbox>, inputs: Inputs) -> Self {
        let (asks, asked) = mpsc::channel(256);
        let number = plan.number;
        let tell = Teller { peer: plan.peer, path: number, inputs };
        let driver = Driver { plan, inbound, outbox: outbox.clone(), tell };
        let task = tokio::spawn(async move {
            let tell = driver.tell.clone();
            if let Err(error) = driver.run(asked).await {
                tracing::warn!(%error, "a path ended");
                tell.news(match error {
                    PathError::Policy(why) => PathNews::Ruled(why),
                    _ => PathNews::Failed,
                });
            }
        });
        Self { number, asks, task }
    }

    pub(crate) fn handle_offer(&self, sdp: String) {
        self.ask(Ask::Offer(sdp));
    }

    pub(crate) fn handle_answer(&self, sdp: String) {
        self.ask(Ask::Answer(sdp));
    }

    pub(crate) fn handle_candidate(&self, line: String) {
        self.ask(Ask::Candidate(line));
    }

    /// This machine's network is another than before.
    pub(crate) fn handle_network(&self, change: NetworkChange) {
        self.ask(Ask::Network(change));
    }

    fn ask(&self, ask: Ask) {
        if self.asks.try_send(ask).is_err() {
            tracing::warn!("a path has more to do than it can hold; something was left out");
        }
    }
}

impl Drop for PeerPath {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Clone)]
struct Teller {
    peer: PeerId,
    path: u64,
    inputs: Inputs,
}

impl Teller {
    fn news(&self, news: PathNews) {
        let _ = self.inputs.send(Input::Path { peer: self.peer, path: self.path, news });
    }
}

struct Driver {
    plan: PathPlan,
    inbound: Arc<Inbound>,
    outbox: Arc<Outbox>,
    tell: Teller,
}

/// Closes the path whichever way its task ends.
struct CloseOnDrop(Arc<Path>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        let path = self.0.clone();
        tokio::spawn(async move { path.close().await });
    }
}

impl Driver {
    async fn run(self, mut asked: mpsc::Receiver<Ask>) -> Result<(), PathError> {
        let (events_in, mut events) = mpsc::channel(EVENTS);
        let offers = self.plan.role == Role::Offerer;
        let path = Arc::new(Path::new(self.plan.config.clone(), self.plan.role, events_in).await?);
        let _close = CloseOnDrop(path.clone());
        let mut mending = Mending::new(offers);
        if offers {
            self.tell.news(PathNews::Offer(path.offer().await?));
            mending.handle_offer_made(Instant::now());
        }
        let mut carrier: Option<AbortOnDrop> = None;
        let mut seconds = tokio::time::interval(STATS);
        seconds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                event = events.recv() => {
                    let Some(event) = event else { break };
                    match &event {
                        PathEvent::Connected => {
                            mending.handle_connected();
                            // What was sent while the way was gone is missing over there.
                            self.outbox.want_key_frame_for(self.plan.peer);
                            // Not before: a key frame sent into a path that is not there yet would be missed.
                            carrier.get_or_insert_with(|| {
                                let inlet = self.outbox.add(self.plan.peer);
                                AbortOnDrop(tokio::spawn(carry(path.clone(), inlet)))
                            });
                        }
                        PathEvent::Quiet | PathEvent::Disconnected | PathEvent::Failed => {
                            mending.handle_broken(Instant::now());
                        }
                        _ => {}
                    }
                    let closed = matches!(event, PathEvent::RouteRefused(why) if why.closes());
                    self.handle_event(event);
                    if closed {
                        break;
                    }
                    self.pass_on_wish(&path).await;
                }
                ask = asked.recv() => {
                    let Some(ask) = ask else { break };
                    // What a peer sends may be nonsense: that is no reason to end a path that works.
                    if let Err(error) = self.handle_ask(&path, ask, &mut mending).await {
                        tracing::warn!(%error, "a peer's description or candidate was not usable");
                    }
                }
                _ = seconds.tick() => {
                    let stats = path.stats().await;
                    if let Some(pair) = &stats.pair {
                        self.tell.news(PathNews::Route(*pair));
                    }
                    self.outbox.set_loss(self.plan.peer, stats.loss);
                    self.tell.news(PathNews::Stats(Box::new(stats)));
                    self.pass_on_wish(&path).await;
                }
                () = sleep_until(mending.deadline()), if mending.deadline().is_some() => {
                    if mending.is_due(Instant::now()) {
                        self.seek_anew(&path, &mut mending).await;
                    }
                }
            }
        }
        drop(carrier);
        Ok(())
    }

    /// The decoder needs a key frame: the path asks for one, at most so often.
    async fn pass_on_wish(&self, path: &Path) {
        if self.inbound.take_key_frame_wish()
            && let Err(error) = path.request_key_frame().await
        {
            tracing::debug!(%error, "no key frame was asked for");
        }
    }

    fn handle_event(&self, event: PathEvent) {
        match event {
            PathEvent::Video { frame, gap_before, .. } => self.inbound.handle_video(&frame, gap_before),
            PathEvent::Audio { payload, rtp_ts, seq, arrived } => {
                self.inbound.handle_audio(arrived, &payload, seq, rtp_ts)
            }
            PathEvent::Target(target) => self.outbox.set_target(self.plan.peer, target.video_bps),
            PathEvent::KeyFrameWanted => self.outbox.want_key_frame_for(self.plan.peer),
            PathEvent::Candidate(line) => self.tell.news(PathNews::Candidate(line)),
            PathEvent::Connected => {
                self.tell.news(PathNews::Connected);
            }
            PathEvent::Quiet | PathEvent::Disconnected => self.tell.news(PathNews::Disconnected),
            PathEvent::Failed => self.tell.news(PathNews::Failed),
            PathEvent::RouteChanged(route) => self.tell.news(PathNews::Route(route)),
            PathEvent::RouteRefused(why) => self.tell.news(PathNews::Refused(why)),
        }
    }

    /// The addresses to look for a way on. Without any the driver would end, so the old sockets stay until there are some.
    fn own_addresses(&self) -> Option<Vec<IpAddr>> {
        let config = &self.plan.config;
        let here = config.allow_loopback || config.bind.iter().all(IpAddr::is_loopback);
        let connected = here || local::usable_addresses().is_ok_and(|own| !own.is_empty());
        connected.then(own_addresses)
    }

    /// Makes an offer that restarts ICE, on the addresses as they are now.
    async fn seek_anew(&self, path: &Path, mending: &mut Mending) {
        let Some(own) = self.own_addresses() else {
            tracing::debug!("there is no network to look for a path on");
            return mending.handle_no_offer(Instant::now());
        };
        path.set_bind(own);
        match path.restart().await {
            Ok(offer) => {
                self.tell.news(PathNews::Offer(offer));
                mending.handle_offer_made(Instant::now());
            }
            Err(error) => {
                tracing::info!(%error, "no new path was offered");
                mending.handle_no_offer(Instant::now());
            }
        }
    }

    async fn handle_ask(&self, path: &Path, ask: Ask, mending: &mut Mending) -> Result<(), PathError> {
        match ask {
            Ask::Offer(_) if !mending.may_take_offer(Instant::now()) => {
                tracing::warn!("a peer offers too often: an offer was left out");
            }
            Ask::Offer(sdp) => {
                // A second offer means that the path broke: this side's addresses may be others than before, too.
                if let Some(own) = self.own_addresses() {
                    path.set_bind(own);
                }
                self.tell.news(PathNews::Answer(path.accept_offer(&sdp).await?));
                mending.handle_offer(Instant::now());
            }
            Ask::Answer(sdp) if mending.handle_answer(Instant::now()) => path.accept_answer(&sdp).await?,
            Ask::Answer(_) => tracing::debug!("an answer to an older offer was left out"),
            Ask::Candidate(line) => path.add_candidate(&line).await?,
            Ask::Network(change) => {
                let route = path.stats().await.pair;
                // A relayed or reflexive address says nothing of the interface behind it.
                let own = route.filter(|route| route.local_kind == CandidateKind::Host).map(|route| route.local.ip());
                // A way that is still sought is to be sought by the new addresses, too.
                let breaks = change.breaks(own) || route.is_none() && change.came;
                if mending.handle_network(Instant::now(), breaks) {
                    self.tell.news(PathNews::Disconnected);
                }
            }
        }
        Ok(())
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Sound first: a packet of sound never waits behind a picture that has not started.
async fn carry(path: Arc<Path>, mut inlet: PathInlet) {
    loop {
        let sent = tokio::select! {
            biased;
            sound = inlet.audio.recv() => {
                let Some(sound) = sound else { return };
                path.send_audio(&sound.sealed, sound.rtp_ts).await
            }
            picture = inlet.video.recv() => {
                let Some(picture) = picture else { return };
                path.send_video(&picture.sealed, picture.key, picture.rtp_ts).await
            }
        };
        if let Err(error) = sent {
            tracing::debug!(%error, "a frame was not sent");
        }
    }
}
