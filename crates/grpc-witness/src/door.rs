//! The port where clients connect. It can be closed for a while, so that the system refuses connections.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// The most connections that wait to be accepted.
const BACKLOG: u32 = 1024;

#[derive(Debug)]
pub(crate) struct Door {
    address: SocketAddr,
    listener: Option<TcpListener>,
    /// Keeps the port while nobody listens.
    _reservation: Option<TcpSocket>,
}

impl Door {
    /// One that never closes.
    pub(crate) async fn open(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        Ok(Self {
            address: listener.local_addr()?,
            listener: Some(listener),
            _reservation: None,
        })
    }

    /// One that can be closed; it is open.
    pub(crate) fn closable(address: SocketAddr) -> io::Result<Self> {
        let reservation = bound(address)?;
        let address = reservation.local_addr()?;
        Ok(Self {
            address,
            listener: Some(bound(address)?.listen(BACKLOG)?),
            _reservation: Some(reservation),
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn close(&mut self) {
        self.listener = None;
    }

    pub(crate) fn reopen(&mut self) -> io::Result<()> {
        if self.listener.is_none() {
            self.listener = Some(bound(self.address)?.listen(BACKLOG)?);
        }
        Ok(())
    }

    /// The next connection; none while it is closed.
    pub(crate) async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        match &self.listener {
            Some(listener) => listener.accept().await,
            None => std::future::pending().await,
        }
    }
}

/// A socket that shares its port with others of this process.
fn bound(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    socket.set_reuseaddr(true)?;
    #[cfg(unix)]
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    Ok(socket)
}
