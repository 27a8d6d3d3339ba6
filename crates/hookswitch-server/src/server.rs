//! The server as a process: starts the parts in their order, and stops them in the other.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener as StdTcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, Weak};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use axum::Router;
use hookswitch_core::directory::{Account, Directory};
use hookswitch_model::AccountId;
use hookswitch_signal::switch::Inventory;
use hookswitch_store::{CallIndex, Engine, Nats, Options, Partition, Settings, Store, Wanted, WriterThread};
use listenfd::ListenFd;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use crate::auth::{ADMIN_TOKEN, APPLICATION, OAuth, People};
use crate::call_changes::CallChanges;
use crate::cluster::{self, Identity, Lanes, Member, Membership, Switch, Work};
use crate::config::{Config, Listen, MissedCalls};
use crate::connection_limits::ConnectionLimits;
use crate::control::Control;
use crate::deliver::{self, Deliverer};
use crate::intake::{Access, Gate, INTAKE_AHEAD, Intake};
use crate::rates::Rates;
use crate::redelivery::Redeliveries;
use crate::rights::Rights;
use crate::run::{EngineLoop, default_account};
use crate::scans::Scans;
use crate::secret::Key;
use crate::source::hep::{stream, udp};
use crate::source::inventory;
use crate::source::switch::{Callers, Found};
use crate::source::switches::Switches;
use crate::subscriptions::Subscriptions;
use crate::telemetry::{self, Metrics};
use crate::webhook::Webhooks;
use crate::websocket::Gateway;
use crate::{clock, listener};

/// Parts that a server hands to the HTTP layer.
pub struct Parts {
    /// The settings that the server was started with.
    pub config: Config,
    /// The account of calls and signals that name none.
    pub account: AccountId,
    /// The file of the settings.
    pub path: PathBuf,
    /// Reads the files again.
    pub reload: Box<dyn Fn() -> anyhow::Result<()> + Send + Sync>,
    /// Told when the server stops.
    pub stop: watch::Receiver<bool>,
    /// The logs and documents.
    pub store: Store,
    /// What calls are searched by.
    pub index: CallIndex,
    /// All counters.
    pub metrics: Arc<Metrics>,
    /// Intake of posted signals.
    pub intake: SyncSender<Intake>,
    /// Rights of users and applications.
    pub oauth: Arc<OAuth>,
    /// The directory that holds.
    pub people: People,
    /// The subscriptions.
    pub subscriptions: Arc<Subscriptions>,
    /// The changes of the calls of extensions.
    pub changes: Arc<CallChanges>,
    /// Client that delivers to receivers.
    pub webhooks: Webhooks,
    /// Events that are sent again on request.
    pub redeliveries: Arc<Redeliveries>,
    /// What acts on calls.
    pub control: Arc<Control>,
    /// Turns of requests that read much of the log.
    pub scans: Scans,
    /// WebSockets and streams.
    pub gateway: Arc<Gateway>,
    /// Figures of the last minutes.
    pub rates: Arc<Rates>,
    /// The nodes that share the work; none of a server that is alone.
    pub cluster: Option<Arc<Membership>>,
    /// By which clients reach the server, without a slash at its end.
    pub public_url: String,
    /// For whom the server runs.
    pub profile: Profile,
}

/// For whom a server runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// For others.
    Production,
    /// For development: webhooks may go to http addresses of this machine.
    Development,
    /// For tests: as for development, and its clock can be moved on.
    Ephemeral,
}

/// Told when the settings were read again, with the account of calls that name none.
pub type Reloaded = Box<dyn Fn(&Config, AccountId) + Send + Sync>;

/// HTTP layer of a server.
pub struct Http {
    /// All resources.
    pub router: Router,
    /// Told when the settings were read again.
    pub reloaded: Reloaded,
}

/// Runs the server of a configuration until it is told to stop.
///
/// # Errors
/// A sentence that names what cannot be used, and the fix.
pub fn run(path: &Path, profile: Profile, http: impl FnOnce(Parts) -> Http) -> anyhow::Result<()> {
    let (_never, told) = oneshot::channel();
    serve(path, profile, Sockets::inherited(), told, http)
}

/// The same on sockets that are open already, and also until `told` to stop.
///
/// # Errors
/// As [`run`].
pub fn serve(
    path: &Path,
    profile: Profile,
    mut sockets: Sockets,
    told: oneshot::Receiver<()>,
    answers: impl FnOnce(Parts) -> Http,
) -> anyhow::Result<()> {
    let started = clock::now();
    let config = Config::load(path)?;
    telemetry::start_log(&config.log)?;
    let dev = profile != Profile::Production;
    if dev {
        tracing::warn!("DEVELOPMENT PROFILE: webhooks may go to http addresses of this machine");
    }
    let descriptors = raise_descriptors();
    let settings = settings(&config)?;
    let metrics = Metrics::new();
    let options = Options {
        durability: config.store.durability,
        partitions: config.partitions(),
        is_copy: false,
        signals_kept: config.store.signals_kept.0,
        events_kept: config.store.events_kept.0,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let (store, writer) = match config.store.engine {
        Engine::Sqlite => Store::open(&config.store.directory, options, metrics.store.clone())?,
        Engine::Nats => runtime.block_on(join(&config, options, metrics.store.clone()))?,
    };
    let (index, indexing) = store.index_calls()?;
    let (intake, inputs) = sync_channel(INTAKE_AHEAD);
    let (divided, membership) = if store.nats().is_some() {
        let spool = config.store.directory.join("spool");
        let lanes = Work::lanes(&spool, store.partitions(), config.cluster.spool_bytes, &metrics);
        let lanes = lanes.with_context(|| format!("cannot use the spool {}", spool.display()))?;
        let shared = Arc::new(Mutex::new(settings.clone()));
        (ClusterParts::Lanes(lanes, shared), Some(Arc::new(Membership::new(config.cluster.name()))))
    } else {
        let every = config.store.snapshot_every.0;
        let machine = EngineLoop::restore(&store, metrics.clone(), &settings, every)?;
        (ClusterParts::Alone(Box::new(machine)), None)
    };
    warn_of_no_credentials(&store, &config.store.directory, path)?;
    let account = default_account(&settings);
    let access = Arc::new(RwLock::new(Arc::new(Access::of(&config, account, &metrics.sources))));
    let people: People = Arc::new(RwLock::new(Arc::new(people(&settings)?)));
    let key = Key::load(&config.oauth.key_file)?;
    let stop_udp = Arc::new(AtomicBool::new(false));

    let http = sockets.listener(Listen(Some(config.server.listen)), "HTTP", "server.listen")?;
    let http = http.context("server.listen is empty; give an address")?;
    let public_url = config.public_url(http.local_addr()?);
    let oauth = OAuth::new(store.clone(), key.clone(), people.clone(), &config.oauth)?;
    let tcp = sockets.listener(config.hep.listen, "HEP over TCP", "hep.listen")?;
    let tls = sockets.listener(config.hep.tls_listen, "HEP over TLS", "hep.tls_listen")?;
    let tls = match tls {
        None => None,
        Some(listener) => Some((listener, stream::tls(&config.hep.tls_certificate, &config.hep.tls_key)?)),
    };
    let mut switch_listeners = BTreeMap::new();
    for (switch, section) in config.switches.sections() {
        let (name, what) = (switch.adapter().name(), switch.adapter().words().protocol);
        let listener = sockets.listener(section.listen, what, &format!("{name}.listen"))?;
        switch_listeners.extend(listener.map(|listener| (switch, listener)));
    }
    let socket = sockets.udp.take();
    let socket = match (socket, config.hep.listen.0) {
        (Some(socket), _) => {
            udp::prepare(&socket, config.hep.receive_buffer_bytes)?;
            Some(socket)
        }
        (None, Some(address)) => Some(udp::bind(address, config.hep.receive_buffer_bytes)?),
        (None, None) => None,
    };
    let (running, mut ended) = oneshot::channel::<()>();
    let lanes = match &divided {
        ClusterParts::Alone(_) => None,
        ClusterParts::Lanes(lanes, settings) => Some((lanes.clone(), settings.clone())),
    };
    let run: Box<dyn FnOnce() + Send> = match divided {
        ClusterParts::Alone(machine) => Box::new(move || machine.run(&inputs)),
        ClusterParts::Lanes(lanes, settings) => {
            let router = cluster::Router::new(store.clone(), runtime.handle().clone(), lanes, settings);
            Box::new(move || router.run(&inputs))
        }
    };
    let run = move || {
        let _running = running; // dropped at the end, also by a panic
        run();
    };
    let machine = thread::Builder::new().name("machine".into()).spawn(run)?;
    let udp_thread = match socket {
        None => None,
        Some(socket) => {
            let address = socket.local_addr()?;
            tracing::info!(%address, what = "HEP over UDP", "listening");
            let gate = Gate::new(access.clone(), metrics.frames.clone());
            let (intake, metrics, stop) = (intake.clone(), metrics.clone(), stop_udp.clone());
            let run = move || udp::run(&socket, gate, &intake, &metrics, &stop);
            Some(thread::Builder::new().name("hep-udp".into()).spawn(run)?)
        }
    };
    let stop = watch::Sender::new(false);
    let gate = Gate::new(access.clone(), metrics.frames.clone());
    let (http_max, per_host_max, hep_max) = shares(descriptors, config.hep.connections_max);
    let limits = ConnectionLimits::new("HTTP", http_max, per_host_max);
    let streams = stream::Listener::new(gate, intake.clone(), metrics.clone(), hep_max);
    let callers = Callers::of(&config.switches, &metrics);
    let control = Arc::new(Control::new(store.clone(), intake.clone(), config.limits.actions_per_minute));
    let runs_on = runtime.handle().clone();
    let switches = Switches::new(runs_on, intake.clone(), metrics.clone(), callers.clone(), control.clone());
    let reread = Arc::new_cyclic(|itself| Reloader {
        itself: itself.clone(),
        switches,
        path: path.to_owned(),
        access,
        reloaded: OnceLock::new(),
        people: people.clone(),
        intake: intake.clone(),
        inventories: Mutex::default(),
        config: Mutex::new(Arc::new(config.clone())),
        metrics: metrics.clone(),
    });
    let reload = {
        let reread = reread.clone();
        Box::new(move || reread.run())
    };
    let webhooks = Webhooks::new(&config.webhooks, dev)?;
    let rights = Rights::of(&config.rights);
    let subscriptions =
        Subscriptions::load(store.clone(), key.clone(), config.webhooks.subscriptions_max, rights)?;
    let subscriptions = Arc::new(subscriptions);
    let sealing = key.clone();
    let policy = deliver::policy(&config.webhooks);
    let mut websocket = config.websocket.clone();
    websocket.recovery_time.0 = websocket.recovery_time.0.min(config.store.events_kept.0);
    let changes = CallChanges::new(store.clone());
    let gateway = Gateway::new(
        (store.clone(), changes.clone()),
        oauth.clone(),
        subscriptions.clone(),
        metrics.clone(),
        key,
        websocket,
        (&public_url, membership.clone()),
    );
    let rates = Arc::new(Rates::default());
    let scans = Scans::new();
    let redeliveries = Redeliveries::new(
        (store.clone(), changes.clone(), scans.clone()),
        sealing,
        subscriptions.clone(),
        webhooks.clone(),
    );
    let parts = Parts {
        config: config.clone(),
        account,
        path: path.to_owned(),
        reload,
        stop: stop.subscribe(),
        store: store.clone(),
        index,
        metrics: metrics.clone(),
        intake: intake.clone(),
        oauth: oauth.clone(),
        people,
        subscriptions: subscriptions.clone(),
        changes: changes.clone(),
        webhooks: webhooks.clone(),
        redeliveries: redeliveries.clone(),
        control,
        scans,
        gateway: gateway.clone(),
        rates: rates.clone(),
        cluster: membership.clone(),
        public_url: public_url.clone(),
        profile,
    };
    let Http { router, reloaded } = {
        let _in_runtime = runtime.enter();
        answers(parts)
    };
    reread.reloaded.set(reloaded).ok(); // it is set here alone
    gateway.serve_requests_by(router.clone());
    let grace = config.server.shutdown_grace.0;
    let outcome = runtime.block_on(async {
        tokio::spawn(rates.follow(metrics.clone(), stop.subscribe()));
        tokio::spawn(subscriptions.clone().follow_rights(oauth.follow_rights(), stop.subscribe()));
        let delivering = if let (Some((lanes, settings)), Some(membership), Some(nats)) =
            (&lanes, &membership, store.nats())
        {
            let identity = Identity {
                name: membership.name().to_owned(),
                url: public_url.clone(),
                partitions: store.partitions(),
                lease: config.cluster.lease.0,
            };
            let work = Work {
                store: store.clone(),
                nats: nats.clone(),
                membership: membership.clone(),
                lanes: lanes.clone(),
                settings: settings.clone(),
                snapshot_every: config.store.snapshot_every.0,
                subscriptions: subscriptions.clone(),
                changes,
                webhooks: webhooks.clone(),
                policy,
                redeliveries: redeliveries.clone(),
                switch: reread.clone().switch_for(store.partitions()),
                working: Mutex::default(),
                metrics: metrics.clone(),
            };
            tokio::spawn(subscriptions.clone().follow(stop.subscribe()));
            tokio::spawn(redeliveries.clone().follow(stop.subscribe()));
            tokio::spawn(gateway.clone().follow_others(stop.subscribe()));
            tokio::spawn(oauth.clone().follow(stop.subscribe()));
            DeliveryParts::Member(Member::start(identity, Arc::new(work)))
        } else {
            let partition = Partition::default();
            let commands = subscriptions.begin(partition).await?;
            let (deliverer, reports) = Deliverer::new(
                (store.clone(), changes),
                (partition, Arc::new(|| true)),
                subscriptions.clone(),
                webhooks.clone(),
                policy,
                metrics.clone(),
            );
            redeliveries.start(partition);
            DeliveryParts::Alone(tokio::spawn(deliverer.run(commands, reports, stop.subscribe())))
        };
        let following = tokio::spawn(gateway.clone().follow(stop.subscribe()));
        let serving = tokio::spawn(listener::serve(
            tokio_listener(http)?,
            router,
            (limits, metrics.http_refused.clone()),
            stop.subscribe(),
            grace,
        ));
        for (switch, listener) in switch_listeners {
            if let Some(callers) = callers.get(&switch) {
                tokio::spawn(callers.clone().serve(tokio_listener(listener)?, stop.subscribe()));
            }
        }
        if membership.is_some() {
            reread.switches.work_for(Vec::new(), store.partitions());
        }
        reread.switch(&config)?;
        if let Some(tcp) = tcp {
            let streams = streams.clone();
            tokio::spawn(streams.serve(tokio_listener(tcp)?, None, stop.subscribe()));
        }
        if let Some((tcp, tls)) = tls {
            tokio::spawn(streams.serve(tokio_listener(tcp)?, Some(tls), stop.subscribe()));
        }
        let outcome = wait(&reread, &mut ended, told, started).await;
        tracing::info!("stopping: what has come in is finished");
        stop_udp.store(true, Ordering::Relaxed);
        stop.send_replace(true);
        reread.switches.stop();
        following.await.ok(); // a panic in it is told by its own hook
        gateway.close(grace).await;
        serving.await.ok();
        match delivering {
            DeliveryParts::Alone(delivering) => {
                delivering.await.ok();
                redeliveries.close().await;
            }
            DeliveryParts::Member(mut member) => {
                member.leave(grace).await;
                redeliveries.close().await;
                // What listeners have read is divided, and goes to other nodes or to disk.
                let joined = tokio::task::spawn_blocking(move || join_udp(udp_thread));
                joined.await.ok();
                let last = intake.clone();
                let stopping = tokio::task::spawn_blocking(move || last.send(Intake::Stop).is_ok());
                stopping.await.ok();
                ended.await.ok(); // it tells by being dropped
                member.close().await;
                return outcome;
            }
        }
        join_udp(udp_thread);
        outcome
    });
    // The machine may be waiting for a disk that refuses; the writer gives up then, and so does it.
    drop(reread);
    let closing = thread::spawn(move || intake.send(Intake::Stop).is_ok());
    runtime.shutdown_timeout(grace);
    writer.close(store);
    if machine.join().is_err() {
        tracing::error!("the machine has panicked; what it held is not on disk");
    }
    closing.join().ok();
    indexing.join().ok(); // a panic in it is told by its own hook
    tracing::info!("stopped");
    outcome
}

/// Says that nobody can log in, if the store has no admin token or no application: those that `init` has printed are
/// good in its own store alone.
fn warn_of_no_credentials(store: &Store, directory: &Path, config: &Path) -> anyhow::Result<()> {
    let is_empty = |kind| store.read(|reader| Ok(reader.documents(kind)?.is_empty()));
    let (directory, config) = (directory.display(), config.display());
    let advice = |command: &str| {
        format!(
            "what `hookswitch init` has printed for another store is not good here; stop the server and make new ones \
             with `hookswitch {command} --config {config}`"
        )
    };
    if is_empty(ADMIN_TOKEN)? {
        tracing::warn!("the store in {directory} has no admin token; {}", advice("token create"));
    }
    if is_empty(APPLICATION)? {
        tracing::warn!("the store in {directory} has no application; {}", advice("user create 101 --admin"));
    }
    Ok(())
}

/// Joins the cluster that a configuration names.
async fn join(
    config: &Config,
    options: Options,
    metrics: hookswitch_store::Metrics,
) -> anyhow::Result<(Store, WriterThread)> {
    let settings = config.store_settings();
    let nats = Nats::connect(&settings.nats, &Wanted::of(&settings)).await?;
    Box::pin(Store::join(&settings.directory, options, nats, metrics)).await
}

/// Destination of inputs: one loop, or a cluster's partitions.
enum ClusterParts {
    /// To the one machine of a server alone.
    Alone(Box<EngineLoop>),
    /// To the lanes of the partitions of a cluster, with the settings that hold.
    Lanes(Lanes, Arc<Mutex<Settings>>),
}

/// Deliverers of a server.
enum DeliveryParts {
    Alone(JoinHandle<()>),
    Member(Member),
}

fn join_udp(thread: Option<thread::JoinHandle<()>>) {
    if thread.is_some_and(|thread| thread.join().is_err()) {
        tracing::error!("the HEP thread has panicked");
    }
}

/// Waits for the signal to stop, and reads the configuration again at each SIGHUP.
///
/// # Errors
/// If the machine has ended: what it held is not in the log, so a start from the log is sound.
async fn wait(
    reread: &Reloader,
    ended: &mut oneshot::Receiver<()>,
    mut told: oneshot::Receiver<()>,
    started: Instant,
) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    // Not before: whoever reads this may send a signal at once.
    tracing::info!(milliseconds = started.elapsed().as_millis() as u64, "ready");
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            _ = &mut told => return Ok(()),
            _ = &mut *ended => anyhow::bail!("the machine has ended; its log says why; start the server again"),
            _ = hangup.recv() => match reread.run() {
                Ok(()) => tracing::info!("sources, ingest keys, directory and policy are read again"),
                Err(error) => tracing::error!("nothing has changed: {error:#}"),
            },
        }
    }
}

/// Files that SIGHUP reads again.
struct Reloader {
    itself: Weak<Reloader>,
    path: PathBuf,
    access: Arc<RwLock<Arc<Access>>>,
    /// Files that the HTTP layer shows as read again.
    reloaded: OnceLock<Reloaded>,
    people: People,
    intake: SyncSender<Intake>,
    switches: Switches,
    /// Inventories of switches by the names of the sources, and the accounts of those.
    inventories: Mutex<BTreeMap<String, (AccountId, Inventory)>>,
    /// The configuration that was read last.
    config: Mutex<Arc<Config>>,
    metrics: Arc<Metrics>,
}

impl Reloader {
    /// Fills the directory with what a switch says of itself.
    fn fill(&self, source: &str, account: AccountId, inventory: Inventory) {
        let mut inventories = self.inventories.lock().unwrap_or_else(PoisonError::into_inner);
        let known = inventories.insert(source.to_owned(), (account, inventory));
        let same = known.as_ref() == inventories.get(source);
        drop(inventories);
        if !same && let Err(error) = self.run() {
            tracing::error!(source, "the directory is not filled from the switch: {error:#}");
        }
    }

    /// The settings of the files, with what switches fill in.
    fn settings(&self, config: &Config) -> anyhow::Result<Settings> {
        let mut settings = settings(config)?;
        let inventories = self.inventories.lock().unwrap_or_else(PoisonError::into_inner);
        for (source, (account, inventory)) in inventories.iter() {
            let Some(directory) = &mut settings.directory else { continue };
            match inventory::fill(inventory, directory, account.as_u64()) {
                Ok(filled) => *directory = filled,
                Err(error) => {
                    tracing::error!(source, "the directory is not filled from the switch: {error:#}");
                }
            }
        }
        Ok(settings)
    }

    /// Makes the connections to switches that the configuration lists, and ends others.
    fn switch(&self, config: &Config) -> anyhow::Result<()> {
        let itself = self.itself.clone();
        let found: Found = Arc::new(move |name, account, inventory| {
            if let Some(itself) = itself.upgrade() {
                itself.fill(name, account, inventory);
            }
        });
        self.switches.update(config, default_account(&self.settings(config)?), &found)
    }

    /// Returns what connects to the switches of the partitions that this node works for.
    fn switch_for(self: Arc<Self>, count: u8) -> Switch {
        Box::new(move |partitions| {
            self.switches.work_for(partitions, count);
            let config = self.config.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if let Err(error) = self.switch(&config) {
                tracing::error!("the connections to switches stay as they are: {error:#}");
            }
        })
    }

    /// Takes over the sources, the keys, the directory and the policy as they are in the files.
    fn run(&self) -> anyhow::Result<()> {
        let config = Config::load(&self.path)?;
        let settings = self.settings(&config)?;
        let account = default_account(&settings);
        let people = people(&settings)?;
        self.switch(&config)?;
        self.intake
            .try_send(Intake::Settings(Box::new(settings)))
            .map_err(|_| anyhow::anyhow!("the server is too busy; send SIGHUP again"))?;
        if let Ok(mut access) = self.access.write() {
            *access = Arc::new(Access::of(&config, account, &self.metrics.sources));
        }
        if let Some(reloaded) = self.reloaded.get() {
            reloaded(&config, account);
        }
        if let Ok(mut directory) = self.people.write() {
            *directory = Arc::new(people);
        }
        *self.config.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
        Ok(())
    }
}

/// Time that it may take to find out who has a port.
const ASKED_WITHIN: Duration = Duration::from_millis(500);

/// Returns `true` if a Hookswitch answers HTTP at an address.
fn is_hookswitch(address: SocketAddr) -> bool {
    let asked = || -> std::io::Result<String> {
        let mut stream = std::net::TcpStream::connect_timeout(&address, ASKED_WITHIN)?;
        stream.set_read_timeout(Some(ASKED_WITHIN))?;
        stream.set_write_timeout(Some(ASKED_WITHIN))?;
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = Vec::new();
        stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    asked().is_ok_and(|answer| answer.contains("{\"status\":\"alive\"}"))
}

/// The most that is read of such an answer, in bytes.
const ANSWER_BYTES_MAX: u64 = 4096;

/// Takes as many file descriptors as the process may have, each connection is one, and gives how many that are.
fn raise_descriptors() -> usize {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
    let limit = getrlimit(Resource::RLIMIT_NOFILE).map_or(DESCRIPTORS, |(soft, _)| soft);
    usize::try_from(limit).unwrap_or(usize::MAX)
}

/// The descriptors of a process whose limit cannot be read.
const DESCRIPTORS: u64 = 1024;

/// Returns the number of descriptors that connections of HTTP may take, in all and of one host, and how many those of HEP, which
/// wants so many at most. The rest is for what the server opens itself: webhooks and the store.
fn shares(descriptors: usize, hep_wanted: usize) -> (usize, usize, usize) {
    let own = (descriptors / 8).clamp(128, 4096);
    let hep = hep_wanted.min(descriptors / 4).max(1);
    let http = descriptors.saturating_sub(own + hep).max(1);
    (http, (http / 4 * 3).max(1), hep)
}

/// The settings of the machine, as the files have them.
pub fn settings(config: &Config) -> anyhow::Result<Settings> {
    let file = &config.directory.file;
    let name = file.display();
    let text = if file.as_os_str().is_empty() {
        None
    } else {
        let text = std::fs::read_to_string(file);
        Some(text.with_context(|| format!("cannot read {name}; set directory.file to a directory file"))?)
    };
    let directory = match &text {
        None => None,
        Some(text) => Some(Directory::parse(text).map_err(|error| anyhow::anyhow!("{name}, {error}"))?),
    };
    let account = match config.directory.account {
        0 => directory
            .as_ref()
            .and_then(|all| all.accounts().next().map(Account::id))
            .unwrap_or(crate::config::ACCOUNT),
        id => AccountId::new(id),
    };
    let policy = &config.policy;
    Ok(Settings {
        directory: text,
        account: account.as_u64(),
        answered_elsewhere_is_missed: policy.missed_calls == MissedCalls::AnsweredElsewhereIsMissed,
        explicit_reasons: policy.explicit_reasons,
        join_by_numbers: policy.join_by_numbers,
        sessions_max: policy.sessions_max,
        late_requests_ms: policy.late_requests.0.as_millis().try_into().unwrap_or(u64::MAX),
    })
}

/// The directory of some settings.
fn people(settings: &Settings) -> anyhow::Result<Directory> {
    match &settings.directory {
        Some(text) => Directory::parse(text).map_err(|error| anyhow::anyhow!("the directory, {error}")),
        None => Ok(Directory::built_in(AccountId::new(settings.account))),
    }
}

/// Sockets that are open before the server starts, as by socket activation: of TCP that of HTTP, of HEP
/// and of HEP over TLS, in this order; of UDP that of HEP.
pub struct Sockets {
    tcp: std::vec::IntoIter<StdTcpListener>,
    udp: Option<UdpSocket>,
}

impl Sockets {
    /// One for HTTP, and one for HEP over UDP.
    pub fn new(http: StdTcpListener, hep: UdpSocket) -> Self {
        Self { tcp: vec![http].into_iter(), udp: Some(hep) }
    }

    /// Those that the process was started with.
    fn inherited() -> Self {
        let mut inherited = ListenFd::from_env();
        let (mut tcp, mut udp) = (Vec::new(), None);
        for index in 0..inherited.len() {
            match inherited.take_tcp_listener(index) {
                Ok(Some(listener)) => tcp.push(listener),
                _ => udp = udp.or(inherited.take_udp_socket(index).ok().flatten()),
            }
        }
        Self { tcp: tcp.into_iter(), udp }
    }

    /// The next socket that was inherited, else a new one, if an address is given.
    fn listener(&mut self, listen: Listen, what: &str, key: &str) -> anyhow::Result<Option<StdTcpListener>> {
        let Some(address) = listen.0 else { return Ok(None) };
        let opened = self.tcp.next().map_or_else(|| StdTcpListener::bind(address), Ok);
        let opened = opened.with_context(|| {
            let who = if is_hookswitch(address) {
                "; another Hookswitch listens there: stop it,"
            } else {
                "; free the port,"
            };
            format!("cannot listen for {what} on TCP {address}{who} or set {key}")
        })?;
        tracing::info!(address = %opened.local_addr()?, what, "listening");
        Ok(Some(opened))
    }
}

fn tokio_listener(listener: StdTcpListener) -> std::io::Result<TcpListener> {
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_to_the_server_itself() {
        for descriptors in [256, 1024, 20_000, 1_048_576] {
            let (http, per_host, hep) = shares(descriptors, 1000);
            assert!(http + hep <= descriptors - descriptors.min(128) / 2, "{descriptors}: {http} {hep}");
            assert!(per_host < http && hep <= 1000, "{descriptors}");
        }
        assert_eq!(shares(1024, 1000), (640, 480, 256));
        assert_eq!(shares(20_000, 1000), (16_500, 12_375, 1000));
    }
}
