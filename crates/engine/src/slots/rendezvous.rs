//! Who should own a slot: of all nodes the one whose hash with the slot is highest. All nodes come to the same without a word, and where
//! one comes or goes only its own share moves (Thaler and Ravishankar, "Using name-based mappings to increase hit rates", 1998).

use postrider_model::slot::Slot;
use postrider_ports::nodes::NodeToken;

/// The node that should own the slot; `None` where there are none.
pub(crate) fn owner(slot: Slot, nodes: &[NodeToken]) -> Option<NodeToken> {
    nodes.iter().copied().max_by_key(|node| (weight(*node, slot), *node))
}

fn weight(node: NodeToken, slot: Slot) -> u64 {
    let folded = (node.0 >> 64) as u64 ^ node.0 as u64;
    mix(folded ^ mix(u64::from(slot.number()).wrapping_add(0x9E37_79B9_7F4A_7C15)))
}

/// The finalizer of SplitMix64 (Steele, Lea and Flood, 2014): each bit of the result depends on each of the input.
const fn mix(bits: u64) -> u64 {
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::{NodeToken, Slot, owner};

    fn tokens(count: u128) -> Vec<NodeToken> {
        (1..=count)
            .map(|number| NodeToken(number.wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835)))
            .collect()
    }

    #[test]
    fn each_has_about_the_same_share() {
        let nodes = tokens(4);
        for node in &nodes {
            let share = Slot::all().filter(|slot| owner(*slot, &nodes) == Some(*node)).count();
            assert!((200..312).contains(&share), "{share} of 1,024 in four parts");
        }
    }

    #[test]
    fn who_goes_leaves_the_shares_of_the_others_as_they_are() {
        let nodes = tokens(5);
        let (gone, left) = nodes.split_first().unwrap();
        for slot in Slot::all() {
            let before = owner(slot, &nodes);
            if before != Some(*gone) {
                assert_eq!(owner(slot, left), before);
            }
        }
    }

    #[test]
    fn the_order_of_the_nodes_means_nothing() {
        let mut nodes = tokens(7);
        let before: Vec<_> = Slot::all().map(|slot| owner(slot, &nodes)).collect();
        nodes.reverse();
        assert!(Slot::all().zip(before).all(|(slot, before)| owner(slot, &nodes) == before));
    }

    #[test]
    fn nobody_owns_where_there_is_nobody() {
        assert!(Slot::all().all(|slot| owner(slot, &[]).is_none()));
    }
}
