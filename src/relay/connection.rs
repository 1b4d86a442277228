//! One connection, from TLS to the last byte.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::{StatusCode, header};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::hall::{Hall, Queue};
use super::limits::TokenBucket;
use super::metered::Metered;
use super::metrics::Metrics;
use super::record::{Kind, Record};
use super::server::stopped;
use super::settings::Limits;
use crate::rendezvous::frames::{ClientFrame, ConnId, MAX_FRAME, PATH, RefusedCode, RoomId, ServerFrame, VERSION};

/// How long a Refused may take to be sent, and how long the rest of what the other sends is read and thrown away.
const FAREWELL: Duration = Duration::from_secs(1);

/// What all connections share.
pub(crate) struct Shared {
    pub(crate) limits: Limits,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) hall: Hall,
    pub(crate) record: Record,
    pub(crate) tls: Option<TlsAcceptor>,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The other closed, or the network did.
    Gone,
    /// We close and say why.
    Refused(RefusedCode),
}

/// Serves one TCP connection to its end. `turned_away` is the HTTP status for a connection that is one too many.
pub(crate) async fn serve(
    shared: &Shared,
    tcp: TcpStream,
    conn: ConnId,
    turned_away: Option<StatusCode>,
    stop: watch::Receiver<bool>,
) {
    let established = Arc::new(AtomicBool::new(false));
    let stream = Metered::new(tcp, shared.limits.bytes, shared.limits.preface_bytes, established.clone());
    let deadline = Instant::now() + shared.limits.handshake;
    match &shared.tls {
        None => serve_http(shared, stream, conn, turned_away, established, deadline, stop).await,
        Some(acceptor) => match timeout(shared.limits.handshake, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => serve_http(shared, stream, conn, turned_away, established, deadline, stop).await,
            Ok(Err(_)) | Err(_) => {
                tracing::debug!("TLS handshake failed");
                shared.metrics.failed_handshakes.up();
            }
        },
    }
}

fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

fn refusal(status: StatusCode) -> ErrorResponse {
    let mut response = ErrorResponse::new(None);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_LENGTH, header::HeaderValue::from_static("0"));
    response.headers_mut().insert(header::CONNECTION, header::HeaderValue::from_static("close"));
    response
}

async fn serve_http<S: AsyncRead + AsyncWrite + Unpin>(
    shared: &Shared,
    stream: S,
    conn: ConnId,
    turned_away: Option<StatusCode>,
    established: Arc<AtomicBool>,
    deadline: Instant,
    mut stop: watch::Receiver<bool>,
) {
    let mut seen = Vec::new();
    let recording = shared.record.is_on();
    // The error type is tungstenite's.
    #[allow(clippy::result_large_err)]
    let check = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
        if recording {
            seen = format!("{} {:?}", request.uri(), request.headers()).into_bytes();
        }
        if request.uri().path() != PATH {
            return Err(refusal(StatusCode::NOT_FOUND));
        }
        // Browsers send it with every WebSocket; members never do.
        if request.headers().contains_key(header::ORIGIN) {
            return Err(refusal(StatusCode::FORBIDDEN));
        }
        turned_away.map_or(Ok(response), |status| Err(refusal(status)))
    };
    let config = WebSocketConfig::default()
        .read_buffer_size(8 * 1024)
        .write_buffer_size(16 * 1024)
        .max_write_buffer_size(16 * 1024 + 4 * MAX_FRAME)
        .max_message_size(Some(MAX_FRAME))
        .max_frame_size(Some(MAX_FRAME));
    let accepted =
        timeout(left(deadline), tokio_tungstenite::accept_hdr_async_with_config(stream, check, Some(config))).await;
    if recording && shared.record.write(Kind::Http, conn, &seen).await.is_err() {
        return;
    }
    let socket = match accepted {
        Ok(Ok(socket)) => socket,
        Ok(Err(_)) | Err(_) => {
            tracing::debug!("HTTP handshake failed or was refused");
            shared.metrics.failed_handshakes.up();
            return;
        }
    };
    established.store(true, Ordering::Relaxed);
    let (mut sink, mut stream) = socket.split();
    let end = tokio::select! {
        end = meet(shared, conn, &mut sink, &mut stream, deadline) => end,
        () = stopped(&mut stop) => End::Refused(RefusedCode::Stopping),
    };
    tracing::debug!(?end, "connection ended");
    farewell(shared, conn, sink, stream, end).await;
}

/// Takes the connection out of its room, however its task ends.
struct Membership<'a>(&'a Hall, ConnId);

impl Drop for Membership<'_> {
    fn drop(&mut self) {
        self.0.leave(self.1);
    }
}

/// Join, then both directions until one ends.
async fn meet<S: AsyncRead + AsyncWrite + Unpin>(
    shared: &Shared,
    conn: ConnId,
    sink: &mut SplitSink<WebSocketStream<S>, Message>,
    stream: &mut SplitStream<WebSocketStream<S>>,
    deadline: Instant,
) -> End {
    let room = match timeout(left(deadline), first_frame(shared, conn, stream)).await {
        Ok(Ok(room)) => room,
        Ok(Err(end)) => {
            shared.metrics.failed_handshakes.up();
            return end;
        }
        Err(_) => {
            shared.metrics.failed_handshakes.up();
            return End::Refused(RefusedCode::TooLate);
        }
    };
    let mut queue = match shared.hall.join(conn, room) {
        Ok(queue) => queue,
        Err(code) => {
            shared.metrics.refused_joins.up();
            return End::Refused(code);
        }
    };
    let _membership = Membership(&shared.hall, conn);
    let kick = queue.kick.clone();
    tokio::select! {
        end = read(shared, conn, stream) => end,
        end = write(shared, conn, sink, &mut queue) => end,
        code = kick.kicked() => {
            shared.metrics.too_slow.up();
            End::Refused(code)
        }
    }
}

/// The next binary message, recorded; pings and pongs are tungstenite's business.
async fn next_message<S: AsyncRead + AsyncWrite + Unpin>(
    shared: &Shared,
    conn: ConnId,
    stream: &mut SplitStream<WebSocketStream<S>>,
) -> Result<Option<Bytes>, End> {
    let message = match stream.next().await {
        Some(Ok(message)) => message,
        Some(Err(Error::Capacity(_))) => {
            shared.metrics.too_large.up();
            return Err(End::Refused(RefusedCode::TooLarge));
        }
        Some(Err(Error::Protocol(_) | Error::Utf8(_))) => {
            shared.metrics.malformed.up();
            return Err(End::Refused(RefusedCode::Malformed));
        }
        Some(Err(_)) | None => return Err(End::Gone),
    };
    let payload = match &message {
        Message::Binary(bytes) => &bytes[..],
        Message::Text(text) => text.as_bytes(),
        Message::Ping(bytes) | Message::Pong(bytes) => &bytes[..],
        Message::Close(_) | Message::Frame(_) => &[],
    };
    if shared.record.write(Kind::In, conn, payload).await.is_err() {
        return Err(End::Gone);
    }
    match message {
        Message::Binary(bytes) => Ok(Some(bytes)),
        Message::Ping(_) | Message::Pong(_) => Ok(None),
        Message::Close(_) => Err(End::Gone),
        Message::Text(_) | Message::Frame(_) => {
            shared.metrics.malformed.up();
            Err(End::Refused(RefusedCode::Malformed))
        }
    }
}

async fn first_frame<S: AsyncRead + AsyncWrite + Unpin>(
    shared: &Shared,
    conn: ConnId,
    stream: &mut SplitStream<WebSocketStream<S>>,
) -> Result<RoomId, End> {
    loop {
        let Some(bytes) = next_message(shared, conn, stream).await? else { continue };
        return match ClientFrame::parse(&bytes) {
            Ok(ClientFrame::Join { version: VERSION, room }) => Ok(room),
            Ok(ClientFrame::Join { .. }) => Err(End::Refused(RefusedCode::Version)),
            Ok(ClientFrame::Send { .. }) | Err(_) => {
                shared.metrics.malformed.up();
                Err(End::Refused(RefusedCode::Malformed))
            }
        };
    }
}

async fn read<S: AsyncRead + AsyncWrite + Unpin>(
    shared: &Shared,
    conn: ConnId,
    stream: &mut SplitStream<WebSocketStream<S>>,
) -> End {
    let mut bucket = TokenBucket::new(shared.limits.messages, Instant::now());
    loop {
        let message = match timeout(shared.limits.silence, next_message(shared, conn, stream)).await {
            Ok(Ok(message)) => message,
            Ok(Err(end)) => return end,
            Err(_) => return End::Refused(RefusedCode::TooLate),
        };
        if let Some(bytes) = message {
            match ClientFrame::parse(&bytes) {
                Ok(ClientFrame::Send { to, payload }) => shared.hall.send(conn, to, payload),
                Ok(ClientFrame::Join { .. }) | Err(_) => {
                    shared.metrics.malformed.up();
                    return End::Refused(RefusedCode::Malformed);
                }
            }
        }
        // Pings count too: each costs a pong.
        let owed = bucket.charge(1, Instant::now());
        if !owed.is_zero() {
            shared.metrics.throttled.up();
            sleep(owed).await;
        }
    }
}

async fn write<S: AsyncRead + AsyncWrite + Unpin>(
    shared: &Shared,
    conn: ConnId,
    sink: &mut SplitSink<WebSocketStream<S>, Message>,
    queue: &mut Queue,
) -> End {
    let mut ping = tokio::time::interval(shared.limits.ping);
    ping.tick().await;
    loop {
        let message = tokio::select! {
            frame = queue.next() => match frame {
                Some(frame) if shared.record.write(Kind::Out, conn, &frame).await.is_ok() => Message::Binary(frame),
                _ => return End::Gone,
            },
            _ = ping.tick() => Message::Ping(Bytes::new()),
        };
        let flush = queue.is_empty();
        let sent = timeout(shared.limits.write, async {
            sink.feed(message).await?;
            if flush { sink.flush().await } else { Ok(()) }
        });
        match sent.await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return End::Gone,
            Err(_) => {
                shared.metrics.too_slow.up();
                return End::Refused(RefusedCode::TooSlow);
            }
        }
    }
}

/// Says why, closes, and reads on for a moment: closing with unread data would reset the connection and lose what
/// was just said.
async fn farewell<S: AsyncRead + AsyncWrite + Unpin>(
    shared: &Shared,
    conn: ConnId,
    mut sink: SplitSink<WebSocketStream<S>, Message>,
    stream: SplitStream<WebSocketStream<S>>,
    end: End,
) {
    let _ = timeout(FAREWELL, async {
        if let End::Refused(code) = end {
            let frame = ServerFrame::Refused(code).encode();
            if shared.record.write(Kind::Out, conn, &frame).await.is_err() {
                return;
            }
            let _ = sink.send(Message::Binary(frame)).await;
        }
        let _ = sink.send(Message::Close(None)).await;
        let Ok(socket) = sink.reunite(stream) else { return };
        let mut stream = socket.into_inner();
        let _ = stream.shutdown().await;
        let mut waste = [0; 4096];
        while stream.read(&mut waste).await.is_ok_and(|read| read > 0) {}
    })
    .await;
}
