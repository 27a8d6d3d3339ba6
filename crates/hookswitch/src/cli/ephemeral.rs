//! `hookswitch serve --ephemeral`: a server for a test, on free ports, with a store that goes away.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use hookswitch_server::config::Config;
use hookswitch_server::{Profile, Sockets, clock, webhook};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::client::{Client, Login};
use super::init;
use super::temporary::TemporaryDirectory;

/// Time that the server may take to start.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// Interval between checks whether it has.
const PAUSE: Duration = Duration::from_millis(10);

/// Settings by which the store would not be one of its own.
const NOT_TO_BE_SET: [&str; 2] = ["HOOKSWITCH_STORE__DIRECTORY", "HOOKSWITCH_STORE__ENGINE"];

/// Serves until told to stop; prints, and writes to a file, how the server is reached once it is ready.
pub(super) fn run(
    directory: Option<&Path>,
    ready_file: Option<&Path>,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    if let Some(name) = NOT_TO_BE_SET.into_iter().find(|name| std::env::var_os(name).is_some()) {
        bail!(
            "{name} is set, and a server with --ephemeral has a store of its own; run it with env -u {name}"
        );
    }
    let ready = ready_file.map(ReadyFile::new).transpose()?;
    let people = match directory {
        None => init::people(None),
        Some(file) => fs::read_to_string(file)
            .with_context(|| format!("cannot read {}; --directory names a directory file", file.display()))?,
    };
    let home = TemporaryDirectory::in_memory("ephemeral")?;
    let made = init::make(home.path(), &people, None)?;
    let path = home.write("hookswitch.toml", SETTINGS)?;
    let config = Config::load(&path)?;
    let http = TcpListener::bind(config.server.listen).with_context(|| {
        format!("cannot listen for HTTP on TCP {}; free the port, or set server.listen", config.server.listen)
    })?;
    let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let agents = config.hep.listen.0.unwrap_or(free);
    let hep = UdpSocket::bind(agents).with_context(|| {
        format!("cannot listen for HEP on UDP {agents}; free the port, or set hep.listen")
    })?;
    let (api, agents) = (http.local_addr()?, hep.local_addr()?);

    let (stop, told) = oneshot::channel();
    let serve = move || {
        hookswitch_server::serve(
            &path,
            Profile::Ephemeral,
            Sockets::new(http, hep),
            told,
            hookswitch_api::mount,
        )
    };
    let server = thread::Builder::new().name("server".into()).spawn(serve)?;
    let mut shown: Value = serde_json::to_value(&made)?;
    let url = config.public_url(api);
    shown["console"] = format!("{url}/console/#token={}", made.admin_token).into();
    shown["server"] = url.into();
    shown["hep"] = agents.to_string().into();
    shown["pid"] = json!(std::process::id());
    let told = wait_until_ready(api, || server.is_finished()).and_then(|is_ready| {
        if is_ready {
            writeln!(out, "{shown}")?;
            out.flush()?;
            ready.as_ref().map_or(Ok(()), |file| file.write(&shown.to_string()))?;
        }
        Ok(())
    });
    if told.is_ok() {
        let ended = server.join();
        drop(stop);
        return ended.map_err(|_| anyhow!("the server has panicked; please report what stands above"))?;
    }
    drop(stop);
    server.join().ok(); // what was wrong first is told
    told
}

/// The settings; what is not here is as it is by default, or as the environment says.
const SETTINGS: &str = "[server]\nlisten = \"127.0.0.1:0\"\n[hep]\nlisten = \"\"\n[store]\ndurability = \"relaxed\"\n\
                        [directory]\nfile = \"directory.toml\"\n[log]\nlevel = \"warn\"\n";

/// Waits until the server takes what comes in; false if it has ended.
fn wait_until_ready(api: SocketAddr, has_ended: impl Fn() -> bool) -> anyhow::Result<bool> {
    let host = match api.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        host => host,
    };
    let server = format!("http://{}", SocketAddr::from((host, api.port())));
    let (client_id, client_secret, jwt) = Default::default();
    let client = Client::new(Login { server, client_id, client_secret, jwt }, webhook::tls()?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let deadline = clock::now() + READY_WITHIN;
    while !has_ended() {
        if runtime.block_on(client.is_ready()) {
            return Ok(true);
        }
        if clock::now() > deadline {
            bail!("the server was not ready after {} s", READY_WITHIN.as_secs());
        }
        thread::sleep(PAUSE);
    }
    Ok(false)
}

/// The file that says how the server is reached, there as long as it is.
struct ReadyFile(PathBuf);

impl ReadyFile {
    /// Takes away what another server has left there.
    fn new(path: &Path) -> anyhow::Result<Self> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot replace {}", path.display()))
            }
            _ => Ok(Self(path.to_owned())),
        }
    }

    /// Writes it whole: who sees it can read it.
    fn write(&self, text: &str) -> anyhow::Result<()> {
        let path = &self.0;
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".new");
        let unready = path.with_file_name(name);
        let write = || {
            fs::remove_file(&unready).or_else(|error| match error.kind() {
                std::io::ErrorKind::NotFound => Ok(()),
                _ => Err(error),
            })?;
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unready)?;
            writeln!(file, "{text}")?;
            fs::rename(&unready, path)
        };
        write().with_context(|| format!("cannot write {}", path.display()))
    }
}

impl Drop for ReadyFile {
    fn drop(&mut self) {
        fs::remove_file(&self.0).ok(); // it may never have been written
    }
}
