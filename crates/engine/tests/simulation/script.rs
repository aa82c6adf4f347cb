//! What happens to a world: random steps, and at the end everything works again.

use std::time::Duration;

use postrider_model::job::RecoverWhat;
use postrider_model::webhook::WebhookChange;
use postrider_ports::registry::WebhookEdit;

use crate::calls::{self, Draft};
use crate::checks;
use crate::receivers::Mode;
use crate::world::World;

const NAMES: [&str; 5] = ["order.filled", "order.item.added", "order", "user.made", "user"];
const WANTS: [&[&str]; 5] = [
    &[],
    &["order.*"],
    &["order.filled", "order.*"],
    &["user.made"],
    &["order.item.*", "user"],
];
const HOSTS: u64 = 4;
/// Steps of time until everything must be over: days of it.
const LAST_STEPS_MAX: usize = 60_000;

/// Runs one seed from beginning to end.
///
/// # Errors
/// What went wrong.
pub(crate) fn run(seed: u64, is_told: bool) -> Result<u64, String> {
    let mut world = World::new(seed, is_told);
    world.populate();
    let steps = 20 + world.chance.below(100);
    for _ in 0..steps {
        world.step();
        if let Some(violation) = world.shared.receivers.first_violation() {
            return Err(violation);
        }
    }
    world.recover();
    world.wind_down()?;
    checks::all(&world)?;
    Ok(world.shared.receivers.digest())
}

impl World {
    fn pick<T: Clone>(&self, of: &[T]) -> Option<T> {
        of.get(usize::try_from(self.chance.below(of.len() as u64)).unwrap_or(0)).cloned()
    }

    fn populate(&mut self) {
        for _ in 0..=self.chance.below(2) {
            self.call(calls::create_account);
        }
        self.settle(8);
        for _ in 0..1 + self.chance.below(6) {
            self.create_webhook();
        }
        self.settle(8);
    }

    fn create_webhook(&self) {
        let Some(account) = self.pick(&self.shared.book.accounts()) else {
            return;
        };
        let made = (
            calls::url(self.chance.below(HOSTS), self.chance.below(100)),
            calls::patterns(WANTS[usize::try_from(self.chance.below(5)).unwrap_or(0)]),
        );
        self.call(|engine, shared| calls::create_webhook(engine, shared, account, made));
        for (_, webhook) in self.shared.book.webhooks() {
            if self.chance.percent(30) {
                self.shared.receivers.follow(webhook, Mode::random(&self.chance));
            }
        }
    }

    fn step(&mut self) {
        match self.chance.below(100) {
            0..34 => self.post(),
            34..58 => self.pass_time(),
            58..66 => self.change_receiver(),
            66..78 => self.change_webhook(),
            78..86 => self.ask_of_delivery(),
            86..93 => self.break_store(),
            93..97 => self.crash(),
            97 => self.restart(),
            98 => self.change_account(),
            _ => self.create_webhook(),
        }
        // Often so few turns that the next step finds all in the middle of something.
        let turns = self.pick(&[0, 1, 2, 3, 5, 8, 30, 60]).unwrap_or(0);
        self.settle(turns);
    }

    fn post(&self) {
        let Some(account) = self.pick(&self.shared.book.accounts()) else {
            return;
        };
        let count = match self.chance.below(400) {
            0 => 900,
            1..60 => 1 + self.chance.below(12),
            _ => 1,
        };
        let drafts = (0..count).map(|_| self.draft()).collect::<Vec<_>>();
        self.tell(&format!("post {count}"));
        self.call(|engine, shared| calls::post(engine, shared, account, drafts));
    }

    fn draft(&self) -> Draft {
        let own = self.chance.percent(20).then(|| format!("own-{}", self.chance.below(12)));
        Draft {
            name: if own.is_some() {
                NAMES[0]
            } else {
                self.pick(&NAMES).unwrap_or(NAMES[0])
            },
            content: if self.chance.percent(20) { 1 } else { 0 },
            own,
        }
    }

    fn pass_time(&self) {
        match self.chance.below(40) {
            0..22 => {
                self.shared.clock.advance_to_next();
            }
            22..36 => self.shared.clock.advance(Duration::from_millis(self.chance.below(4_000))),
            36..39 => self.shared.clock.advance(Duration::from_secs(self.chance.below(900))),
            // As when the machine slept: some of what waits has expired.
            _ => self.shared.clock.advance(Duration::from_secs(26 * 3_600)),
        }
        self.tell("time passes");
    }

    fn change_receiver(&self) {
        let mode = Mode::random(&self.chance);
        let webhooks = self.shared.book.webhooks();
        if self.chance.percent(20) {
            for (_, webhook) in &webhooks {
                self.shared.receivers.follow(*webhook, mode);
            }
            self.tell(&format!("all receivers: {mode:?}"));
        } else if let Some((_, webhook)) = self.pick(&webhooks) {
            self.shared.receivers.follow(webhook, mode);
            self.tell(&format!("{webhook}: {mode:?}"));
        }
    }

    fn change_webhook(&self) {
        let Some(of) = self.pick(&self.shared.book.webhooks()) else {
            return;
        };
        let mut change = WebhookChange::default();
        match self.chance.below(10) {
            0 => {
                self.tell(&format!("delete {}", of.1));
                return self.call(|engine, shared| calls::delete_webhook(engine, shared, of));
            }
            1 => {
                let grace = Duration::from_secs(self.chance.below(2) * 60);
                return self.call(|engine, shared| calls::rotate(engine, shared, of, grace));
            }
            2..5 => change.is_active = Some(false),
            5..8 => change.is_active = Some(true),
            8 => change.url = Some(calls::url(self.chance.below(HOSTS), self.chance.below(100))),
            _ => change.event_names = Some(calls::patterns(WANTS[usize::try_from(self.chance.below(5)).unwrap_or(0)])),
        }
        self.tell(&format!("change {} {change:?}", of.1));
        self.call(|engine, shared| calls::edit_webhook(engine, shared, of, WebhookEdit::Change(change)));
    }

    fn ask_of_delivery(&self) {
        if self.chance.percent(25) {
            let Some(of) = self.pick(&self.shared.book.webhooks()) else {
                return;
            };
            self.tell(&format!("test {}", of.1));
            return self.call(|engine, shared| calls::test(engine, shared, of));
        }
        if self.chance.percent(30) {
            return self.ask_for_recovery();
        }
        let Some(of) = self.pick(&self.shared.store.look_ids()) else {
            return;
        };
        self.tell(&format!("retry {}", of.1));
        self.call(|engine, shared| calls::retry(engine, shared, of));
    }

    fn ask_for_recovery(&self) {
        let Some(of) = self.pick(&self.shared.book.webhooks()) else {
            return;
        };
        if self.chance.percent(15) {
            self.tell("cancel a job");
            return self.call(|engine, shared| calls::cancel(engine, shared, of.0));
        }
        let what = self.pick(&RecoverWhat::ALL).unwrap_or(RecoverWhat::All);
        let length = Duration::from_secs(self.chance.below(48 * 3_600));
        self.tell(&format!("recover {} {what:?} {length:?}", of.1));
        self.call(|engine, shared| calls::recover(engine, shared, of, (what, length)));
    }

    fn change_account(&self) {
        let Some(account) = self.pick(&self.shared.book.accounts()) else {
            return;
        };
        match self.chance.below(8) {
            0 => {
                self.tell(&format!("delete {account}"));
                self.call(|engine, shared| calls::delete_account(engine, shared, account));
            }
            which => {
                self.tell(&format!("change {account}, active: {}", which > 4));
                self.call(|engine, shared| calls::change_account(engine, shared, account, which > 4));
            }
        }
    }

    fn break_store(&self) {
        let count = 1 + u32::try_from(self.chance.below(5)).unwrap_or(0);
        let store = &self.shared.store;
        let what = self.chance.below(6);
        match what {
            0 => store.refuse_writes(count),
            1 => store.lose_answers(count),
            2 => store.refuse_reads(count),
            3 => store.freeze(),
            4 => store.thaw(),
            _ => store.heal(),
        }
        self.tell(&format!("store: fault {what} × {count}"));
    }

    /// From now on everything works, and everything is switched on.
    fn recover(&mut self) {
        self.tell("everything works again");
        self.shared.store.heal();
        self.shared.receivers.all_succeed();
        self.settle(60);
        for account in self.shared.book.accounts() {
            self.call(|engine, shared| calls::change_account(engine, shared, account, true));
        }
        for of in self.shared.book.webhooks() {
            let change = WebhookChange {
                is_active: Some(true),
                ..WebhookChange::default()
            };
            self.call(|engine, shared| calls::edit_webhook(engine, shared, of, WebhookEdit::Change(change)));
        }
        self.settle(60);
    }

    /// Time runs until nothing is pending.
    fn wind_down(&mut self) -> Result<(), String> {
        for _ in 0..LAST_STEPS_MAX {
            self.settle(12);
            if let Some(violation) = self.shared.receivers.first_violation() {
                return Err(violation);
            }
            if self.shared.store.look_pending() == 0 && self.is_at_rest() && !self.has_jobs() {
                let sends = self.shared.receivers.sends();
                self.tell(&format!("over after {sends} attempts"));
                return Ok(());
            }
            self.shared.clock.advance_to_next();
        }
        Err(checks::stuck(self))
    }
}
