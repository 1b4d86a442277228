//! A stream that is read no faster than its rate, and little before its WebSocket stands.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use super::limits::TokenBucket;
use super::settings::Rate;

/// Wraps a TCP stream. What can't be read yet waits in the sender's TCP window.
pub(crate) struct Metered<S> {
    inner: S,
    bucket: TokenBucket,
    wait: Option<Pin<Box<Sleep>>>,
    preface_left: usize,
    established: Arc<AtomicBool>,
}

impl<S> Metered<S> {
    /// `preface` bytes may be read until `established` is set.
    pub(crate) fn new(inner: S, rate: Rate, preface: usize, established: Arc<AtomicBool>) -> Self {
        let bucket = TokenBucket::new(rate, Instant::now());
        Self { inner, bucket, wait: None, preface_left: preface, established }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if let Some(wait) = &mut this.wait {
            ready!(wait.as_mut().poll(cx));
            this.wait = None;
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.inner).poll_read(cx, buf))?;
        let read = buf.filled().len() - before;
        if !this.established.load(Ordering::Relaxed) {
            match this.preface_left.checked_sub(read) {
                Some(left) => this.preface_left = left,
                None => return Poll::Ready(Err(io::Error::other("too much before the WebSocket"))),
            }
        }
        let owed = this.bucket.charge(read, Instant::now());
        if !owed.is_zero() {
            this.wait = Some(Box::pin(tokio::time::sleep(owed)));
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn more_than_the_preface_is_an_error_until_the_websocket_stands() {
        let rate = Rate { per_second: 1_000_000, burst: 1_000_000 };
        let (mut far, near) = tokio::io::duplex(64);
        let established = Arc::new(AtomicBool::new(false));
        let mut metered = Metered::new(near, rate, 10, established.clone());
        far.write_all(&[0; 10]).await.unwrap();
        let mut got = [0; 10];
        metered.read_exact(&mut got).await.unwrap();
        far.write_all(&[0; 1]).await.unwrap();
        assert!(metered.read_u8().await.is_err());
        established.store(true, Ordering::Relaxed);
        far.write_all(&[7; 20]).await.unwrap();
        assert_eq!(metered.read_u8().await.unwrap(), 7);
    }

    #[tokio::test(start_paused = true)]
    async fn a_debt_delays_the_next_read() {
        let (mut far, near) = tokio::io::duplex(4096);
        let rate = Rate { per_second: 100, burst: 100 };
        let mut metered = Metered::new(near, rate, 0, Arc::new(AtomicBool::new(true)));
        far.write_all(&[1; 1100]).await.unwrap();
        let mut got = [0; 1100];
        assert_eq!(metered.read(&mut got).await.unwrap(), 1100);
        far.write_all(&[2]).await.unwrap();
        let start = tokio::time::Instant::now();
        assert_eq!(metered.read_u8().await.unwrap(), 2);
        assert!(start.elapsed() >= Duration::from_secs(9), "{:?}", start.elapsed());
    }
}
