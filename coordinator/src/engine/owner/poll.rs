//! Polls of workers. A poll is answered at once if there is work and parked otherwise. The answer contains only committed work.

use std::collections::HashMap;
use std::hash::Hash;

use sweep_scheduler::{Event, Ignored, SessionId};
use tracing::error;

use crate::engine::error::Error;
use crate::engine::messages::worker::{Assignment, Poll, PollReply};
use crate::engine::owner::driver::Driver;
use crate::engine::owner::live::Parked;
use crate::engine::reply::Reply;
use crate::engine::state::attempt::LiveAttempt;

impl Driver {
    pub(crate) fn poll(&mut self, poll: Poll, reply: Reply<PollReply>) {
        let id = poll.session;
        let event = Event::Poll { session: id, held: poll.held.clone(), draining: poll.draining };
        if self.event(event).contains(&Ignored::UnknownSession) {
            let _ = reply.send(Err(Error::UnknownSession));
            return;
        }
        let session = self.live.sessions.entry(id).or_default();
        session.seen_ms = self.parts.clock.unix_ms();
        // A worker sends one poll at a time, so no caller waits for an earlier one any more.
        if let Some(earlier) = session.parked.replace(Parked { poll, reply }) {
            let _ = earlier.reply.send(Ok(PollReply::default()));
        }
        self.answer_parked(id);
    }

    /// Answers a session's parked poll if there is committed news for it.
    pub(crate) fn answer_parked(&mut self, id: SessionId) {
        if !self.scheduler.knows_session(id) {
            return self.forget_old_sessions();
        }
        let Some(parked) = self.live.sessions.get_mut(&id).and_then(|session| session.parked.take()) else { return };
        if parked.reply.is_closed() {
            return;
        }
        match self.answer(&parked.poll) {
            Ok(None) => {
                if let Some(session) = self.live.sessions.get_mut(&id) {
                    session.parked = Some(parked);
                }
            }
            Ok(Some(answer)) => drop(parked.reply.send(Ok(answer))),
            Err(error) => drop(parked.reply.send(Err(error))),
        }
    }

    fn answer(&mut self, poll: &Poll) -> Result<Option<PollReply>, Error> {
        let answer = self.scheduler.poll_answer(poll.session, &poll.held).map_err(|_| Error::UnknownSession)?;
        let mut start = Vec::new();
        for begun in answer.start.iter().filter(|begun| !self.uncommitted.contains_key(&begun.lease)) {
            let Some((sweep, configuration, seed)) = self.live.find(begun.lease.trial) else {
                error!(trial_id = %begun.lease.trial, "a trial of no sweep was assigned");
                continue;
            };
            start.push(Assignment {
                lease: begun.lease,
                slot: begun.slot,
                settings: sweep.settings(configuration, seed)?,
                predicted_seconds: predicted(self.live.attempts.get(&begun.lease)),
            });
        }
        let stops: Vec<_> = answer.stop.into_iter().filter(|lease| !self.uncommitted.contains_key(lease)).collect();
        let left_out = self.left_out(poll.session);
        let Some(session) = self.live.sessions.get_mut(&poll.session) else { return Err(Error::UnknownSession) };
        let number = session.number + 1;
        let stop = untold(&mut session.stops, &stops, number, poll.seen);
        let asked = untold(&mut session.describes, &answer.describe, number, poll.seen);
        let service = answer.service;
        let news = service != session.service || left_out != session.left_out || session.service_told > poll.seen;
        if start.is_empty() && stop.is_empty() && asked.is_empty() && !news {
            // A draining worker without leases waits only for the confirmation of its poll.
            return Ok((poll.draining && poll.held.is_empty()).then(PollReply::default));
        }
        session.number = number;
        if news {
            session.service = service.clone();
            session.left_out.clone_from(&left_out);
            session.service_told = number;
        }
        let describe = asked.into_iter().filter_map(|key| Some((key, self.live.dataset(key)?))).collect();
        for begun in &start {
            if let Some(attempt) = self.live.attempts.get_mut(&begun.lease)
                && !std::mem::replace(&mut attempt.told, true)
            {
                self.parts.metrics.dispatched(self.parts.clock.now().saturating_duration_since(attempt.assigned));
            }
        }
        Ok(Some(PollReply { start, stop, describe, number, service, left_out }))
    }
}

fn predicted(attempt: Option<&LiveAttempt>) -> f64 {
    attempt.and_then(|attempt| attempt.predicted).map_or(0.0, |estimate| estimate.seconds)
}

/// Those of `now` that the worker has not received yet; they get the number of this answer. The worker acts on those it
/// has received.
fn untold<K: Copy + Eq + Hash>(told: &mut HashMap<K, u64>, now: &[K], number: u64, seen: u64) -> Vec<K> {
    told.retain(|key, _| now.contains(key));
    let new: Vec<K> = now.iter().copied().filter(|key| told.get(key).is_none_or(|under| *under > seen)).collect();
    told.extend(new.iter().map(|key| (*key, number)));
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_is_told_once_and_what_was_lost_is_told_again() {
        let mut told = HashMap::new();
        assert_eq!(untold(&mut told, &['a'], 1, 0), ['a']);
        assert_eq!(untold(&mut told, &['a'], 2, 0), ['a'], "the first answer was lost");
        assert!(untold(&mut told, &['a'], 3, 2).is_empty());
        assert_eq!(untold(&mut told, &['a', 'b'], 3, 2), ['b']);
        assert!(untold(&mut told, &[], 4, 3).is_empty());
        assert_eq!(untold(&mut told, &['a'], 5, 3), ['a'], "it is asked for anew");
    }
}
