//! Calls and deliveries over time: how many there were in each of a number of equal spans.

use std::collections::BTreeMap;
use std::time::Duration;

use hookswitch_model::{AccountId, SubscriptionId, Timestamp};
use rusqlite::types::Value;
use rusqlite::{Connection, params, params_from_iter};

/// What is counted, and in which spans.
#[derive(Clone, Debug)]
pub struct FigureQuery {
    /// Whose calls; all without it.
    pub account: Option<AccountId>,
    /// Whose deliveries.
    pub subscriptions: Vec<SubscriptionId>,
    /// Time when the first span begins.
    pub from: Timestamp,
    /// Length of a span; at least a second.
    pub step: Duration,
    /// Number of spans.
    pub count: usize,
}

/// What was counted in a span.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Calls that began.
    pub calls: u64,
    /// Those of them that a party missed.
    pub missed: u64,
    /// Attempts that a receiver took.
    pub delivered: u64,
    /// All other attempts.
    pub failed: u64,
    /// How long after the event half, 95 % and 99 % of what was taken had been taken; none if nothing was.
    pub lag: Option<[Duration; 3]>,
}

/// The shares that are taken at the lags of [`Figures::lag`], in percent.
const SHARES: [usize; 3] = [50, 95, 99];

impl FigureQuery {
    /// The counts of each span, in their order.
    pub(super) fn read(&self, connection: &Connection) -> rusqlite::Result<Vec<Figures>> {
        let step = i64::try_from(self.step.as_micros()).unwrap_or(i64::MAX).max(1_000_000);
        let from = self.from.as_micros();
        let length = step.saturating_mul(i64::try_from(self.count).unwrap_or(i64::MAX));
        let to = from.saturating_add(length);
        let mut figures = vec![Figures::default(); self.count];
        self.read_calls(connection, (from, to, step), &mut figures)?;
        let mut lags: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
        let mut statement = connection.prepare_cached(
            "SELECT at, outcome, lag FROM attempts WHERE subscription = ? AND at >= ? AND at < ?",
        )?;
        for subscription in &self.subscriptions {
            let mut rows = statement.query(params![subscription.as_u128().to_be_bytes(), from, to])?;
            while let Some(row) = rows.next()? {
                let span = usize::try_from((row.get::<_, i64>(0)? - from) / step).unwrap_or_default();
                let Some(figures) = figures.get_mut(span) else { continue };
                if row.get_ref(1)?.as_str()? == "delivered" {
                    figures.delivered += 1;
                    let millis = row.get::<_, i64>(2)? / 1000;
                    lags.entry(span).or_default().push(u32::try_from(millis).unwrap_or(u32::MAX));
                } else {
                    figures.failed += 1;
                }
            }
        }
        for (span, mut lags) in lags {
            lags.sort_unstable();
            // The least lag at which so many of all had been taken.
            let at = |share: usize| lags[(lags.len() * share).div_ceil(100).max(1) - 1];
            if let Some(figures) = figures.get_mut(span) {
                figures.lag = Some(SHARES.map(|share| Duration::from_millis(at(share).into())));
            }
        }
        Ok(figures)
    }

    fn read_calls(
        &self,
        connection: &Connection,
        (from, to, step): (i64, i64, i64),
        figures: &mut [Figures],
    ) -> rusqlite::Result<()> {
        let mut values: Vec<Value> = vec![from.into(), step.into(), from.into(), to.into()];
        let of_account = match self.account {
            None => "",
            Some(account) => {
                values.push(account.as_u64().cast_signed().into());
                "AND account = ?"
            }
        };
        let mut statement = connection.prepare_cached(&format!(
            "SELECT (start - ?) / ? AS span, count(*), \
             sum(EXISTS (SELECT 1 FROM parties p WHERE p.call = c.number AND p.missed = 1)) \
             FROM calls c WHERE start >= ? AND start < ? {of_account} GROUP BY span"
        ))?;
        let mut rows = statement.query(params_from_iter(values))?;
        while let Some(row) = rows.next()? {
            let span = usize::try_from(row.get::<_, i64>(0)?).unwrap_or_default();
            if let Some(figures) = figures.get_mut(span) {
                figures.calls = row.get::<_, i64>(1)?.unsigned_abs();
                figures.missed = row.get::<_, i64>(2)?.unsigned_abs();
            }
        }
        Ok(())
    }
}
