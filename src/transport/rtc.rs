//! How Conclave sets up a peer connection of the crate `webrtc`: codecs, ciphers, certificate, interceptors, sockets.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rtc::interceptor::{NackResponderBuilder, ReceiverReportBuilder, Registry, SenderReportBuilder, Slot};
use rtc::media_stream::MediaStreamTrack;
use rtc::peer_connection::configuration::media_engine::{MIME_TYPE_H264, MIME_TYPE_OPUS, MIME_TYPE_RTX};
use rtc::rtp_transceiver::rtp_sender::{
    RTCPFeedback, RTCRtpCodec, RTCRtpCodecParameters, RTCRtpCodingParameters, RTCRtpEncodingParameters,
    RTCRtpRtxParameters, RtpCodecKind,
};
use webrtc::media_stream::track_local::TrackLocal;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;
use webrtc::peer_connection::{
    MediaEngine, PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCCertificate,
    RTCConfigurationBuilder, RTCIceServer, RTCIceTransportPolicy, SettingEngineBuilder, SrtpProtectionProfile, crypto,
};
use webrtc::rtp_transceiver::RtpSender;

use super::guarded::GuardedRuntime;
use super::interceptors::{LossTap, MediaTap, Shared, WireTap};
use super::path::PathError;
use super::policy::RoutePolicy;
use super::sdp::{PT_AUDIO, PT_VIDEO, PT_VIDEO_RTX};

/// Reports are sent this often: the round-trip time comes from them. RFC 4585 section 3.4 lets feedback profiles go
/// below RFC 3550's five seconds.
const REPORT_EVERY: Duration = Duration::from_millis(500);
/// Pause between ICE checks of a pair; the crate's default is 200 ms. RFC 8445 section 14.2 names 50 ms as the least.
const CHECK_EVERY: Duration = Duration::from_millis(50);
/// Checks of one pair before it counts as failed: ten seconds' worth, because the peer's answer may take that long.
const MAX_CHECKS: u16 = 200;
const DISCONNECTED_AFTER: Duration = Duration::from_millis(2500);
const FAILED_AFTER: Duration = Duration::from_secs(15);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(1);
/// Sent packets kept for retransmission; a power of two.
const RETRANSMIT_BUFFER: u16 = 1024;

/// The addresses to gather on, read anew whenever sockets are bound (at the start and at every ICE restart).
#[derive(Clone)]
pub(super) struct BindList(Arc<Mutex<Vec<IpAddr>>>);

impl BindList {
    pub(super) fn new(addresses: Vec<IpAddr>) -> Self {
        Self(Arc::new(Mutex::new(addresses)))
    }

    pub(super) fn set(&self, addresses: Vec<IpAddr>) {
        if let Ok(mut list) = self.0.lock() {
            *list = addresses;
        }
    }

    pub(super) fn len(&self) -> usize {
        self.0.lock().map_or(0, |list| list.len())
    }
}

impl ToSocketAddrs for BindList {
    type Iter = std::vec::IntoIter<SocketAddr>;

    fn to_socket_addrs(&self) -> std::io::Result<Self::Iter> {
        let list = self.0.lock().map(|list| list.clone()).unwrap_or_default();
        Ok(list.into_iter().map(|ip| SocketAddr::new(ip, 0)).collect::<Vec<_>>().into_iter())
    }
}

/// The synchronisation sources of one path: fresh and distinct.
#[derive(Clone, Copy)]
pub(super) struct Ssrcs {
    pub(super) audio: u32,
    pub(super) video: u32,
    pub(super) rtx: u32,
}

impl Ssrcs {
    pub(super) fn random() -> Result<Self, PathError> {
        let mut bytes = [0u8; 4];
        getrandom::fill(&mut bytes).map_err(|_| PathError::Setup("random source"))?;
        // Three in a row are distinct, and none is zero.
        let first = u32::from_be_bytes(bytes).clamp(1, u32::MAX - 2);
        Ok(Self { audio: first, video: first + 1, rtx: first + 2 })
    }
}

/// Where a path may look for its way.
pub(super) struct Ways<'a> {
    pub(super) stun: &'a [String],
    pub(super) bind: BindList,
    pub(super) loopback: bool,
    pub(super) policy: &'a RoutePolicy,
}

/// What a path drives.
pub(super) struct Parts {
    pub(super) connection: Arc<dyn PeerConnection>,
    pub(super) audio: Arc<TrackLocalStaticRTP>,
    pub(super) video: Arc<TrackLocalStaticRTP>,
    pub(super) sender: Arc<dyn RtpSender>,
}

fn opus() -> RTCRtpCodec {
    RTCRtpCodec {
        mime_type: MIME_TYPE_OPUS.into(),
        clock_rate: 48_000,
        channels: 2,
        sdp_fmtp_line: "minptime=10;useinbandfec=1".into(),
        rtcp_feedback: vec![],
    }
}

fn feedback(typ: &str, parameter: &str) -> RTCPFeedback {
    RTCPFeedback { typ: typ.into(), parameter: parameter.into() }
}

fn h264() -> RTCRtpCodec {
    RTCRtpCodec {
        mime_type: MIME_TYPE_H264.into(),
        clock_rate: 90_000,
        channels: 0,
        sdp_fmtp_line: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f".into(),
        rtcp_feedback: vec![feedback("ccm", "fir"), feedback("nack", ""), feedback("nack", "pli")],
    }
}

fn rtx() -> RTCRtpCodec {
    RTCRtpCodec {
        mime_type: MIME_TYPE_RTX.into(),
        clock_rate: 90_000,
        channels: 0,
        sdp_fmtp_line: format!("apt={PT_VIDEO}"),
        rtcp_feedback: vec![],
    }
}

fn media_engine() -> Result<MediaEngine, PathError> {
    let mut engine = MediaEngine::default();
    for (rtp_codec, payload_type, kind) in [
        (opus(), PT_AUDIO, RtpCodecKind::Audio),
        (h264(), PT_VIDEO, RtpCodecKind::Video),
        (rtx(), PT_VIDEO_RTX, RtpCodecKind::Video),
    ] {
        engine
            .register_codec(RTCRtpCodecParameters { rtp_codec, payload_type }, kind)
            .map_err(|_| PathError::Setup("codecs"))?;
    }
    Ok(engine)
}

fn interceptors(shared: &Arc<Shared>) -> Registry {
    Registry::new()
        .with(Slot::from(500), WireTap::new(Arc::clone(shared)))
        .with(Slot::NackResponder, NackResponderBuilder::new().with_size(RETRANSMIT_BUFFER).build())
        .with(Slot::NackGenerator, LossTap::new(Arc::clone(shared)))
        .with(Slot::ReceiverReport, ReceiverReportBuilder::new().with_interval(REPORT_EVERY).build())
        .with(Slot::SenderReport, SenderReportBuilder::new().with_interval(REPORT_EVERY).build())
        .with(Slot::from(14_000), MediaTap::new(Arc::clone(shared)))
}

fn track(kind: RtpCodecKind, codec: RTCRtpCodec, ssrc: u32, rtx: Option<u32>) -> Arc<TrackLocalStaticRTP> {
    let id = if kind == RtpCodecKind::Audio { "audio" } else { "video" };
    let coding = RTCRtpEncodingParameters {
        rtp_coding_parameters: RTCRtpCodingParameters {
            ssrc: Some(ssrc),
            rtx: rtx.map(|ssrc| RTCRtpRtxParameters { ssrc }),
            ..Default::default()
        },
        codec,
        ..Default::default()
    };
    Arc::new(TrackLocalStaticRTP::new(MediaStreamTrack::new("c".into(), id.into(), id.into(), kind, vec![coding])))
}

/// Builds the connection: one audio and one video section in this order, both ways.
///
/// SRTP is AES-GCM only (RFC 7714); the DTLS certificate is a fresh ECDSA P-256 key for this path alone.
pub(super) async fn build(
    ways: Ways<'_>,
    ssrcs: Ssrcs,
    shared: &Arc<Shared>,
    handler: Arc<dyn PeerConnectionEventHandler>,
) -> Result<Parts, PathError> {
    let provider = crypto::default_provider().map_err(|_| PathError::Setup("crypto provider"))?;
    let parameters =
        rcgen::CertificateParams::new(vec!["conclave".into()]).map_err(|_| PathError::Setup("certificate"))?;
    let certificate = RTCCertificate::generate(provider.crypto(), crypto::SignatureScheme::EcdsaP256Sha256, parameters)
        .map_err(|_| PathError::Setup("certificate"))?;
    let Ways { stun, bind, loopback, policy } = ways;
    let stun = if policy.relay_only { &[] } else { stun };
    let stun = stun.iter().map(|server| RTCIceServer { urls: vec![format!("stun:{server}")], ..Default::default() });
    let turn = policy.turn.iter().map(|server| RTCIceServer {
        urls: vec![server.url()],
        username: server.user.clone(),
        credential: server.password.to_string(),
    });
    let (transport_policy, relay_wait) = match policy.relay_only {
        true => (RTCIceTransportPolicy::Relay, Some(Duration::ZERO)),
        // The crate's own two seconds: time for a direct way to be found first.
        false => (RTCIceTransportPolicy::All, None),
    };
    let configuration = RTCConfigurationBuilder::new()
        .with_certificates(vec![certificate])
        .with_ice_servers(stun.chain(turn).collect())
        .with_ice_transport_policy(transport_policy)
        .build();
    let settings = SettingEngineBuilder::new()
        .with_crypto_provider(provider)
        .with_srtp_protection_profiles(vec![
            SrtpProtectionProfile::Srtp_Aead_Aes_256_Gcm,
            SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm,
        ])
        .with_include_loopback_candidate(loopback)
        .with_ice_connection_attempts(Some(CHECK_EVERY), Some(MAX_CHECKS))
        .with_ice_timeouts(Some(DISCONNECTED_AFTER), Some(FAILED_AFTER), Some(KEEPALIVE_EVERY))
        .with_host_acceptance_min_wait(Some(Duration::ZERO))
        // A check that comes before the peer's answer makes its host address look reflexive: no reason to wait.
        .with_prflx_acceptance_min_wait(Some(Duration::ZERO))
        .with_srflx_acceptance_min_wait(Some(Duration::from_millis(100)))
        .with_relay_acceptance_min_wait(relay_wait)
        .with_discard_local_candidates_during_ice_restart(true)
        .build();
    let mut builder = PeerConnectionBuilder::new()
        .with_configuration(configuration)
        .with_media_engine(media_engine()?)
        .with_setting_engine(settings)
        .with_interceptor_registry(interceptors(shared))
        .with_handler(handler)
        .with_udp_addrs(vec![bind]);
    if policy.restricts() || !policy.turn.is_empty() {
        let runtime = webrtc::runtime::default_runtime().ok_or(PathError::Setup("runtime"))?;
        builder = builder.with_runtime(Arc::new(GuardedRuntime::new(runtime, policy.clone(), Arc::clone(shared))));
    }
    let connection = builder.build().await.map_err(|_| PathError::Bind)?;
    let connection: Arc<dyn PeerConnection> = Arc::new(connection);
    let audio = track(RtpCodecKind::Audio, opus(), ssrcs.audio, None);
    let video = track(RtpCodecKind::Video, h264(), ssrcs.video, Some(ssrcs.rtx));
    let add = async |track: &Arc<TrackLocalStaticRTP>| {
        let track = Arc::clone(track) as Arc<dyn TrackLocal>;
        connection.add_track(track).await.map_err(|_| PathError::Setup("tracks"))
    };
    let sender = add(&audio).await?;
    add(&video).await?;
    Ok(Parts { connection, audio, video, sender })
}
