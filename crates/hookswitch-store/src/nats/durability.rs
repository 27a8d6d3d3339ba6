//! Worth of an acknowledgement of NATS: whether all its servers sync to disk before they send one.
//!
//! The protocol of clients does not tell, so each server's monitoring endpoint is asked: `/varz` has the
//! configuration of JetStream, and of how many servers the cluster is.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::Uri;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;

use crate::settings::{Durability, NatsSettings as Settings};

/// The first release that can be told to sync always.
const SYNCS_SINCE: (u32, u32) = (2, 10);

/// The longest answer of a server; they are some kilobytes.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// Time that a server may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Part of a server's `/varz`, of which there is much more.
#[derive(Debug, Deserialize)]
struct Varz {
    server_id: String,
    #[serde(default)]
    server_name: String,
    #[serde(default)]
    version: String,
    #[serde(default)]
    jetstream: JetStream,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct JetStream {
    config: Option<JetStreamConfig>,
    meta: Option<MetaCluster>,
}

#[derive(Debug, Deserialize)]
struct JetStreamConfig {
    #[serde(default)]
    sync_always: bool,
}

#[derive(Debug, Deserialize)]
struct MetaCluster {
    #[serde(default)]
    cluster_size: usize,
}

/// A setting that costs something when a machine fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weakness {
    /// A sentence on how it is set.
    pub found: &'static str,
    /// A sentence on how to set it better.
    pub fix: &'static str,
}

/// The worth of an acknowledgement of one server.
const ONE_REPLICA: Weakness = Weakness {
    found: "one NATS server keeps each message, and acknowledges before it has synced: a power loss there may cost the last \
            two minutes (its sync_interval), a lost disk all",
    fix: "set nats.replicas = 3, or store.durability = \"strict\"",
};

/// Checks that an acknowledgement is worth what was asked for; `version` and `id` are those of the server
/// that this node is connected to. Gives what was not asked for and would be better.
///
/// # Errors
/// A sentence that names the server that does not give it, and the fix.
pub(super) async fn check(
    durability: Durability,
    settings: &Settings,
    version: &str,
    id: &str,
) -> anyhow::Result<Option<Weakness>> {
    if durability == Durability::Relaxed {
        return Ok((settings.replicas == 1).then_some(ONE_REPLICA));
    }
    check_version(version)?;
    ensure!(
        !settings.monitors.is_empty(),
        "store.durability is \"strict\", and nothing tells whether NATS syncs to disk before it acknowledges; set \
         nats.monitors to the monitoring addresses of all its servers, such as [\"http://127.0.0.1:8222\"]"
    );
    let client = Client::builder(TokioExecutor::new()).build_http();
    let mut answers = Vec::new();
    for monitor in &settings.monitors {
        let answer = ask(&client, monitor).await.with_context(|| {
            format!(
                "cannot ask the monitor {monitor} whether its server syncs to disk before it acknowledges; start that \
                 server with http: \"HOST:8222\", or fix nats.monitors"
            )
        })?;
        answers.push((monitor.as_str(), answer));
    }
    check_answers(&answers, id)?;
    Ok(None)
}

fn check_version(version: &str) -> anyhow::Result<()> {
    let mut numbers = version.split(['.', '-']).map(|number| number.parse::<u32>().unwrap_or(0));
    let release = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    ensure!(
        release >= SYNCS_SINCE,
        "store.durability is \"strict\", and NATS {version} acknowledges before it has synced to disk, and cannot be told \
         not to (that takes 2.10); set store.durability = \"relaxed\" with nats.replicas = 3, and read docs/cluster.md on \
         what that is worth"
    );
    Ok(())
}

async fn ask(client: &Client<HttpConnector, Empty<Bytes>>, monitor: &str) -> anyhow::Result<Varz> {
    let uri: Uri = format!("{}/varz", monitor.trim_end_matches('/')).parse()?;
    let read = async {
        let answer = client.get(uri).await?;
        ensure!(answer.status().is_success(), "it answers {}", answer.status());
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| anyhow::anyhow!("its answer cannot be read: {error}"))?;
        serde_json::from_slice(&body.to_bytes()).context("its answer is not that of a nats-server")
    };
    tokio::time::timeout(ANSWER_WITHIN, read).await.context("it does not answer")?
}

/// Checks what all servers say: each must sync always, and none may be left out.
fn check_answers(answers: &[(&str, Varz)], connected: &str) -> anyhow::Result<()> {
    for (monitor, answer) in answers {
        let Varz { server_id, server_name, version, jetstream } = answer;
        let name = if server_name.is_empty() { server_id } else { server_name };
        // A server without JetStream keeps nothing.
        let Some(config) = &jetstream.config else { continue };
        ensure!(
            config.sync_always,
            "store.durability is \"strict\", and the NATS server {name} ({version}) at {monitor} acknowledges before it has \
             synced to disk; start it with jetstream {{ sync_interval: always }}, or set store.durability = \"relaxed\" and \
             read docs/cluster.md on what that is worth"
        );
    }
    let known: BTreeSet<&str> = answers.iter().map(|(_, answer)| &*answer.server_id).collect();
    ensure!(
        known.contains(connected),
        "nats.monitors leaves out the server that this node is connected to ({connected}); name the monitors of all servers"
    );
    let keeping: BTreeSet<&str> = answers
        .iter()
        .filter(|(_, answer)| answer.jetstream.config.is_some())
        .map(|(_, answer)| &*answer.server_id)
        .collect();
    let sizes = answers.iter().filter_map(|(_, answer)| answer.jetstream.meta.as_ref());
    let size = sizes.map(|meta| meta.cluster_size).max().unwrap_or(1);
    ensure!(
        keeping.len() >= size,
        "nats.monitors names {} of the {size} servers that keep messages; name the monitors of all",
        keeping.len()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::path::PathBuf;

    use super::*;

    /// A server's `/varz` on loopback, for as many requests as there are.
    fn monitor(id: &str, sync_always: bool, cluster_size: usize) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("it listens");
        let sync = if sync_always { r#", "sync_always": true"# } else { "" };
        let body = format!(
            r#"{{"server_id": "{id}", "server_name": "nats-{id}", "version": "2.11.4", "jetstream": {{"config":
            {{"max_memory": 1, "sync_interval": 120000000000{sync}}}, "meta": {{"name": "c", "cluster_size": {cluster_size}}}}}}}"#
        );
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let mut request = Vec::new();
                let mut part = [0; 1024];
                while !request.ends_with(b"\r\n\r\n") {
                    let read = stream.read(&mut part).unwrap_or(0);
                    if read == 0 {
                        break;
                    }
                    request.extend_from_slice(&part[..read]);
                }
                let head = if request.starts_with(b"GET /varz ") { "200 OK" } else { "404 Not Found" };
                let length = body.len();
                write!(
                    stream,
                    "HTTP/1.1 {head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
                )
                .ok();
            }
        });
        format!("http://{address}")
    }

    fn checked(durability: Durability, version: &str, id: &str, monitors: &[String]) -> Result<(), String> {
        let settings = Settings {
            servers: vec![],
            credentials: PathBuf::new(),
            tls_ca: PathBuf::new(),
            prefix: "test".into(),
            replicas: 3,
            connect_timeout: Duration::from_secs(1),
            monitors: monitors.to_vec(),
        };
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let checked = runtime.block_on(check(durability, &settings, version, id));
        checked.map(drop).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn strict_durability_is_refused_on_a_server_that_cannot_give_it() {
        let refused = checked(Durability::Strict, "2.9.10", "a", &[monitor("a", true, 1)]);
        assert!(refused.is_err_and(|error| error.contains("cannot be told not to")));
        assert_eq!(checked(Durability::Relaxed, "2.9.10", "a", &[]), Ok(()));
    }

    #[test]
    fn strict_durability_takes_all_servers_to_say_that_they_sync_always() {
        let [a, b, c] = ["a", "b", "c"].map(|id| monitor(id, true, 3));
        let strict = |monitors: &[&String]| {
            let monitors: Vec<String> = monitors.iter().map(|&monitor| monitor.clone()).collect();
            checked(Durability::Strict, "2.11.4", "a", &monitors)
        };
        assert_eq!(strict(&[&a, &b, &c]), Ok(()));
        let says = |monitors: &[&String], words: &str| {
            let error = strict(monitors).expect_err("it is refused");
            assert!(error.contains(words), "{error}");
        };
        says(&[], "set nats.monitors");
        says(&[&a, &b], "2 of the 3 servers");
        says(&[&a, &b, &b], "2 of the 3 servers");
        says(&[&b, &c], "leaves out the server that this node is connected to");
        let lax = monitor("c", false, 3);
        says(&[&a, &b, &lax], "nats-c (2.11.4)");
        says(&[&a, &b, &lax], "jetstream { sync_interval: always }");
        let other = format!("{a}/elsewhere");
        says(&[&a, &b, &other], "it answers 404");
        let gone = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let gone = format!("http://{}", gone.expect("a port that is free again"));
        says(&[&a, &b, &gone], "fix nats.monitors");
    }
}
