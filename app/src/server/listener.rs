//! The listening socket: how it is opened, and how it is closed without resetting anybody. It knows nothing of HTTP.

use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// How many connections may wait to be accepted. With the usual 1024 or less, a surge of connections makes the rest of them try again
/// after a whole second. The kernel takes the smaller of this and `net.core.somaxconn`.
const BACKLOG: u32 = 4096;

/// How long a handshake that has begun may take to end before the socket closes.
pub(super) const LAST_HANDSHAKES: Duration = Duration::from_millis(20);

/// Opens a listening socket.
pub(super) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A server that starts again finds its port although connections of the last one have not been forgotten yet.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Lets the kernel begin no more handshakes; those that have begun go on. Closing a socket resets every connection that waits to be
/// accepted, and between the last look and the closing another one could come. Whoever knocks meanwhile hears nothing, knocks again
/// later, and is refused then, which is told to nobody as a lost request.
#[cfg(target_os = "linux")]
pub(super) fn begin_no_more(listener: &TcpListener) -> io::Result<()> {
    use socket2::{SockFilter, SockRef};
    // Four instructions for the kernel, whose numbers are in `linux/bpf_common.h`: load byte 13 of the TCP header, which holds the flags; if
    // it has the bit SYN, drop the packet; otherwise keep it. Accepted sockets inherit the filter, and never see a SYN.
    const LOAD_BYTE: u16 = 0x30;
    const JUMP_IF_SET: u16 = 0x45;
    const RETURN: u16 = 0x06;
    const SYN: u32 = 0x02;
    SockRef::from(listener).attach_filter(&[
        SockFilter::new(LOAD_BYTE, 0, 0, 13),
        SockFilter::new(JUMP_IF_SET, 0, 1, SYN),
        SockFilter::new(RETURN, 0, 0, 0),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
    ])
}

/// Elsewhere a few microseconds are left in which a connection can be reset.
#[cfg(not(target_os = "linux"))]
pub(super) fn begin_no_more(_: &TcpListener) -> io::Result<()> {
    Ok(())
}

/// A connection that waits to be accepted, if there is one.
pub(super) fn take_waiting(listener: &TcpListener) -> Option<(TcpStream, SocketAddr)> {
    match listener.poll_accept(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(accepted)) => Some(accepted),
        Poll::Ready(Err(_)) | Poll::Pending => None,
    }
}

/// Whether accepting failed because of the one connection, and not because the system has nothing left for any.
pub(super) fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_knocked_before_is_taken_and_who_knocks_afterwards_hears_nothing() {
        let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let before = TcpStream::connect(address).await.unwrap();
        begin_no_more(&listener).unwrap();
        if cfg!(target_os = "linux") {
            let knocking = tokio::time::timeout(Duration::from_millis(100), TcpStream::connect(address)).await;
            assert!(knocking.is_err(), "{knocking:?}");
        }
        let (stream, _) = take_waiting(&listener).unwrap();
        assert!(take_waiting(&listener).is_none());
        drop(listener);
        // What was taken works on, although it inherited the filter.
        stream.writable().await.unwrap();
        assert_eq!(stream.try_write(b"hello").unwrap(), 5);
        before.readable().await.unwrap();
        assert_eq!(before.try_read(&mut [0; 8]).unwrap(), 5);
        let refused = TcpStream::connect(address).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    }
}
