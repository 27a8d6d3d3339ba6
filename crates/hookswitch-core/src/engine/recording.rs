//! Call that a recording session records (SIPREC, RFC 7866).

use hookswitch_model::{AccountId, RecordingSession, Signal};
use smallvec::SmallVec;

use super::Engine;
use crate::directory::Account;
use crate::session::{Context, PartyIndex, SessionKey};

/// The parties of a session who are recorded.
type Recorded = (SessionKey, SmallVec<[PartyIndex; 2]>);

impl Engine {
    /// A recording session runs, or does not any more. What it does not name clearly is told of nobody.
    pub(super) fn recording(&mut self, signal: &Signal, recording: &RecordingSession) -> Option<SessionKey> {
        let ctx = Context::of(signal, self.policy);
        let Some((key, parties)) = self.recorded(signal.account, recording, &ctx) else {
            self.counters.without_leg += 1;
            return None;
        };
        self.counters.applied += 1;
        self.session(key)?.recording_session(&parties, recording, &ctx);
        Some(key)
    }

    fn recorded(&self, account: AccountId, recording: &RecordingSession, ctx: &Context) -> Option<Recorded> {
        let mut accounts: SmallVec<[AccountId; 4]> = SmallVec::from_slice(&[account]);
        if ctx.account.is_none() {
            accounts.extend(self.directory.accounts().map(Account::id).filter(|&id| id != account));
        }
        let mut candidates: SmallVec<[SessionKey; 4]> = SmallVec::new();
        for &account in &accounts {
            let named = recording.of.iter().find_map(|name| self.joiner.by_name(account, name));
            if let Some(key) = named
                && let Some(open) = self.sessions.get(&key)
            {
                let session = &open.session;
                let parties = match session.with_recording(recording.id) {
                    parties if parties.is_empty() => session.recorded(recording, true),
                    parties => parties,
                };
                return Some((key, parties));
            }
            candidates.extend(self.joiner.by_people(account, recording.src.ip(), &recording.participants));
        }
        candidates.sort_unstable();
        candidates.dedup();
        let sessions = || candidates.iter().filter_map(|key| Some((*key, &self.sessions.get(key)?.session)));
        if let Some((key, session)) = sessions().find(|(_, session)| session.has_recording(recording.id)) {
            return Some((key, session.with_recording(recording.id)));
        }
        let mut fitting = sessions()
            .map(|(key, session)| (key, session.recorded(recording, false)))
            .filter(|(_, parties)| recording.active && !parties.is_empty());
        let first = fitting.next()?;
        fitting.next().is_none().then_some(first)
    }
}
