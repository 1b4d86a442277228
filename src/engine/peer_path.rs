//! One peer's path: a task that drives the WebRTC side, and one that carries sealed frames to it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::engine::hosting::own_addresses;
use crate::engine::input::{Input, Inputs, PathNews};
use crate::engine::outbox::{Outbox, PathInlet};
use crate::engine::receiving::Inbound;
use crate::engine::view::PeerId;
use crate::transport::{Path, PathConfig, PathError, PathEvent, Role};

/// Events of a path that may wait. Past that, media are dropped at the path, and counted there.
const EVENTS: usize = 512;
/// How often figures are taken.
const STATS: Duration = Duration::from_secs(1);
/// After a path broke, this long it may mend itself; then the offerer asks for an ICE restart. Each further one waits twice as
/// long, so that slow signalling is not overtaken by the next.
const RESTART_AFTER: Duration = Duration::from_secs(2);
const RESTART_AT_MOST: Duration = Duration::from_secs(16);

/// What the session asks of a path.
enum Ask {
    Offer(String),
    Answer(String),
    Candidate(String),
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

/// A path that broke, and when it is to be sought anew.
struct Broken {
    since: Instant,
    wait: Duration,
}

impl Broken {
    fn now() -> Self {
        Self { since: Instant::now(), wait: RESTART_AFTER }
    }

    /// True once after each wait.
    fn restart_is_due(&mut self) -> bool {
        let due = self.since.elapsed() >= self.wait;
        if due {
            *self = Self { since: Instant::now(), wait: (self.wait * 2).min(RESTART_AT_MOST) };
        }
        due
    }
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
        if offers {
            self.tell.news(PathNews::Offer(path.offer().await?));
        }
        let mut carrier: Option<AbortOnDrop> = None;
        let mut seconds = tokio::time::interval(STATS);
        seconds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let mut broken: Option<Broken> = None;
        loop {
            tokio::select! {
                event = events.recv() => {
                    let Some(event) = event else { break };
                    match &event {
                        PathEvent::Connected => {
                            broken = None;
                            // Not before: a key frame sent into a path that is not there yet would be missed.
                            carrier.get_or_insert_with(|| {
                                let inlet = self.outbox.add(self.plan.peer);
                                AbortOnDrop(tokio::spawn(carry(path.clone(), inlet)))
                            });
                        }
                        PathEvent::Disconnected | PathEvent::Failed => { broken.get_or_insert_with(Broken::now); }
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
                    if let Err(error) = self.handle_ask(&path, ask).await {
                        tracing::warn!(%error, "a peer's description or candidate was not usable");
                    }
                }
                _ = seconds.tick() => {
                    let stats = path.stats().await;
                    if let Some(pair) = &stats.pair {
                        self.tell.news(PathNews::Route(*pair));
                    }
                    self.tell.news(PathNews::Stats(Box::new(stats)));
                    self.pass_on_wish(&path).await;
                    if offers && broken.as_mut().is_some_and(Broken::restart_is_due) {
                        path.set_bind(own_addresses());
                        match path.restart().await {
                            Ok(offer) => self.tell.news(PathNews::Offer(offer)),
                            // No network just now, perhaps: the next try may find one.
                            Err(error) => tracing::info!(%error, "no new path was offered"),
                        }
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
            PathEvent::KeyFrameWanted => self.outbox.want_key_frame(),
            PathEvent::Target(target) => self.outbox.set_target(self.plan.peer, target.video_bps),
            PathEvent::Candidate(line) => self.tell.news(PathNews::Candidate(line)),
            PathEvent::Connected => {
                self.tell.news(PathNews::Connected);
            }
            PathEvent::Disconnected => self.tell.news(PathNews::Disconnected),
            PathEvent::Failed => self.tell.news(PathNews::Failed),
            PathEvent::RouteChanged(route) => self.tell.news(PathNews::Route(route)),
            PathEvent::RouteRefused(why) => self.tell.news(PathNews::Refused(why)),
        }
    }

    async fn answer(&self, path: &Path, sdp: &str) -> Result<(), PathError> {
        // A second offer means that the path broke: this side's addresses may be others than before, too.
        path.set_bind(own_addresses());
        self.tell.news(PathNews::Answer(path.accept_offer(sdp).await?));
        Ok(())
    }

    async fn handle_ask(&self, path: &Path, ask: Ask) -> Result<(), PathError> {
        match ask {
            Ask::Offer(sdp) => self.answer(path, &sdp).await?,
            Ask::Answer(sdp) => path.accept_answer(&sdp).await?,
            Ask::Candidate(line) => path.add_candidate(&line).await?,
        }
        Ok(())
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
