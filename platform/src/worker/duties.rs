//! What is to be done at its time, whether something happened or not.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    Reason, WorkerSettings,
    dispatcher::{Dispatcher, Failure},
};
use crate::{
    events,
    gate::{Code, Gate},
    queue::{
        Beat, QueueError, Schedule, Tick, Times, Watch, beat, nodes, progress, prune, rescue,
        schedules, tick,
    },
};

/// How often what ended long ago is deleted, and how much at once.
const PRUNE: (Duration, u32) = (Duration::from_secs(60), 5_000);
/// How long a tick is left to nodes that have the extension.
const ELSEWHERE: Duration = Duration::from_secs(60);
/// Who sets the clock moves it by more.
const CLOCK: TimeDelta = TimeDelta::milliseconds(500);
/// Longest time between two looks at the schedules: another node may have brought one.
const SCHEDULES: Duration = Duration::from_secs(10);

/// When each duty is due.
#[derive(Debug)]
pub(super) struct Duties {
    look: Instant,
    beat: Instant,
    /// When this node was last known to be known.
    beaten: Instant,
    rescue: Instant,
    schedules: Instant,
    prune: Instant,
    watch: Watch,
    /// When the clock was last asked, and what it said.
    clock: (Instant, DateTime<Utc>),
    /// Schedules that were complained of.
    bad: HashSet<String>,
}

impl Duties {
    /// The clock says `said`.
    pub(super) fn new(settings: &WorkerSettings, said: DateTime<Utc>) -> Self {
        let now = Instant::now();
        Self {
            look: now + settings.poll,
            beat: now + settings.beat(),
            beaten: now,
            rescue: now,
            schedules: now,
            prune: now,
            watch: Watch::new(settings.patience()),
            clock: (now, said),
            bad: HashSet::new(),
        }
    }

    /// When the next is due.
    pub(super) fn next(&self) -> Instant {
        let Self { look, beat, rescue, schedules, prune, .. } = self;
        [look, beat, rescue, schedules, prune].into_iter().copied().min().unwrap_or(*look)
    }

    /// Whether the clock was set since this was asked last: what waits for a moment has to look again.
    fn clock_was_set(&mut self, now: Instant, said: DateTime<Utc>) -> bool {
        let (then, before) = std::mem::replace(&mut self.clock, (now, said));
        let expected = before + now.saturating_duration_since(then);
        (said - expected).abs() > CLOCK
    }

    /// This node is known, now.
    pub(super) fn beaten(&mut self) {
        self.beaten = Instant::now();
    }
}

impl Dispatcher {
    /// Does what is due.
    pub(super) async fn duties(&mut self) -> Result<(), Failure> {
        let now = Instant::now();
        if self.duties.next() > now {
            return Ok(());
        }
        if self.duties.beat <= now {
            self.duties.beat = now + self.settings.beat();
            self.beat().await?;
        }
        if self.duties.look <= now {
            self.duties.look = now + self.settings.poll;
            self.look();
            if self.duties.clock_was_set(now, (self.shop.clock)()) {
                self.duties.schedules = now;
            }
            let overdue = self.runs.overdue(now);
            self.book(overdue);
            self.say_progress().await?;
        }
        if self.duties.rescue <= now {
            self.duties.rescue = now + self.settings.beat();
            self.rescue().await?;
        }
        if self.duties.schedules <= now {
            self.duties.schedules = now + self.settings.poll;
            let next = self.ticks().await?;
            self.duties.schedules = Instant::now() + next;
        }
        if self.duties.prune <= now {
            self.duties.prune = now + PRUNE.0;
            let moment = (self.shop.clock)();
            let keep = self.settings.keep_events;
            let pruned = self.ask(move |conn| {
                let events = events::prune(conn, keep, moment, PRUNE.1)?;
                Ok(prune(conn, moment, PRUNE.1)?.max(events))
            });
            if pruned.await? >= PRUNE.1 as usize {
                self.duties.prune = now;
            }
        }
        Ok(())
    }

    /// Counts up, and learns what somebody wants cancelled. Who cannot for so long that others may have taken its jobs
    /// gives them up.
    async fn beat(&mut self) -> Result<(), Failure> {
        let (node, now) = (self.node.clone(), (self.shop.clock)());
        let begun = Instant::now();
        match self.ask(move |conn| Ok(beat(conn, &node, now)?)).await {
            Ok(Beat::Alive(cancelled)) => {
                self.duties.beaten = begun;
                self.runs.cancel(&cancelled, Reason::Asked);
                Ok(())
            }
            Ok(Beat::Lost) => self.lost().await,
            Err(error) => {
                if !self.sqlite && self.duties.beaten.elapsed() > self.settings.patience() {
                    self.give_up();
                }
                Err(error)
            }
        }
    }

    /// Gives back what nodes ran that died. On SQLite there are none but this one.
    async fn rescue(&mut self) -> Result<(), Failure> {
        if self.sqlite {
            return Ok(());
        }
        let all = self.ask(|conn| Ok(nodes(conn)?)).await?;
        let dead = self.duties.watch.dead(&self.node, &all, Instant::now());
        let now = (self.shop.clock)();
        loop {
            let dead = dead.clone();
            let given_back = self.ask(move |conn| Ok(rescue(conn, &dead, now)?));
            let given_back = given_back.await?.len();
            if given_back == 0 {
                return Ok(());
            }
            tracing::warn!("{given_back} jobs were left of a node that died: they run again");
            self.look();
        }
    }

    /// Takes the ticks that are due, and answers how long until the next.
    async fn ticks(&mut self) -> Result<Duration, Failure> {
        let all = self.ask(|conn| Ok(schedules(conn)?)).await?;
        let now = (self.shop.clock)();
        let mut wait = SCHEDULES;
        for schedule in all.iter().filter(|it| it.vanished_at.is_none()) {
            let until = (schedule.next_at - now).to_std().unwrap_or_default();
            if !until.is_zero() {
                wait = wait.min(until);
                continue;
            }
            let Some(tick) = self.due(schedule, now) else {
                wait = wait.min(self.settings.poll);
                continue;
            };
            let next = (tick.next_at - now).to_std().unwrap_or_default();
            wait = wait.min(next.max(Duration::from_millis(1)));
            self.take(tick, now).await;
        }
        Ok(wait)
    }

    async fn take(&mut self, it: Tick, now: DateTime<Utc>) {
        let name = it.schedule.clone();
        let taken = self.ask(move |conn| tick(conn, &it, now)).await;
        match taken {
            Ok(taken) if taken => self.look(),
            Ok(_) => {}
            // The others tick all the same.
            Err(error) => {
                if self.duties.bad.insert(name.clone()) {
                    tracing::warn!("The schedule `{name}` wrote no job: {error}");
                }
            }
        }
    }

    /// What to take of `schedule`, which is due.
    fn due(&mut self, schedule: &Schedule, now: DateTime<Utc>) -> Option<Tick> {
        let open = match standing(&self.shop.gate, &schedule.extension) {
            Standing::Open => true,
            Standing::Off => false,
            // Another node may have it; where none has, the ticks are counted alone.
            Standing::Absent => {
                let late = (now - schedule.next_at).to_std().unwrap_or_default();
                if late < ELSEWHERE {
                    return None;
                }
                false
            }
        };
        match Times::parse(&schedule.expression, &schedule.zone) {
            Ok(times) => times.due(schedule, open, now),
            Err(error) => {
                if self.duties.bad.insert(schedule.name.clone()) {
                    tracing::warn!("The schedule `{}` does not tick: {error}", schedule.name);
                }
                None
            }
        }
    }

    /// Writes where runs are, as far as they said something new.
    async fn say_progress(&mut self) -> Result<(), Failure> {
        let said = self.runs.progress();
        if said.is_empty() {
            return Ok(());
        }
        let written = self.ask(move |conn| {
            for (fence, text) in said {
                match progress(conn, fence, &text) {
                    Ok(_) => {}
                    Err(QueueError::Job(bad)) => tracing::warn!("Job {}: {bad}", fence.id),
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        });
        written.await
    }
}

/// Whether an extension may be called here.
enum Standing {
    Open,
    Off,
    /// This process does not have it.
    Absent,
}

fn standing(gate: &Gate, slug: &str) -> Standing {
    if slug == "core" {
        return Standing::Open;
    }
    let Some(extension) = gate.find(slug) else { return Standing::Absent };
    match gate.admit(extension, None) {
        Ok(_) => Standing::Open,
        Err(refusal) => match refusal.code() {
            Code::NotInstalled | Code::NotLoaded => Standing::Absent,
            Code::Disabled | Code::Quarantined | Code::DependencyOff => Standing::Off,
        },
    }
}
