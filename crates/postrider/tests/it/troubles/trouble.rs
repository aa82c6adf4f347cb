//! What may befall nodes and their database.

use super::stage::Stage;

/// One trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// A node dies; it is started again when its work has been taken over.
    Kill,
    /// A node stands still until its work has been taken over, and goes on as if nothing had been.
    Freeze,
    /// What a node sends to the database, and gets from it, is held up until its work has been taken over.
    Block,
    /// All connections of a node break.
    Cut,
    /// PostgreSQL dies and is started again.
    KillPostgres,
    /// PostgreSQL is stopped in good order and started again.
    RestartPostgres,
    /// Another node comes, takes its share of the slots under load, and hands it back.
    ComeAndGo,
    /// The sessions end that notices come by.
    DropNotices,
    /// Somebody locks what the nodes write, in another order.
    Lock,
}

impl Trouble {
    /// Each kind.
    pub(super) const ALL: [Self; 9] = [
        Self::Kill,
        Self::Freeze,
        Self::Block,
        Self::Cut,
        Self::KillPostgres,
        Self::RestartPostgres,
        Self::ComeAndGo,
        Self::DropNotices,
        Self::Lock,
    ];

    /// Whether an attempt may be repeated for it: its outcome was lost with a node, or came too late to be recorded under its lease.
    pub(super) const fn may_repeat(self) -> bool {
        !matches!(self, Self::ComeAndGo | Self::DropNotices | Self::Lock)
    }

    /// Lets it happen; returns when it is over.
    pub(super) fn befall(self, stage: &mut Stage, node: usize) {
        match self {
            Self::Kill => {
                stage.kill(node);
                stage.wait_for_takeover(node);
                stage.fleet.start_again(node);
            }
            Self::Freeze => {
                stage.fleet.node(node).freeze();
                stage.wait_for_takeover(node);
                stage.fleet.node(node).thaw();
            }
            Self::Block => {
                stage.fleet.link(node).block();
                stage.wait_for_takeover(node);
                stage.fleet.link(node).unblock();
            }
            Self::Cut => stage.fleet.link(node).cut(),
            Self::KillPostgres => {
                stage.server.kill_9();
                stage.server.start_again();
            }
            Self::RestartPostgres => stage.server.restart(),
            Self::ComeAndGo => {
                let another = stage.fleet.start_another();
                stage.wait_for_takeover(node);
                another.terminate();
                assert_eq!(another.wait().code(), Some(0));
            }
            Self::DropNotices => stage.database.end_listeners(),
            Self::Lock => {
                const TIMES: usize = 5;
                let count = (0..TIMES).filter(|_| stage.database.lock_rows("postrider.queue")).count();
                println!("locked the queue {count} times of {TIMES}");
            }
        }
    }
}
