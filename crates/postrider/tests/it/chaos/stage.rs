//! Where things go wrong: brings faults about.

use std::time::Duration;

use postrider_model::id::WebhookId;
use rustix::process::Signal;

use super::load::{ACCOUNTS, Load};
use super::plan::Fault;
use super::receiver::Receiver;
use super::repeats::Window;
use super::site::Site;
use super::watch::{End, Watch};
use crate::world::PATIENCE;

/// Between two looks at PostgreSQL, or two cuts.
const PAUSE: Duration = Duration::from_millis(300);
/// Between two looks at what others wait for meanwhile.
const SHORT_PAUSE: Duration = Duration::from_millis(50);
/// Deliveries come to be in flight for so long, before their outcomes come all at once.
const GATHER: Duration = Duration::from_millis(600);
/// A deadlock comes about where others are in time for it: so often it is tried.
const DEADLOCK_TRIES: usize = 3;

/// All that something can befall.
pub(super) struct Stage {
    pub(super) site: Site,
    pub(super) load: Load,
    pub(super) receiver: Receiver,
    pub(super) watch: Watch,
}

impl Stage {
    /// Lets it go wrong; returns when it is over.
    pub(super) fn bring_about(&mut self, fault: Fault) -> Window {
        if let Fault::Poison { .. } = fault {
            // Who is refused is to be told from who still waits for what went wrong before.
            self.load.wait_until_all_post();
            self.receiver.wait_until_all_flows(ACCOUNTS);
        }
        let from = self.watch.now();
        let mut window = Window {
            fault,
            from,
            to: from,
            surely: (from, from),
            node: fault.node().map(|node| self.site.pid(node)),
            count: 0,
            pending: 0,
        };
        match fault {
            Fault::Kill { node, gone } => {
                self.site.kill(node);
                window.surely = self.for_so_long(gone);
                self.site.start_again(node);
            }
            Fault::Stop { node, still } => {
                self.site.signal(node, Signal::STOP);
                window.surely = self.for_so_long(still);
                self.site.signal(node, Signal::CONT);
            }
            Fault::Replace { node } => self.site.replace(node),
            Fault::CutOff { node, time } => {
                self.site.link(node).block();
                window.surely = self.for_so_long(time);
                self.site.link(node).unblock();
            }
            Fault::Deafen => {
                self.listeners();
                window.count = self.site.number(include_str!("sql/deafen.sql"));
                assert!(window.count > 0, "nobody listened");
            }
            Fault::Muffle { time } => {
                let listeners = self.listeners();
                Site::signal_sessions(&listeners, Signal::STOP);
                window.surely = self.for_so_long(time);
                Site::signal_sessions(&listeners, Signal::CONT);
            }
            Fault::KillPostgres { gone } => {
                self.site.kill_postgres();
                window.surely = self.for_so_long(gone);
                self.site.postgres.start_again();
            }
            Fault::Cut { times } => {
                for _ in 0..times {
                    self.site.sql(include_str!("sql/cut.sql"));
                    End::default().pause(PAUSE);
                }
            }
            Fault::Deadlock => window.count = self.deadlock(),
            Fault::Poison { time } => self.poison(time, &mut window),
        }
        window.to = self.watch.now();
        window
    }

    /// Waits; from when until when.
    fn for_so_long(&self, time: Duration) -> (Duration, Duration) {
        let from = self.watch.now();
        End::default().pause(time);
        (from, self.watch.now())
    }

    /// The sessions of PostgreSQL that listen for notices: waits until there is one at least, for they may have been ended before.
    fn listeners(&self) -> Vec<i32> {
        let since = self.watch.now();
        loop {
            let pids = self.site.sql(include_str!("sql/listeners.sql"));
            let pids: Vec<i32> = pids.lines().map(|pid| pid.parse().unwrap()).collect();
            if !pids.is_empty() {
                return pids;
            }
            assert!(self.watch.now() - since < PATIENCE, "nobody listens any more");
            End::default().pause(PAUSE);
        }
    }

    /// How many deadlocks came about.
    fn deadlock(&self) -> u64 {
        let (never, deadlocks) = (End::default(), || self.site.number(include_str!("sql/deadlocks.sql")));
        let before = deadlocks();
        for _ in 0..DEADLOCK_TRIES {
            self.receiver.hold(true);
            never.pause(GATHER);
            let session = self.site.sql_aside(include_str!("sql/deadlock.sql"));
            while !session.is_finished() && self.site.number(include_str!("sql/is_locked.sql")) == 0 {
                never.pause(SHORT_PAUSE);
            }
            self.receiver.hold(false);
            // It was never the one that PostgreSQL ended.
            session.join().unwrap();
            // Sessions tell what they have counted after a second, at the latest.
            never.pause(Duration::from_secs(1));
            if deadlocks() > before {
                break;
            }
        }
        deadlocks() - before
    }

    /// Notes from when until when it was refused, in how many groups, and what was pending of the webhook.
    fn poison(&self, time: Duration, window: &mut Window) {
        let mixed = || self.site.number(include_str!("sql/mixed.sql"));
        let before = mixed();
        let webhook: WebhookId = self.load.customers[0].webhooks[0].parse().unwrap();
        let uuid = format!("{:032x}", webhook.as_u128());
        self.site.sql(&include_str!("sql/poison.sql").replace("WEBHOOK", &uuid));
        window.surely = self.for_so_long(time);
        // None of them can have ended yet: each that was sent meanwhile is among them.
        window.pending = self.site.number(&include_str!("sql/pending.sql").replace("WEBHOOK", &uuid));
        self.site.sql(include_str!("sql/heal.sql"));
        window.count = mixed() - before;
    }
}
