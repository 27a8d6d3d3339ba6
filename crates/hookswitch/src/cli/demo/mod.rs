//! `hookswitch demo`: the whole program on loopback, with simulated phones and subscribers.
//!
//! The server is the one of `serve`, in a directory of its own that goes away at the end; the phones
//! reach it by HEP and the subscribers by HTTP alone, as any others would.

mod firm;
mod phones;
mod receiver;
mod screen;
mod scripts;
mod sip;

use std::cell::Cell;
use std::future::IntoFuture as _;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail, ensure};
use axum::http::Method;
use clap::ValueEnum;
use hookswitch_server::config::FILTER;
use hookswitch_server::{Profile, clock, webhook};
use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};

use self::phones::Phones;
use self::receiver::Arrival;
use self::screen::Screen;
use super::client::{Client, Failure, Login};
use super::init::{self, Made};
use super::listen::Listener;
use super::play;
use super::temporary::TemporaryDirectory;

/// Time that the server may take to start, and a notification to come when nothing else happens.
const PATIENCE: Duration = Duration::from_secs(15);

/// Interval between checks whether the server is ready, and whether all has arrived.
const PAUSE: Duration = Duration::from_millis(20);

/// The arguments of the command.
#[derive(clap::Args)]
pub(super) struct Demo {
    /// Show each kind of call once, then exit
    #[arg(long)]
    once: bool,
    /// Speed of the calls: 1 is real time, 10 is ten times as fast; with --once, 0 = no delay
    #[arg(long, value_name = "N", default_value_t = 1.0)]
    speed: f64,
    /// Seed that decides the order of the calls and the people in them
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Output format of the notifications
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One row per notification
    Text,
    /// The bodies the webhook received, one per line
    Json,
}

impl Demo {
    /// Shows the calls, and stops all that it has started, also when it is interrupted.
    pub(super) fn run(self, out: &mut impl Write) -> anyhow::Result<()> {
        play::check_speed(self.speed)?;
        ensure!(self.once || self.speed > 0.0, "a speed of 0 needs --once: the calls would never end");
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
        let home = TemporaryDirectory::new("demo")?;
        let made = init::make(home.path(), &init::people(None), None)?;
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let http = TcpListener::bind(loopback).context("cannot open a port of 127.0.0.1 for HTTP")?;
        let hep = UdpSocket::bind(loopback).context("cannot open a port of 127.0.0.1 for HEP")?;
        let (api, agent) = (http.local_addr()?, hep.local_addr()?);
        let config = home.write("hookswitch.toml", &configuration(api))?;
        home.write("directory.toml", &firm::directory())?;

        let (stop, told) = oneshot::channel();
        let (running, ended) = oneshot::channel::<()>();
        let serve = move || {
            let _running = running; // dropped at the end, also by a panic
            hookswitch_server::serve(
                &config,
                Profile::Development,
                hookswitch_server::Sockets::new(http, hep),
                told,
                hookswitch_api::mount,
            )
        };
        let server = thread::Builder::new().name("server".into()).spawn(serve)?;
        let heard = Rc::new(Cell::new(0));
        let shown = runtime.block_on(async {
            let mut screen = Screen::new(self.format, out);
            tokio::select! {
                shown = self.show(&made, api, agent, &heard, &mut screen) => {
                    shown.map(|()| screen.last_line("", heard.get()))
                }
                _ = ended => Ok(screen.last_line("The server has ended early. ", heard.get())),
                () = interrupted.wait() => Ok(screen.last_line("Interrupted. ", heard.get())),
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

    /// Subscribes, lets the calls begin and prints what comes; ends only with `--once`, when all calls have.
    async fn show(
        &self,
        made: &Made,
        api: SocketAddr,
        agent: SocketAddr,
        heard: &Rc<Cell<usize>>,
        screen: &mut Screen<'_, impl Write>,
    ) -> anyhow::Result<()> {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let hook = listener.local_addr()?;
        let (sender, mut arrivals) = mpsc::unbounded_channel();
        tokio::spawn(axum::serve(listener, receiver::router(sender, self.seed)).into_future());

        let login = Login {
            server: format!("http://{api}"),
            client_id: made.login.client_id.clone(),
            client_secret: made.login.client_secret.clone(),
            jwt: made.login.jwt.clone(),
        };
        let tls = Arc::new(webhook::tls()?);
        let client = Client::new(login.clone(), (*tls).clone());
        wait_until_ready(&client).await?;
        let token = client.log_in().await.map_err(Failure::into_error)?;
        let delivery = json!({"transportType": "WebHook", "address": format!("http://{hook}/")});
        let body = json!({"eventFilters": [FILTER], "deliveryMode": delivery}).to_string();
        let subscribed = client.call(&token, Method::POST, "/restapi/v1.0/subscription", body).await;
        subscribed.map_err(Failure::into_error)?;

        let filters = [FILTER.to_owned()];
        let mut counted = Notifications(heard.clone());
        let (subscribed, mut may_begin) = mpsc::unbounded_channel();
        let beside =
            Listener::new(Client::new(login, (*tls).clone()), tls, &filters, &mut counted, move || {
                subscribed.send(()).ok(); // told once, and again after each connection
            });
        let mut beside = std::pin::pin!(beside.listen());
        tokio::select! {
            ended = &mut beside => ended?,
            _ = may_begin.recv() => {}
        }
        screen.say(&format!(
            "Console       http://{api}/console/#token={}\n\
             Server        http://{api}, with its data in a temporary directory (development profile)\n\
             Webhook       http://{hook}/ gets {FILTER}, and fails now and then\n\
             WebSocket     a second subscriber gets the same\n\
             Phones        of a firm of ten send SIP in HEP to {agent} (UDP)\n\
             Your own app  client_id      {}\n              client_secret  {}\n              jwt            {}\n\
             Admin token   {}\n",
            made.admin_token, made.login.client_id, made.login.client_secret, made.login.jwt, made.admin_token
        ))?;
        if !self.once {
            screen.say("It goes on until you press Ctrl-C, and leaves nothing behind.\n")?;
        }

        // The phones stop when this is dropped, in whatever way.
        let (_going_on, stop) = std::sync::mpsc::channel();
        let (begun, mut titles) = mpsc::unbounded_channel();
        let (phones, speed) = (Phones::new(self.seed, self.once), self.speed);
        let phones = thread::Builder::new().name("phones".into()).spawn(move || {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
            socket.connect(agent)?;
            phones::send(phones, &socket, speed, &stop, |title| {
                begun.send(title).ok(); // nobody looks any more
            })
        })?;
        let (mut calling, mut last) = (true, clock::now());
        loop {
            let all = !calling && screen.calls_have_ended(Phones::sessions_of_a_round());
            if all && heard.get() >= screen.notifications {
                break;
            }
            ensure!(
                calling || last.elapsed() < PATIENCE,
                "no notification came for {} s, and {} had; please report it, with what --format json prints",
                PATIENCE.as_secs(),
                screen.notifications
            );
            tokio::select! {
                title = titles.recv(), if calling => if let Some(title) = title {
                    screen.begun(&title)?;
                } else {
                    (calling, last) = (false, clock::now());
                },
                arrival = arrivals.recv() => {
                    last = clock::now();
                    match arrival.context("the receiver has ended")? {
                        Arrival::Notification(body) => screen.notification(&body)?,
                        Arrival::Refused(status) => screen.refused(status)?,
                    }
                }
                ended = &mut beside => return ended,
                () = tokio::time::sleep(PAUSE), if !calling => {}
            }
        }
        phones.join().map_err(|_| anyhow!("the phones have panicked; please report it"))?
    }
}

/// The settings of the server; what is not here is as it is by default.
fn configuration(api: SocketAddr) -> String {
    format!(
        "[server]\npublic_url = \"http://{api}\"\n[hep]\nlisten = \"\"\n[directory]\nfile = \"directory.toml\"\n\
         [log]\nlevel = \"error\"\n"
    )
}

async fn wait_until_ready(client: &Client) -> anyhow::Result<()> {
    let deadline = clock::now() + PATIENCE;
    while !client.is_ready().await {
        ensure!(clock::now() < deadline, "the server was not ready after {} s", PATIENCE.as_secs());
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

/// Counts notifications: after each, what has been written is flushed.
struct Notifications(Rc<Cell<usize>>);

impl Write for Notifications {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.set(self.0.get() + 1);
        Ok(())
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
