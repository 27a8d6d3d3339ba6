//! `hookswitch demo`: the whole program on loopback, with a subscriber and simulated calls.
//!
//! The server is the one of `serve`, in a directory of its own that goes away at the end; the
//! subscriber talks to it by HTTP alone, as any application would.

use std::collections::BTreeMap;
use std::fs;
use std::future::IntoFuture as _;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail, ensure};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use clap::ValueEnum;
use serde_json::{Value, json};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};

use super::client::{Client, Failure, Login};
use super::init::{self, Made};
use super::rows::Rows;
use super::{FILTER, play};
use crate::source::captures::CaptureFiles;
use crate::{clock, secret, server, webhook};

/// The simulated calls, one each.
const CALLS: [(&str, &[u8]); 4] = [
    ("answered-call.pcap", include_bytes!("../../../../captures/answered-call.pcap")),
    ("cancelled-call.pcap", include_bytes!("../../../../captures/cancelled-call.pcap")),
    ("busy-call.pcap", include_bytes!("../../../../captures/busy-call.pcap")),
    ("direct-call.pcap", include_bytes!("../../../../captures/direct-call.pcap")),
];

/// How long the server may take to start, and a notification to come when nothing else happens.
const PATIENCE: Duration = Duration::from_secs(15);

/// How often it is looked whether the server is ready.
const PAUSE: Duration = Duration::from_millis(20);

/// The arguments of the command.
#[derive(clap::Args)]
pub(super) struct Demo {
    /// How many times as fast as they were the calls go on; 0 for as fast as goes
    #[arg(long, value_name = "N", default_value_t = 1.0)]
    speed: f64,
    /// How the notifications are printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A row for each
    Text,
    /// What the subscriber was sent, one a line
    Json,
}

impl Demo {
    /// Shows the calls, and stops all that it has started, also when it is interrupted.
    pub(super) fn run(self, out: &mut impl Write) -> anyhow::Result<()> {
        play::check_speed(self.speed)?;
        let setting = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        if let Some(name) =
            setting.into_iter().find(|name| name.starts_with("HOOKSWITCH_") && name.contains("__"))
        {
            bail!("{name} is set, and the demo goes by its own settings; run it with env -u {name}");
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut interrupted = {
            let _within = runtime.enter();
            Interrupted::new()?
        };
        let home = TemporaryDirectory::new()?;
        let made = init::make(&home.0)?;
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let http = TcpListener::bind(loopback).context("cannot open a port of 127.0.0.1 for HTTP")?;
        let hep = UdpSocket::bind(loopback).context("cannot open a port of 127.0.0.1 for HEP")?;
        let (api, agent) = (http.local_addr()?, hep.local_addr()?);
        let config = home.0.join("hookswitch.toml");
        fs::write(&config, configuration(api))
            .with_context(|| format!("cannot write {}", config.display()))?;

        let (stop, told) = oneshot::channel();
        let (running, ended) = oneshot::channel::<()>();
        let serve = move || {
            let _running = running; // dropped at the end, also by a panic
            server::serve(&config, true, server::Sockets::new(http, hep), told)
        };
        let server = thread::Builder::new().name("server".into()).spawn(serve)?;
        let shown = runtime.block_on(async {
            let mut screen = Screen::new(self.format, out);
            tokio::select! {
                shown = show(&made, api, agent, self.speed, &mut screen) => shown.map(|()| screen.last_line("")),
                _ = ended => Ok(screen.last_line("The server has ended early. ")),
                () = interrupted.wait() => Ok(screen.last_line("Interrupted. ")),
            }
        });
        drop(stop);
        server.join().map_err(|_| anyhow!("the server has panicked; please report what stands above"))??;
        drop(home);
        match self.format {
            Format::Text => writeln!(out, "\n{}", shown?)?,
            Format::Json => eprintln!("hookswitch: {}", shown?),
        }
        Ok(())
    }
}

/// The settings of the server; what is not here is as it is by default.
fn configuration(api: SocketAddr) -> String {
    format!(
        "[server]\npublic_url = \"http://{api}\"\n[hep]\nlisten = \"\"\n[directory]\nfile = \"directory.toml\"\n\
         [log]\nlevel = \"error\"\n"
    )
}

/// Subscribes, lets the calls begin and prints what comes, until all of them have ended.
async fn show(
    made: &Made,
    api: SocketAddr,
    agent: SocketAddr,
    speed: f64,
    screen: &mut Screen<'_, impl Write>,
) -> anyhow::Result<()> {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let hook = listener.local_addr()?;
    let (sender, mut notifications) = mpsc::unbounded_channel();
    let receiver = Router::new().route("/", post(receive)).with_state(sender);
    tokio::spawn(axum::serve(listener, receiver).into_future());

    let login = Login {
        server: format!("http://{api}"),
        client_id: made.client_id.clone(),
        client_secret: made.client_secret.clone(),
        jwt: made.jwt.clone(),
    };
    let client = Client::new(login, webhook::tls()?);
    wait_until_ready(&client).await?;
    let token = client.log_in().await.map_err(Failure::into_error)?;
    let delivery = json!({"transportType": "WebHook", "address": format!("http://{hook}/")});
    let body = json!({"eventFilters": [FILTER], "deliveryMode": delivery});
    let subscribed = client.call(&token, Method::POST, "/restapi/v1.0/subscription", body.to_string()).await;
    subscribed.map_err(Failure::into_error)?;
    screen.say(&format!(
        "Server        http://{api}, with its data in a temporary directory (development profile)\n\
         Subscriber    http://{hook}/ gets {FILTER}\n\
         Phones        send SIP in HEP to {agent} (UDP): one call is answered and held, one is given up,\n\
         \x20             one finds the phone busy, and one goes from phone to phone\n"
    ))?;

    let played = thread::Builder::new().name("phones".into()).spawn(move || {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.connect(agent)?;
        play::send(&mut CaptureFiles::built_in(&CALLS)?, &socket, speed, None, Some(clock::wall()))
    })?;
    while !screen.all_calls_have_ended() {
        let next = tokio::time::timeout(PATIENCE, notifications.recv()).await;
        let Ok(Some(body)) = next else {
            bail!(
                "no notification came for {} s, and {} had; please report it, with what --format json prints",
                PATIENCE.as_secs(),
                screen.count
            )
        };
        screen.notification(&body)?;
    }
    played.join().map_err(|_| anyhow!("the phones have panicked; please report it"))??;
    Ok(())
}

/// Takes a notification, or answers whether any are wanted.
async fn receive(
    State(notifications): State<mpsc::UnboundedSender<Bytes>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if let Some(token) = headers.get("validation-token") {
        return ([("validation-token", token.clone())], ()).into_response();
    }
    notifications.send(body).ok(); // the demo is over
    StatusCode::OK.into_response()
}

async fn wait_until_ready(client: &Client) -> anyhow::Result<()> {
    let deadline = clock::now() + PATIENCE;
    while client.call("", Method::GET, "/readyz", String::new()).await.is_err() {
        ensure!(clock::now() < deadline, "the server was not ready after {} s", PATIENCE.as_secs());
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

/// What is printed, and what it tells of the calls.
struct Screen<'a, W> {
    format: Format,
    out: &'a mut W,
    rows: Rows,
    /// The calls by their sessions, and whether each party has ended.
    calls: BTreeMap<String, BTreeMap<String, bool>>,
    count: usize,
}

impl<'a, W: Write> Screen<'a, W> {
    fn new(format: Format, out: &'a mut W) -> Self {
        Self { format, out, rows: Rows::default(), calls: BTreeMap::new(), count: 0 }
    }

    /// Prints what is meant for people.
    fn say(&mut self, text: &str) -> anyhow::Result<()> {
        if self.format == Format::Text {
            writeln!(self.out, "{text}")?;
            self.out.flush()?;
        }
        Ok(())
    }

    fn notification(&mut self, body: &[u8]) -> anyhow::Result<()> {
        let notification: Value = serde_json::from_slice(body).context("a notification is no JSON")?;
        let event = &notification["body"];
        let party = &event["parties"][0];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let parties = self.calls.entry(text(&event["telephonySessionId"])).or_default();
        parties.insert(text(&party["id"]), party["status"]["code"] == "Disconnected");
        self.count += 1;
        match self.format {
            Format::Json => {
                self.out.write_all(body)?;
                writeln!(self.out)?;
            }
            Format::Text => writeln!(self.out, "{}", self.rows.row(&notification))?,
        }
        self.out.flush()?;
        Ok(())
    }

    fn all_calls_have_ended(&self) -> bool {
        self.calls.len() == CALLS.len()
            && self.calls.values().all(|parties| parties.values().all(|&ended| ended))
    }

    fn last_line(&self, before: &str) -> String {
        let (count, calls) = (self.count, self.calls.len());
        format!(
            "{before}{count} notifications of {calls} calls have arrived. The server has stopped; nothing is left behind."
        )
    }
}

/// The signals by which people and machines end a program.
struct Interrupted {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupted {
    fn new() -> anyhow::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// A new directory that is removed with all that is in it.
struct TemporaryDirectory(PathBuf);

impl TemporaryDirectory {
    /// Its name is random, so that nobody can have made it before.
    fn new() -> anyhow::Result<Self> {
        let name = format!("hookswitch-demo-{}", secret::token()?);
        Ok(Self(std::env::temp_dir().join(name)))
    }
}

impl Drop for TemporaryDirectory {
    fn drop(&mut self) {
        let path: &Path = &self.0;
        if let Err(error) = fs::remove_dir_all(path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            eprintln!("hookswitch: warning: cannot remove {} ({error}); please do", path.display());
        }
    }
}
