//! Carrier of a connection: its bytes themselves, or the messages of a WebSocket that it was made into, with
//! requests on connections of their own beside it.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use hookswitch_signal::switch::HttpRequest;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::header::{AUTHORIZATION, HOST};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::{Stream, SwitchEndpoint};

/// Time that an answer to a request may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest answer to a request, in bytes; a list of ten thousand channels has some ten million.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The longest message of a WebSocket, in bytes; those of Asterisk are below 16 KiB.
const MESSAGE_BYTES_MAX: usize = 1024 * 1024;

/// Carrier of one connection.
pub(super) enum Carrier {
    Bytes(Stream),
    Messages(Box<WebSocketStream<Stream>>),
}

/// Outcome of a request to become a WebSocket.
pub(super) enum Upgraded {
    Yes(Carrier),
    /// The switch has answered with another status than 101.
    No(u16),
}

impl Carrier {
    /// Asks the switch to make the connection a WebSocket.
    ///
    /// # Errors
    /// If it does not answer, or not as a web server.
    pub(super) async fn upgrade(
        stream: Stream,
        endpoint: &SwitchEndpoint,
        request: &HttpRequest,
    ) -> anyhow::Result<Upgraded> {
        let address = &endpoint.address;
        let mut upgrade = format!("ws://{address}{}", request.target).into_client_request()?;
        upgrade.headers_mut().insert(AUTHORIZATION, request.authorization.parse()?);
        let config = WebSocketConfig::default()
            .max_message_size(Some(MESSAGE_BYTES_MAX))
            .max_frame_size(Some(MESSAGE_BYTES_MAX));
        let upgrading = client_async_with_config(upgrade, stream, Some(config));
        match timeout(ANSWER_TIMEOUT, upgrading).await.context("the switch does not answer")? {
            Ok((socket, _)) => Ok(Upgraded::Yes(Self::Messages(Box::new(socket)))),
            Err(SocketError::Http(answer)) => Ok(Upgraded::No(answer.status().as_u16())),
            Err(error) => Err(error).with_context(|| format!("no WebSocket with {address}")),
        }
    }

    /// Reads what comes next into a buffer, and says how long it is; nothing but a sign of life has none. Nothing is
    /// lost if it is not waited for.
    ///
    /// # Errors
    /// If the connection has ended.
    pub(super) async fn read(&mut self, buffer: &mut Vec<u8>) -> anyhow::Result<usize> {
        match self {
            Self::Bytes(stream) => {
                let read = stream.read(buffer).await.context("the connection failed")?;
                ensure!(read > 0, "the switch has closed the connection");
                Ok(read)
            }
            Self::Messages(socket) => {
                let message = socket.next().await.context("the switch has closed the connection")?;
                let text = match message.context("the connection failed")? {
                    Message::Text(text) => Bytes::from(text),
                    Message::Binary(bytes) => bytes,
                    Message::Close(_) => bail!("the switch has closed the connection"),
                    _ => return Ok(0),
                };
                if buffer.len() < text.len() {
                    buffer.resize(text.len(), 0);
                }
                buffer[..text.len()].copy_from_slice(&text);
                Ok(text.len())
            }
        }
    }

    /// Sends bytes, or a message.
    ///
    /// # Errors
    /// If the connection has failed.
    pub(super) async fn write(&mut self, bytes: Vec<u8>) -> anyhow::Result<()> {
        match self {
            Self::Bytes(stream) => stream.write_all(&bytes).await.context("the connection failed"),
            Self::Messages(socket) => {
                let text = String::from_utf8(bytes).context("a message is no text")?;
                socket.send(Message::text(text)).await.context("the connection failed")
            }
        }
    }

    /// Asks for a sign of life; a connection of bytes has none of its own.
    ///
    /// # Errors
    /// If the connection has failed.
    pub(super) async fn ping(&mut self) -> anyhow::Result<()> {
        match self {
            Self::Bytes(_) => Ok(()),
            Self::Messages(socket) => {
                socket.send(Message::Ping(Bytes::new())).await.context("the connection failed")
            }
        }
    }
}

/// Makes a request on a connection of its own, and gives the body of its answer.
///
/// # Errors
/// If it is not answered, or with another status than 200.
pub(super) async fn request(endpoint: &SwitchEndpoint, request: &HttpRequest) -> anyhow::Result<Bytes> {
    let asking = async {
        let stream = endpoint.connect().await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let asked = hyper::Request::get(&request.target)
            .header(HOST, &endpoint.address)
            .header(AUTHORIZATION, &request.authorization)
            .body(Empty::<Bytes>::new())?;
        let answered = async {
            let answer = sender.send_request(asked).await?;
            let status = answer.status();
            ensure!(status.as_u16() == 200, "it says {}", status.as_u16());
            let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
            Ok(body.map_err(|error| anyhow::anyhow!("{error}"))?.to_bytes())
        };
        let driving = tokio::spawn(connection);
        let answer = answered.await;
        driving.abort();
        answer
    };
    timeout(ANSWER_TIMEOUT, asking).await.context("the switch does not answer")?
}
