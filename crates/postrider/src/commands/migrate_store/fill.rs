//! Fills one store from another, and compares what they hold.

use std::sync::Arc;

use anyhow::{bail, ensure};
use postrider_ports::archive::{Archive, ArchivePage, Kind, Moved, Standing};

use super::compare::{Named, compare};
use super::contents::Contents;

/// Records of one page, at most; fewer where they are large. Three pages are in memory at one time.
pub(super) const RECORDS_MAX: usize = 4_000;
/// Hears how far it is.
pub(super) trait Tell {
    /// Something else begins.
    fn begin(&self, words: &str);
    /// So much of it is done.
    fn reach(&self, done: u64, total: u64);
}

/// Moves everything, where that was not done before, and compares. What both hold.
pub(super) async fn all(from: Named<'_>, to: Named<'_>, tell: &impl Tell) -> anyhow::Result<Contents> {
    let (source, target) = unused(from, to).await?;
    let moved = match target.moved {
        Some(moved) => {
            ensure!(
                moved.from == from.1,
                "{} holds a part of {}: move the rest of that, or take an empty store",
                to.1,
                moved.from
            );
            moved
        }
        None => {
            ensure!(target.is_empty, "{} is not empty: take one that is", to.1);
            let moved = Moved {
                from: from.1.to_owned(),
                kind: Kind::Accounts,
                next: Vec::new(),
                records: 0,
                is_done: false,
            };
            to.0.begin_filling(moved.clone(), source.last).await?;
            moved
        }
    };
    tell.begin("moving");
    fill(from.0, to.0, moved, |done| tell.reach(done, source.records)).await?;
    let contents = check(from, to, tell).await?;
    to.0.finish_filling().await?;
    Ok(contents)
}

/// Compares both, and sees to it that what is filled can be worked with. What both hold.
pub(super) async fn check(from: Named<'_>, to: Named<'_>, tell: &impl Tell) -> anyhow::Result<Contents> {
    let (source, target) = unused(from, to).await?;
    tell.begin("comparing");
    let total = source.records.max(target.records) * 2;
    let contents = compare(from, to, |read| tell.reach(read, total)).await?;
    if let Some(fault) = to.0.first_fault().await? {
        bail!("{} holds the same, but it is damaged: {fault}", to.1);
    }
    // Who came meanwhile may have changed what was read before.
    unused(from, to).await?;
    Ok(contents)
}

/// How both stand, where no server uses either.
async fn unused(from: Named<'_>, to: Named<'_>) -> anyhow::Result<(Standing, Standing)> {
    let (source, target) = (from.0.standing().await?, to.0.standing().await?);
    for (users, name) in [(&source.users, from.1), (&target.users, to.1)] {
        ensure!(
            users.is_empty(),
            "{name} is in use by {}: stop it first (one that was killed counts for a minute)",
            users.join(", ")
        );
    }
    Ok((source, target))
}

/// While a page is written, the next is read.
async fn fill(from: &dyn Archive, to: &dyn Archive, mut moved: Moved, mut reach: impl FnMut(u64)) -> anyhow::Result<()> {
    if moved.is_done {
        return Ok(());
    }
    let mut page = from.read_page(moved.kind, moved.next.clone(), RECORDS_MAX).await?;
    loop {
        let ArchivePage { records, next } = page;
        moved.records += records.len() as u64;
        match (next, moved.kind.next()) {
            (Some(next), _) => moved.next = next,
            (None, Some(kind)) => (moved.kind, moved.next) = (kind, Vec::new()),
            (None, None) => moved.is_done = true,
        }
        let written = to.write_page(Arc::new(records), moved.clone());
        if moved.is_done {
            return Ok(written.await?);
        }
        let (written, following) = tokio::join!(written, from.read_page(moved.kind, moved.next.clone(), RECORDS_MAX));
        written?;
        page = following?;
        reach(moved.records);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use async_trait::async_trait;
    use postrider_model::id::AccountId;
    use postrider_model::queue::Position;
    use postrider_model::time::Timestamp;
    use postrider_ports::StoreError;
    use postrider_ports::archive::{Placed, Record};

    use super::*;

    /// Accounts alone, by their numbers; and who uses the store whenever that is asked.
    #[derive(Default)]
    struct Shelf {
        accounts: Mutex<Vec<u128>>,
        users: Mutex<Vec<Vec<String>>>,
        moved: Mutex<Option<Moved>>,
        fault: Option<String>,
    }

    fn placed(number: u128) -> Placed {
        let now = Timestamp::from_millis(7);
        let account = postrider_model::account::Account {
            id: AccountId::from_u128(number),
            external_id: None,
            name: number.to_string(),
            is_active: true,
            created_at: now,
            modified_at: now,
        };
        let record = Record::Account {
            account,
            version: 1,
            deleted_at: None,
            is_erased: false,
        };
        Placed {
            position: Position::default(),
            record,
        }
    }

    impl Shelf {
        fn of(accounts: impl IntoIterator<Item = u128>) -> Self {
            Self {
                accounts: Mutex::new(accounts.into_iter().collect()),
                ..Self::default()
            }
        }

        /// From the look of this number on it is used.
        fn used_from(self, looks: usize) -> Self {
            let mut users = vec![Vec::new(); looks];
            users.push(vec!["web-1".to_owned()]);
            users.reverse();
            Self {
                users: Mutex::new(users),
                ..self
            }
        }
    }

    #[async_trait]
    impl Archive for Shelf {
        async fn standing(&self) -> Result<Standing, StoreError> {
            Ok(Standing {
                users: self.users.lock().unwrap().pop().unwrap_or_default(),
                is_empty: self.accounts.lock().unwrap().is_empty(),
                moved: self.moved.lock().unwrap().clone(),
                records: 1,
                last: Position::default(),
            })
        }

        async fn read_page(&self, kind: Kind, from: Vec<u8>, records_max: usize) -> Result<ArchivePage, StoreError> {
            let accounts = self.accounts.lock().unwrap();
            let first = from.first().map_or(0, |first| usize::from(*first));
            let all = if kind == Kind::Accounts {
                accounts.get(first..).unwrap()
            } else {
                &[]
            };
            let records: Vec<Placed> = all.iter().take(records_max).map(|number| placed(*number)).collect();
            let next = (records.len() == records_max).then(|| vec![u8::try_from(first + records.len()).unwrap()]);
            Ok(ArchivePage { records, next })
        }

        async fn begin_filling(&self, moved: Moved, _: Position) -> Result<(), StoreError> {
            *self.moved.lock().unwrap() = Some(moved);
            Ok(())
        }

        async fn write_page(&self, page: Arc<Vec<Placed>>, moved: Moved) -> Result<(), StoreError> {
            let number = |placed: &Placed| match &placed.record {
                Record::Account { account, .. } => account.id.as_u128(),
                _ => 0,
            };
            self.accounts.lock().unwrap().extend(page.iter().map(number));
            self.begin_filling(moved, Position::default()).await
        }

        async fn first_fault(&self) -> Result<Option<String>, StoreError> {
            Ok(self.fault.clone())
        }

        async fn finish_filling(&self) -> Result<(), StoreError> {
            *self.moved.lock().unwrap() = None;
            Ok(())
        }
    }

    struct Silent;

    impl Tell for Silent {
        fn begin(&self, _: &str) {}
        fn reach(&self, _: u64, _: u64) {}
    }

    async fn move_all(one: &Shelf, other: &Shelf) -> Result<(), String> {
        let moved = all((one, "one"), (other, "other"), &Silent).await;
        moved.map(drop).map_err(|error| format!("{error:#}"))
    }

    #[tokio::test]
    async fn what_was_moved_is_released_once_it_was_compared() {
        let (one, other) = (Shelf::of(1..=9), Shelf::default());
        assert_eq!(move_all(&one, &other).await, Ok(()));
        assert_eq!(*one.accounts.lock().unwrap(), *other.accounts.lock().unwrap());
        assert_eq!(*other.moved.lock().unwrap(), None);
    }

    #[tokio::test]
    async fn a_store_that_is_used_at_any_look_is_not_released() {
        for looks in 0..3 {
            for is_source in [true, false] {
                let (one, other) = (Shelf::of(1..=9), Shelf::default());
                let (one, other) = match is_source {
                    true => (one.used_from(looks), other),
                    false => (one, other.used_from(looks)),
                };
                let told = move_all(&one, &other).await.unwrap_err();
                assert!(told.contains("in use by web-1"), "{told}");
                let is_held = other.moved.lock().unwrap().is_some();
                assert_eq!(is_held, looks > 0, "at the look {looks}: it was not begun, or is not released");
            }
        }
    }

    #[tokio::test]
    async fn what_differs_or_is_damaged_is_not_released() {
        let (one, other) = (Shelf::of(1..=9), Shelf::of(1..=9));
        move_all(&one, &other).await.unwrap_err();
        let part = Moved {
            from: "one".to_owned(),
            kind: Kind::Keys,
            next: Vec::new(),
            records: 9,
            is_done: false,
        };
        for (accounts, fault, told) in [
            (
                vec![1, 2, 4, 5, 6, 7, 8, 9],
                None,
                "9 accounts are in one, 8 in other; the account acc_",
            ),
            (vec![1, 2, 3, 4, 5, 6, 7, 9, 8], None, "of its owner's, and the"),
            ((1..=9).collect(), Some("queue: lost".to_owned()), "it is damaged: queue: lost"),
        ] {
            let other = Shelf {
                moved: Mutex::new(Some(part.clone())),
                fault,
                ..Shelf::of(accounts)
            };
            let found = move_all(&one, &other).await.unwrap_err();
            assert!(found.contains(told), "{found}");
            assert!(other.moved.lock().unwrap().is_some());
        }
    }
}
