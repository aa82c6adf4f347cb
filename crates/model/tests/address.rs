//! Which IP address may be dialled: every block at its borders.

#![allow(clippy::expect_used, reason = "how a table of tests fails")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use postrider_model::address::AddressPolicy;
use proptest::prelude::*;

fn address(text: &str) -> IpAddr {
    text.parse().expect(text)
}

fn allowing(networks: &[&str]) -> AddressPolicy {
    let networks = networks.iter().map(|text| text.parse().expect(text));
    AddressPolicy {
        dev: false,
        networks: networks.collect(),
    }
}

fn is_dialled(text: &str) -> bool {
    AddressPolicy::default().judge(address(text)).is_ok()
}

/// `(block, whether the address before it is dialled, whether the one after it is)`; the first and
/// the last of the block never are.
const BLOCKS: &[(&str, bool, bool)] = &[
    ("0.0.0.0/8", false, true),
    ("10.0.0.0/8", true, true),
    ("100.64.0.0/10", true, true),
    ("127.0.0.0/8", true, true),
    ("169.254.0.0/16", true, true),
    ("172.16.0.0/12", true, true),
    ("192.0.0.0/24", true, true),
    ("192.0.2.0/24", true, true),
    ("192.88.99.0/24", true, true),
    ("192.168.0.0/16", true, true),
    ("198.18.0.0/15", true, true),
    ("198.51.100.0/24", true, true),
    ("203.0.113.0/24", true, true),
    ("224.0.0.0/4", true, false),
    ("240.0.0.0/4", false, false),
    ("255.255.255.255/32", false, false),
    ("168.63.129.16/32", true, true),
    ("::/128", false, false),
    ("::1/128", false, false),
    ("::/96", false, false),
    ("::ffff:0:0/96", false, false),
    ("::ffff:0:0:0/96", false, false),
    ("64:ff9b::/96", false, false),
    ("64:ff9b:1::/48", false, false),
    ("100::/64", false, false),
    ("100:0:0:1::/64", false, false),
    ("2001::/32", true, false),
    ("2001:2::/48", false, false),
    ("2001:10::/28", false, false),
    ("2001:20::/28", false, false),
    ("2001::/23", true, true),
    ("2001:db8::/32", true, true),
    ("2002::/16", true, true),
    ("3fff::/20", true, true),
    ("4000::/3", true, false),
    ("5f00::/16", false, false),
    ("fc00::/7", false, false),
    ("fe80::/10", false, false),
    ("fec0::/10", false, false),
    ("ff00::/8", false, false),
];

/// The first, the last, and the neighbours of a network, where there are any.
fn borders(network: IpNet) -> (IpAddr, IpAddr, Option<IpAddr>, Option<IpAddr>) {
    match network {
        IpNet::V4(net) => {
            let (first, last) = (net.network().to_bits(), net.broadcast().to_bits());
            let ip = |bits| IpAddr::V4(Ipv4Addr::from_bits(bits));
            let (before, after) = (first.checked_sub(1).map(ip), last.checked_add(1).map(ip));
            (ip(first), ip(last), before, after)
        }
        IpNet::V6(net) => {
            let (first, last) = (net.network().to_bits(), net.broadcast().to_bits());
            let ip = |bits| IpAddr::V6(Ipv6Addr::from_bits(bits));
            let (before, after) = (first.checked_sub(1).map(ip), last.checked_add(1).map(ip));
            (ip(first), ip(last), before, after)
        }
    }
}

#[test]
fn every_block_is_refused_up_to_its_borders() {
    let policy = AddressPolicy::default();
    for (block, dialled_before, dialled_after) in BLOCKS {
        let (first, last, before, after) = borders(block.parse().expect(block));
        assert!(policy.judge(first).is_err(), "{block}: first, {first}");
        assert!(policy.judge(last).is_err(), "{block}: last, {last}");
        let neighbours = [(before, dialled_before), (after, dialled_after)];
        for (neighbour, expected) in neighbours {
            let dialled = neighbour.is_some_and(|ip| policy.judge(ip).is_ok());
            assert_eq!(dialled, *expected, "{block}: beside, {neighbour:?}");
        }
    }
}

#[test]
fn the_public_internet_is_dialled() {
    let addresses = [
        "1.1.1.1",
        "8.8.8.8",
        "93.184.216.34",
        "100.63.255.255",
        "100.128.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "168.63.129.15",
        "168.63.129.17",
        // AS112 and AMT: special, but IANA calls them globally reachable.
        "192.31.196.1",
        "192.52.193.1",
        "192.175.48.1",
        "2620:4f:8000::1",
        "223.255.255.255",
        "2000::",
        "2001:200::1",
        "2001:4860:4860::8888",
        "2606:4700:4700::1111",
        "2a00:1450:4001:81b::200e",
        "3fff:1000::",
    ];
    for ip in addresses {
        assert!(is_dialled(ip), "{ip}");
    }
}

#[test]
fn a_metadata_service_is_named_as_such() {
    let addresses = [
        "168.63.129.16",
        "169.254.169.254",
        "169.254.170.2",
        "169.254.170.23",
        "169.254.0.23",
        "169.254.42.42",
        "100.100.100.200",
        "100.96.0.96",
        "192.0.0.192",
        "fd00:ec2::254",
        "fd00:ec2::23",
        "fd20:ce::254",
        "fd00:42::42",
    ];
    for ip in addresses {
        let blocked = AddressPolicy::default().judge(address(ip)).unwrap_err();
        assert_eq!(blocked.why, "a cloud's metadata service", "{ip}");
        assert_eq!(blocked.ip, address(ip));
    }
}

#[test]
fn the_reason_is_in_plain_words() {
    let table = [
        ("10.1.2.3", "a private network (RFC 1918)"),
        ("255.255.255.255", "broadcast (RFC 919)"),
        ("250.0.0.1", "reserved (RFC 1112)"),
        ("::", "the unspecified address (RFC 4291)"),
        ("::1", "loopback (RFC 4291)"),
        ("::7f00:1", "an IPv4-compatible address (RFC 4291)"),
        ("::ffff:10.0.0.1", "an IPv4-mapped address (RFC 4291)"),
        ("::ffff:0:10.0.0.1", "an IPv4-translated address (RFC 2765)"),
        ("64:ff9b::10.0.0.1", "NAT64 (RFC 6052)"),
        ("2002:a00:1::", "6to4 (RFC 3056)"),
        ("2001:0:1::1", "Teredo (RFC 4380)"),
        ("2001:1::1", "IETF protocol assignments (RFC 2928)"),
        ("8000::1", "not a global IPv6 unicast address, 2000::/3 (RFC 4291)"),
    ];
    for (ip, why) in table {
        let blocked = AddressPolicy::default().judge(address(ip)).unwrap_err();
        let text = format!("the address {} may not be dialled: {why}", address(ip));
        assert_eq!(blocked.to_string(), text);
    }
}

#[test]
fn a_public_address_inside_of_another_is_refused_too() {
    for ip in ["::ffff:8.8.8.8", "::8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1"] {
        assert!(!is_dialled(ip), "{ip}");
    }
}

#[test]
fn an_allowed_network_lifts_what_it_names_and_nothing_more() {
    let policy = allowing(&["10.1.0.0/16", "fd12:3456::/32", "127.0.0.1/32"]);
    for ip in ["10.1.0.0", "10.1.255.255", "fd12:3456::1", "127.0.0.1", "8.8.8.8", "2600::1"] {
        assert_eq!(policy.judge(address(ip)), Ok(()), "{ip}");
    }
    for ip in ["10.0.255.255", "10.2.0.0", "fd12:3457::", "127.0.0.2", "::1", "169.254.169.254"] {
        assert!(policy.judge(address(ip)).is_err(), "{ip}");
    }
}

#[test]
fn an_allowed_network_need_not_be_written_with_zeros_behind_its_prefix() {
    assert!(allowing(&["10.1.2.3/16"]).judge(address("10.1.255.1")).is_ok());
}

#[test]
fn a_mapped_address_is_lifted_by_the_ipv4_network_that_names_the_inner_one() {
    let mapped = address("::ffff:10.1.2.3");
    assert!(allowing(&["10.1.0.0/16"]).judge(mapped).is_ok());
    assert!(allowing(&["10.2.0.0/16"]).judge(mapped).is_err());
    // The system would dial 10.1.2.3, which no network of IPv6 names.
    assert!(allowing(&["::/0"]).judge(mapped).is_err());
}

#[test]
fn other_forms_that_hold_an_ipv4_address_are_lifted_by_ipv6_networks() {
    for ip in ["::10.1.2.3", "64:ff9b::10.1.2.3", "2002:a01:203::1", "::ffff:0:10.1.2.3"] {
        assert!(allowing(&["10.1.0.0/16"]).judge(address(ip)).is_err(), "{ip}");
        assert!(allowing(&["::/0"]).judge(address(ip)).is_ok(), "{ip}");
    }
}

#[test]
fn dev_dials_everything() {
    let policy = AddressPolicy {
        dev: true,
        networks: Vec::new(),
    };
    for ip in ["127.0.0.1", "::1", "169.254.169.254", "::ffff:10.0.0.1", "ff02::1", "0.0.0.0"] {
        assert_eq!(policy.judge(address(ip)), Ok(()), "{ip}");
    }
}

/// What the standard library knows without our tables.
fn std_calls_special(ip: Ipv4Addr) -> bool {
    ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_multicast()
        || ip.is_broadcast()
        || ip.is_documentation()
        || ip.is_unspecified()
}

proptest! {
    #[test]
    fn what_the_standard_library_calls_special_is_never_dialled(bits: u32) {
        let ip = Ipv4Addr::from_bits(bits);
        let dialled = AddressPolicy::default().judge(ip.into()).is_ok();
        prop_assert!(!(dialled && std_calls_special(ip)));
    }

    #[test]
    fn nothing_outside_of_global_unicast_is_dialled(bits: u128) {
        let ip = Ipv6Addr::from_bits(bits);
        let global = ip.segments()[0] & 0xe000 == 0x2000;
        prop_assert!(global || AddressPolicy::default().judge(ip.into()).is_err());
    }

    #[test]
    fn no_form_of_an_ipv4_address_is_dialled(bits: u32) {
        let inner = u128::from(bits);
        let forms = [
            inner,
            0xffff << 32 | inner,
            0xffff << 48 | inner,
            0x64_ff9b << 96 | inner,
            0x64_ff9b_0001 << 80 | inner,
            0x2002 << 112 | inner << 80,
            0x2001_0000 << 96 | inner,
        ];
        for form in forms {
            let ip = Ipv6Addr::from_bits(form);
            prop_assert!(AddressPolicy::default().judge(ip.into()).is_err(), "{}", ip);
        }
    }

    #[test]
    fn a_network_lifts_exactly_what_it_holds(base: u32, prefix in 0u8..=32, bits: u32) {
        let network = Ipv4Net::new(Ipv4Addr::from_bits(base), prefix).unwrap();
        let policy = AddressPolicy { dev: false, networks: vec![network.into()] };
        let ip = Ipv4Addr::from_bits(bits);
        let expected = network.contains(&ip) || AddressPolicy::default().judge(ip.into()).is_ok();
        prop_assert_eq!(policy.judge(ip.into()).is_ok(), expected);
    }

    #[test]
    fn a_network_of_ipv6_lifts_all_that_it_holds(base: u128, prefix in 1u8..=128, low: u128) {
        let network = Ipv6Net::new(Ipv6Addr::from_bits(base), prefix).unwrap().trunc();
        let mask = network.hostmask().to_bits();
        let ip = Ipv6Addr::from_bits(network.addr().to_bits() | low & mask);
        prop_assume!(ip.to_ipv4_mapped().is_none());
        let policy = AddressPolicy { dev: false, networks: vec![network.into()] };
        prop_assert_eq!(policy.judge(ip.into()), Ok(()));
    }
}
