//! `hookswitch listen`: subscribes over a WebSocket and prints what comes, whatever happens to the connection.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::http::{Method, Uri};
use clap::ValueEnum;
use futures_util::{SinkExt as _, StreamExt as _};
use hookswitch_server::config::FILTER;
use hookswitch_server::{escape, webhook};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

use super::ANSWER_WITHIN;
use super::client::{Client, Failure, Login};
use super::forward::{Forward, Forwarder};
use super::rows::Rows;

/// The waits before a lost connection is tried again; the last repeats.
const WAITS_MILLIS: [u64; 5] = [100, 250, 500, 1000, 2000];

/// Time for which a server may be silent: it sends pings more often.
const SILENCE_MAX: Duration = Duration::from_secs(90);

/// The arguments of the command.
#[derive(clap::Args)]
pub(super) struct Listen {
    /// Credentials: the file that `hookswitch init --json` printed
    #[arg(long, value_name = "FILE")]
    login: PathBuf,
    /// Address of the server [default: the one in the file]
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// An event filter; several are combined by "or"
    #[arg(long = "filter", value_name = "FILTER", default_value = FILTER)]
    filters: Vec<String>,
    /// Output format of the notifications
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Stop after so many notifications
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    #[command(flatten)]
    forward: Forward,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One row per notification
    Text,
    /// As they arrive, one per line
    Json,
}

impl Listen {
    /// Prints notifications until it is stopped.
    pub(super) fn run(self, out: &mut impl Write) -> anyhow::Result<()> {
        let login = Login::read(&self.login, self.server.as_deref())?;
        let forwarder = self.forward.open()?;
        let tls = Arc::new(webhook::tls()?);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let client = Client::new(login, (*tls).clone());
        let mut is_said = false;
        let connected = move || {
            if !std::mem::replace(&mut is_said, true) {
                eprintln!("hookswitch: listening");
            }
        };
        let listener = Listener {
            format: self.format,
            left: self.count.unwrap_or(u64::MAX),
            forwarder,
            ..Listener::new(client, tls, &self.filters, out, connected)
        };
        runtime.block_on(listener.listen())
    }
}

/// A client of the gateway.
pub(super) struct Listener<'a, W, F> {
    client: Client,
    filters: &'a [String],
    format: Format,
    /// Number of notifications that are still to be printed.
    left: u64,
    /// Forwarder that posts them on, if they are to be.
    forwarder: Option<Forwarder>,
    tls: Arc<tokio_rustls::rustls::ClientConfig>,
    rows: Rows,
    access: Option<String>,
    /// The handle of the session: its token, and its sequence.
    wsc: Option<(String, u64)>,
    subscription: Option<String>,
    out: &'a mut W,
    /// Called when notifications will come, on each connection.
    connected: F,
}

impl<'a, W: Write, F: FnMut()> Listener<'a, W, F> {
    /// One that prints all that comes, as JSON.
    pub(super) fn new(
        client: Client,
        tls: Arc<tokio_rustls::rustls::ClientConfig>,
        filters: &'a [String],
        out: &'a mut W,
        connected: F,
    ) -> Self {
        Self {
            client,
            filters,
            format: Format::Json,
            left: u64::MAX,
            forwarder: None,
            tls,
            rows: Rows::default(),
            access: None,
            wsc: None,
            subscription: None,
            out,
            connected,
        }
    }

    /// Listens until it has what it wants, or the server refuses.
    pub(super) async fn listen(mut self) -> anyhow::Result<()> {
        if let Some(forwarder) = &self.forwarder {
            forwarder.ask().await;
        }
        let mut failures = 0;
        loop {
            let failure = match self.follow(&mut failures).await {
                Ok(()) => return Ok(()),
                Err(failure) => failure,
            };
            match failure {
                Failure::Refused(error) => return Err(error),
                Failure::Token => self.access = None,
                // Whoever reads the output has seen enough.
                Failure::Lost(error) if super::is_broken_pipe(&error) => return Err(error),
                Failure::Lost(error) => {
                    if failures == 0 {
                        eprintln!(
                            "hookswitch: not connected to {}: {error:#}; trying again",
                            self.client.login.server
                        );
                    }
                    let wait = WAITS_MILLIS[failures.min(WAITS_MILLIS.len() - 1)];
                    tokio::time::sleep(Duration::from_millis(wait)).await;
                    failures += 1;
                }
            }
        }
    }

    /// Connects, and prints what comes until the connection is lost; `failures` counts those in a row.
    async fn follow(&mut self, failures: &mut usize) -> Result<(), Failure> {
        let access = match &self.access {
            Some(access) => access.clone(),
            None => self.access.insert(self.client.log_in().await?).clone(),
        };
        let token = self.client.call(&access, Method::POST, "/restapi/oauth/wstoken", String::new()).await?;
        let (Some(uri), Some(token)) = (token["uri"].as_str(), token["ws_access_token"].as_str()) else {
            return Err(Failure::Refused(anyhow::anyhow!("the server gave no token to connect with")));
        };
        let wsc = self.wsc.as_ref().map(|(wsc, _)| format!("&wsc={wsc}")).unwrap_or_default();
        let mut socket = self.connect(&format!("{uri}?access_token={token}{wsc}")).await?;
        let details = self.frame(&mut socket, ANSWER_WITHIN).await?;
        if details[0]["type"] == "Error" {
            let message = details[1]["message"].as_str().unwrap_or_default();
            return Err(anyhow::anyhow!("{message}").into());
        }
        if details[1]["recoveryState"] != "Successful" {
            if self.wsc.is_some() {
                eprintln!("hookswitch: away for too long: what happened meanwhile is not shown");
            }
            self.keep_handle(&details, true);
            self.subscribe(&mut socket).await?;
        }
        self.keep_handle(&details, true);
        if *failures > 0 {
            eprintln!("hookswitch: connected again");
        }
        *failures = 0;
        (self.connected)();
        while self.left > 0 {
            let frame = self.frame(&mut socket, SILENCE_MAX).await?;
            self.keep_handle(&frame, false);
            if frame[0]["type"] == "ServerNotification" {
                self.print(&frame[1])?;
                if let Some(forwarder) = &self.forwarder {
                    forwarder.post(&frame[1]).await;
                }
            }
        }
        // All was printed; the server need not keep what would come.
        if let Some(id) = &self.subscription {
            let path = format!("/restapi/v1.0/subscription/{id}");
            let request =
                json!([{"type": "ClientRequest", "messageId": "2", "method": "DELETE", "path": path}]);
            socket.send(Message::text(request.to_string())).await.ok();
            while let Ok(frame) = self.frame(&mut socket, ANSWER_WITHIN).await {
                if frame[0]["type"] == "ClientRequest" {
                    break;
                }
            }
        }
        socket.close(None).await.ok(); // it ends anyhow
        Ok(())
    }

    async fn subscribe<S>(&mut self, socket: &mut WebSocketStream<S>) -> Result<(), Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let request = json!([
            {"type": "ClientRequest", "messageId": "1", "method": "POST", "path": "/restapi/v1.0/subscription"},
            {"eventFilters": self.filters, "deliveryMode": {"transportType": "WebSocket"}},
        ]);
        socket.send(Message::text(request.to_string())).await?;
        let answer = self.frame(socket, ANSWER_WITHIN).await?;
        if answer[0]["status"] != 200 {
            let message = answer[1]["message"].as_str().unwrap_or("the subscription was refused");
            return Err(Failure::Refused(anyhow::anyhow!("{message}")));
        }
        self.subscription = answer[1]["id"].as_str().map(str::to_owned);
        self.keep_handle(&answer, false);
        Ok(())
    }

    /// Keeps the handle of a frame if it is newer, or the first of a connection.
    fn keep_handle(&mut self, frame: &Value, first: bool) {
        let wsc = &frame[0]["wsc"];
        let (Some(token), Some(sequence)) = (wsc["token"].as_str(), wsc["sequence"].as_u64()) else { return };
        if self.wsc.as_ref().is_none_or(|(_, last)| first && *last <= sequence || *last < sequence) {
            self.wsc = Some((token.to_owned(), sequence));
        }
    }

    fn print(&mut self, notification: &Value) -> anyhow::Result<()> {
        match self.format {
            Format::Text => writeln!(self.out, "{}", self.rows.row(notification))?,
            Format::Json => writeln!(self.out, "{}", escape::json(&notification.to_string()))?,
        }
        self.left -= 1;
        Ok(self.out.flush()?)
    }

    /// The next frame.
    async fn frame<S>(&self, socket: &mut WebSocketStream<S>, within: Duration) -> Result<Value, Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        loop {
            let message =
                tokio::time::timeout(within, socket.next()).await.context("the server is silent")?;
            match message.context("the server has closed the connection")?? {
                Message::Text(text) => return Ok(serde_json::from_str(&text)?),
                Message::Close(Some(why)) => {
                    return Err(
                        anyhow::anyhow!("the server has closed the connection: {}", why.reason).into()
                    );
                }
                _ => {}
            }
        }
    }

    /// Opens a WebSocket, with TLS if the address asks for it.
    async fn connect(&self, address: &str) -> Result<WebSocketStream<Box<dyn Stream>>, Failure> {
        let uri: Uri = address.parse()?;
        let host = uri.host().context("the address of the WebSocket names no host")?;
        let tls = uri.scheme_str() == Some("wss");
        let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let tcp = TcpStream::connect((host.trim_matches(['[', ']']), port)).await?;
        tcp.set_nodelay(true)?;
        let stream: Box<dyn Stream> = if tls {
            let name = ServerName::try_from(host.to_owned())?;
            Box::new(TlsConnector::from(self.tls.clone()).connect(name, tcp).await?)
        } else {
            Box::new(tcp)
        };
        let (socket, _) = tokio::time::timeout(ANSWER_WITHIN, client_async(address, stream)).await??;
        Ok(socket)
    }
}

/// Byte stream under a WebSocket.
trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}
