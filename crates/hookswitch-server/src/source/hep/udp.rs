//! HEP over UDP, on a thread of its own that waits for nobody but the kernel.

use std::io::IoSliceMut;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::Duration;

use anyhow::Context as _;
use nix::errno::Errno;
use nix::sys::socket::sockopt::RxqOvfl;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, setsockopt};
use socket2::{Domain, Protocol, Socket, Type};

use crate::clock;
use crate::intake::{Frames, Gate, Intake, Pool};
use crate::telemetry::Metrics;

/// Datagrams that are read at once at most.
const AT_ONCE: usize = 64;

/// The longest datagram there can be.
const DATAGRAM_BYTES_MAX: usize = 65_535;

/// Time that the thread waits for a datagram before it looks whether it is to stop.
const WAIT: Duration = Duration::from_millis(100);

/// Batches that may be with the machine at once.
const BATCHES: usize = 4;

/// Opens the socket; the kernel is asked for a receive buffer of so many bytes.
pub(crate) fn bind(address: SocketAddr, buffer_bytes: usize) -> anyhow::Result<UdpSocket> {
    let open = || -> std::io::Result<UdpSocket> {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        socket.bind(&address.into())?;
        Ok(socket.into())
    };
    let socket = open().with_context(|| {
        format!("cannot listen for HEP on UDP {address}; free the port, or set hep.listen")
    })?;
    prepare(&socket, buffer_bytes)?;
    Ok(socket)
}

/// Sets what the reading rests on, also for a socket that was inherited.
pub(crate) fn prepare(socket: &UdpSocket, buffer_bytes: usize) -> anyhow::Result<()> {
    // Only root may go beyond net.core.rmem_max; everybody else gets that.
    let forced = setsockopt(socket, nix::sys::socket::sockopt::RcvBufForce, &buffer_bytes);
    if forced.is_err() {
        setsockopt(socket, nix::sys::socket::sockopt::RcvBuf, &buffer_bytes)
            .context("cannot set the receive buffer of the HEP socket; set hep.receive_buffer_bytes")?;
    }
    // The kernel reports twice what it was asked for, because it counts its own bookkeeping.
    let given = nix::sys::socket::getsockopt(socket, nix::sys::socket::sockopt::RcvBuf)? / 2;
    if given < buffer_bytes {
        tracing::warn!(
            asked = buffer_bytes,
            given,
            "the kernel gives the HEP socket a smaller buffer; raise net.core.rmem_max"
        );
    }
    setsockopt(socket, RxqOvfl, &1).context("cannot ask the kernel to count what it drops")?;
    socket.set_read_timeout(Some(WAIT)).context("cannot set how long the HEP socket waits")?;
    Ok(())
}

/// Reads datagrams and hands them over until told to stop.
pub(crate) fn run(
    socket: &UdpSocket,
    mut gate: Gate,
    intake: &SyncSender<Intake>,
    metrics: &Arc<Metrics>,
    stop: &AtomicBool,
) {
    let mut buffers = vec![vec![0; DATAGRAM_BYTES_MAX]; AT_ONCE];
    let mut headers = MultiHeaders::<SockaddrStorage>::preallocate(AT_ONCE, Some(nix::cmsg_space!(u32)));
    let mut pool = Pool::new(BATCHES);
    let mut frames = pool.take();
    let mut dropped_before = 0;
    while !stop.load(Ordering::Relaxed) {
        let mut slices: Vec<[IoSliceMut<'_>; 1]> =
            buffers.iter_mut().map(|buffer| [IoSliceMut::new(buffer)]).collect();
        let received =
            recvmmsg(socket.as_raw_fd(), &mut headers, slices.iter_mut(), MsgFlags::MSG_WAITFORONE, None);
        let received = match received {
            Ok(received) => received,
            Err(Errno::EAGAIN | Errno::EINTR) => {
                frames = hand_over(frames, &mut pool, intake);
                continue;
            }
            Err(error) => {
                // An ICMP error of somebody we never answer; the socket goes on.
                tracing::debug!(%error, "the HEP socket reports an error");
                continue;
            }
        };
        gate.refresh();
        frames = frames.or_else(|| pool.take());
        if let Some(frames) = &mut frames
            && frames.is_empty()
        {
            frames.access = gate.access().clone();
            frames.arrival = clock::wall();
        }
        let now = clock::now();
        for message in received {
            if let Ok(mut controls) = message.cmsgs()
                && let Some(ControlMessageOwned::RxqOvfl(dropped)) =
                    controls.find(|control| matches!(control, ControlMessageOwned::RxqOvfl(_)))
            {
                metrics.kernel_drops.inc_by(u64::from(dropped.wrapping_sub(dropped_before)));
                dropped_before = dropped;
            }
            metrics.frames_received.udp.inc();
            let Some(from) = message.address.as_ref().and_then(address) else {
                metrics.frames.address.inc();
                continue;
            };
            let bytes = message.iovs().next().unwrap_or_default();
            gate.pass(bytes, from, now, frames.as_mut());
        }
        frames = hand_over(frames, &mut pool, intake);
    }
    // What was read is taken, as far as there is room.
    if let Some(frames) = frames.filter(|frames| !frames.is_empty()) {
        intake.send(Intake::Frames(frames, pool.back())).ok();
    }
}

/// Hands a batch over for the next one; while the machine is busy, it is kept and filled further.
fn hand_over(frames: Option<Frames>, pool: &mut Pool, intake: &SyncSender<Intake>) -> Option<Frames> {
    let frames = frames?;
    if frames.is_empty() {
        return Some(frames);
    }
    let Some(next) = pool.take() else { return Some(frames) };
    match intake.try_send(Intake::Frames(frames, pool.back())) {
        Ok(()) => Some(next),
        Err(TrySendError::Full(Intake::Frames(frames, _))) => {
            pool.back().send(next).ok(); // the pool is here
            Some(frames)
        }
        Err(_) => None, // the machine has stopped
    }
}

fn address(address: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
    let v6 = address.as_sockaddr_in6().map(|address| address.ip().to_canonical());
    v4.or(v6)
}
