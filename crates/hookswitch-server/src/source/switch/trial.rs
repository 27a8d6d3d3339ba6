//! A log-in that is tried: what `hookswitch doctor` knows of a switch before the server does.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use hookswitch_signal::adapters::Switch;
use hookswitch_signal::switch::{ProtocolEvent, Refusal, SwitchConnection, Transmit};
use tokio::time::{sleep_until, timeout};

use super::{SwitchEndpoint, carrier, carry, cut_log_in};
use crate::clock;
use crate::config::SwitchSource;

/// Time that the switch may take to answer what it is asked behind the log-in.
const ANSWERS_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes that are read at once at most.
const READ_BYTES: usize = 64 * 1024;

/// Logs in to a switch as the server does, asks what the server asks, and leaves. What is said of calls is passed
/// over; what the switch does not answer is given back.
///
/// # Errors
/// Why the server would have no connection: nobody answers, the log-in is refused, cut or too slow, or what is
/// asked is not answered in time.
pub async fn try_connection(switch: Switch, settings: &SwitchSource) -> anyhow::Result<Vec<Refusal>> {
    let endpoint = SwitchEndpoint::new(&settings.name, &settings.address, settings.tls_ca.as_deref())?;
    let mut connection = SwitchConnection::new(switch.adapter().connect(&settings.settings())?);
    let stream = endpoint.connect().await?;
    let mut carrier = carry(stream, &endpoint, &mut connection).await?;
    let endpoint = Arc::new(endpoint);
    let mut refusals = Vec::new();
    let (begun, mut buffer) = (clock::now(), vec![0; READ_BYTES]);
    let since = || clock::now().saturating_duration_since(begun);
    let mut answers_until = None;
    loop {
        while let Some(event) = connection.poll_event(&mut Vec::new(), since())? {
            match event {
                ProtocolEvent::LoggedIn => {
                    answers_until = Some(clock::now() + ANSWERS_TIMEOUT);
                    if settings.control {
                        connection.check_rights();
                    }
                }
                ProtocolEvent::Refused(refusal) => refusals.push(refusal),
                _ => {}
            }
        }
        while let Some(transmit) = connection.poll_transmit(since()) {
            match transmit {
                Transmit::Bytes(bytes) => carrier.write(bytes).await?,
                Transmit::Ping => carrier.ping().await?,
                Transmit::Request(asked) => match carrier::request(&endpoint, &asked).await {
                    Ok(body) => connection.handle_answer(&asked, Ok(&body)),
                    Err(error) => connection.handle_answer(&asked, Err(&format!("{error:#}"))),
                },
            }
        }
        if connection.is_up() && connection.is_answered() {
            return Ok(refusals);
        }
        let read = async {
            match answers_until {
                Some(until) => {
                    let left = until.saturating_duration_since(clock::now());
                    let read = timeout(left, carrier.read(&mut buffer)).await;
                    read.context("the switch lets us in, and does not answer what it is asked")?
                }
                None => carrier.read(&mut buffer).await,
            }
        };
        tokio::select! {
            read = read => {
                let read = read.map_err(|error| cut_log_in(error, &connection))?;
                connection.handle_input(&buffer[..read], since());
            }
            () = sleep_until((begun + connection.poll_timeout()).into()), if !connection.is_up() => {
                connection.handle_timeout(since())?;
            }
        }
    }
}
