//! Compares what two stores hold, and names the first record that differs.

use std::cell::Cell;
use std::collections::BTreeMap;

use anyhow::{Context as _, anyhow};
use postrider_ports::archive::{Archive, Kind, Record};

use super::contents::{Contents, Part, Places};
use super::fields::{Fields, Hash32};
use super::fill::RECORDS_MAX;
use super::names::{Name, Sort};

/// A store, and what it is called.
pub(super) type Named<'a> = (&'a dyn Archive, &'a str);

/// Reads all of both, side by side. What they hold, where that is the same.
pub(super) async fn compare(from: Named<'_>, to: Named<'_>, reach: impl Fn(u64)) -> anyhow::Result<Contents> {
    let read = Cell::new(0);
    let all = async |(store, name): Named<'_>| -> anyhow::Result<Contents> {
        let mut contents = Contents::default();
        for kind in Kind::ALL {
            let take = |record: &Record| {
                contents.add(record);
                read.set(read.get() + 1);
                reach(read.get());
            };
            each(store, kind, take).await.with_context(|| name.to_owned())?;
        }
        Ok(contents)
    };
    let (ours, theirs) = tokio::try_join!(all(from), all(to))?;
    match ours.difference(&theirs) {
        None => Ok(ours),
        Some(part) => Err(named(from, to, part).await?),
    }
}

/// Reads all records of a kind.
async fn each(store: &dyn Archive, kind: Kind, mut take: impl FnMut(&Record)) -> anyhow::Result<()> {
    let mut next = Some(Vec::new());
    while let Some(from) = next {
        let page = store.read_page(kind, from, RECORDS_MAX).await?;
        page.records.iter().for_each(|placed| take(&placed.record));
        next = page.next;
    }
    Ok(())
}

/// A record of the part that is looked into.
struct Seen {
    place: u64,
    fields: Vec<(String, Hash32)>,
}

/// Says what differs, and in which record.
async fn named(from: Named<'_>, to: Named<'_>, part: Part) -> anyhow::Result<anyhow::Error> {
    let ours = seen(from.0, part).await.with_context(|| from.1.to_owned())?;
    let mut theirs = seen(to.0, part).await.with_context(|| to.1.to_owned())?;
    let mut found = None;
    let mut order = None;
    for (name, one) in &ours {
        match theirs.remove(name) {
            None => found = found.or(Some(format!("{name} is in {} alone", from.1))),
            Some(other) => match first_unlike(one, &other) {
                Some(field) => found = found.or(Some(format!("{name} differs in its {field}"))),
                None if one.place != other.place => {
                    order = order.or(Some(format!(
                        "{name} is the {}. of its owner's, and the {}.",
                        one.place, other.place
                    )));
                }
                None => {}
            },
        }
    }
    let lone = theirs.into_keys().next().map(|name| format!("{name} is in {} alone", to.1));
    let told = found.or(lone).or(order).unwrap_or_else(|| "they changed meanwhile".to_owned());
    let counts = match part.counts {
        (one, other) if one == other => String::new(),
        (one, other) => format!("{} {} are in {}, {} in {}; ", one, part.sort.name(), from.1, other, to.1),
    };
    Ok(anyhow!("the stores do not hold the same: {counts}{told}"))
}

/// Twice under one name, a record is told apart by how often it was met.
async fn seen(store: &dyn Archive, part: Part) -> anyhow::Result<BTreeMap<String, Seen>> {
    let mut found = BTreeMap::new();
    let mut places = Places::default();
    let take = |record: &Record| {
        let place = places.next(record);
        let name = Name::of(record);
        if !part.has(&name) {
            return;
        }
        let seen = Seen {
            place,
            fields: Fields::apart(record),
        };
        let mut key = name.to_string();
        while found.contains_key(&key) {
            key.push_str(" once more");
        }
        found.insert(key, seen);
    };
    each(store, part.sort.kind(), take).await?;
    Ok(found)
}

/// The name of the first field in which they differ.
fn first_unlike(one: &Seen, other: &Seen) -> Option<String> {
    let mut pairs = one.fields.iter().zip(&other.fields);
    let unlike = pairs.find(|(one, other)| one != other).map(|((name, _), _)| name.clone());
    // One has more of them, of which the other has as many as it has.
    let longer = one.fields.get(other.fields.len()).or_else(|| other.fields.get(one.fields.len()));
    unlike.or_else(|| longer.map(|(name, _)| name.clone()))
}

/// How many records of each sort.
pub(super) fn counts(contents: &Contents) -> impl Iterator<Item = (&'static str, u64)> {
    Sort::ALL.into_iter().map(|sort| (sort.name(), contents.count(sort)))
}
