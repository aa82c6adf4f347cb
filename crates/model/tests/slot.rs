//! Slots: where webhooks fall, and sets of them.

use postrider_model::id::WebhookId;
use postrider_model::slot::{SLOTS, Slot, SlotSet};
use postrider_model::time::Timestamp;

#[test]
fn webhooks_made_one_after_the_other_spread_evenly() {
    let mut counts = vec![0u32; usize::from(SLOTS)];
    let mut random = 1u128;
    for n in 0..102_400i64 {
        random = random
            .wrapping_mul(0x2360_ED05_1FC6_5DA4_4385_DF64_9FCC_F645)
            .wrapping_add(0x5851_F42D_4C95_7F2D_1405_7B7E_F767_814F);
        let webhook = WebhookId::new(Timestamp::from_millis(1_790_000_000_000 + n), random);
        counts[usize::from(Slot::of(webhook).number())] += 1;
    }
    // A hundred each, give or take five times its root.
    assert!(counts.iter().all(|count| (50..=150).contains(count)), "{counts:?}");
}

#[test]
fn the_slot_of_a_webhook_never_changes() {
    // Stored in queues everywhere: these numbers are for ever.
    let slot = |id| Slot::of(WebhookId::from_u128(id)).number();
    assert_eq!(
        [slot(0), slot(1), slot(u128::MAX), slot(0x0199_0000_0000_7000_8000_0000_0000_0001)],
        SLOTS_OF_THESE
    );
}

const SLOTS_OF_THESE: [u16; 4] = [0, 632, 0, 872];

#[test]
fn a_set_has_what_was_put_in() {
    let mut set = SlotSet::EMPTY;
    assert!(set.is_empty());
    for number in [0, 63, 64, 1_023] {
        let slot = Slot::from_number(number).unwrap();
        assert!(set.insert(slot) && !set.insert(slot) && set.contains(slot));
    }
    assert_eq!(set.iter().map(Slot::number).collect::<Vec<_>>(), [0, 63, 64, 1_023]);
    assert!(set.remove(Slot::from_number(64).unwrap()) && !set.remove(Slot::from_number(64).unwrap()));
    assert_eq!((set.len(), SlotSet::ALL.len(), Slot::from_number(SLOTS)), (3, 1_024, None));
    assert_eq!(Slot::all().collect::<SlotSet>(), SlotSet::ALL);
}
