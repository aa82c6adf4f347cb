//! Which IP address may be dialled.
//!
//! A name that was fine when its webhook was registered may point anywhere by the time we send, so
//! the address is judged at each connection, on the very address that is dialled. What IANA's
//! special-purpose registries do not call globally reachable is never dialled, nor what carries
//! another address inside of it, nor where a cloud answers questions about the machine.
//!
//! The tables follow the registries of RFC 6890 and RFC 8190:
//! <https://www.iana.org/assignments/iana-ipv4-special-registry> and
//! <https://www.iana.org/assignments/iana-ipv6-special-registry>. They are stricter in two blocks:
//! all of 192.0.0.0/24 and 2001::/23 is refused, also the few anycast addresses of NAT gateways and
//! relays that IANA does call reachable, since no receiver lives there.
//!
//! Not seen from here: a NAT64 prefix of the operator's own (RFC 6052 §2.2) looks like any global
//! address. Whoever runs one keeps it from reaching inner networks.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// What may be dialled beyond the public internet. The default allows nothing more.
#[derive(Clone, Debug, Default)]
pub struct AddressPolicy {
    /// Everything may be dialled (`--dev`).
    pub dev: bool,
    /// What the operator allows (`--allow-network`): it lifts every rule for the addresses that it
    /// names, those of metadata services included.
    pub networks: Vec<IpNet>,
}

/// An address that may not be dialled. The attempt fails with `error_type` `blocked`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the address {ip} may not be dialled: {why}")]
pub struct BlockedAddress {
    /// The address as it was to be dialled.
    pub ip: IpAddr,
    /// What kind of address it is, with its source.
    pub why: &'static str,
}

impl AddressPolicy {
    /// Says whether `ip` may be dialled; call it on the address that goes to `connect`.
    ///
    /// An IPv4-mapped address (::ffff:0:0/96) makes the system dial the IPv4 address inside, so
    /// only an allowed IPv4 network that names the inner one lifts it; `--allow-network ::/0` does
    /// not. Other forms that carry an IPv4 address travel as IPv6 and are lifted by IPv6 networks.
    pub fn judge(&self, ip: IpAddr) -> Result<(), BlockedAddress> {
        if self.dev || self.allows(ip) {
            return Ok(());
        }
        let why = match ip {
            IpAddr::V4(v4) => why_not_v4(v4),
            IpAddr::V6(v6) => why_not_v6(v6),
        };
        why.map_or(Ok(()), |why| Err(BlockedAddress { ip, why }))
    }

    fn allows(&self, ip: IpAddr) -> bool {
        let dialled = ip.to_canonical();
        self.networks.iter().any(|network| network.contains(&dialled))
    }
}

fn why_not_v4(ip: Ipv4Addr) -> Option<&'static str> {
    let block = V4_BLOCKS.iter().find(|block| block.network.contains(&ip));
    block.map(|block| block.why)
}

fn why_not_v6(ip: Ipv6Addr) -> Option<&'static str> {
    let block = V6_BLOCKS.iter().find(|block| block.network.contains(&ip));
    match block {
        Some(block) => Some(block.why),
        None if V6_GLOBAL.contains(&ip) => None,
        None => Some("not a global IPv6 unicast address, 2000::/3 (RFC 4291)"),
    }
}

struct Block<Network> {
    network: Network,
    why: &'static str,
}

const fn v4(ip: [u8; 4], prefix_len: u8, why: &'static str) -> Block<Ipv4Net> {
    let [a, b, c, d] = ip;
    // A prefix that is too long stops the compiler: these are constants.
    let network = Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix_len);
    Block { network, why }
}

const fn v6(groups: [u16; 8], prefix_len: u8, why: &'static str) -> Block<Ipv6Net> {
    let [a, b, c, d, e, f, g, h] = groups;
    let network = Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, e, f, g, h), prefix_len);
    Block { network, why }
}

const METADATA: &str = "a cloud's metadata service";

/// The first block that holds an address names the reason, so single addresses come first.
static V4_BLOCKS: &[Block<Ipv4Net>] = &[
    // Azure's wire server, on an address that looks public.
    v4([168, 63, 129, 16], 32, METADATA),
    // AWS, Google, Azure, Oracle, DigitalOcean, Hetzner, OpenStack.
    v4([169, 254, 169, 254], 32, METADATA),
    // AWS, for the tasks of ECS and the pods of EKS.
    v4([169, 254, 170, 2], 32, METADATA),
    v4([169, 254, 170, 23], 32, METADATA),
    // Tencent and Scaleway.
    v4([169, 254, 0, 23], 32, METADATA),
    v4([169, 254, 42, 42], 32, METADATA),
    // Alibaba and Volcengine, in the block of carrier-grade NAT.
    v4([100, 100, 100, 200], 32, METADATA),
    v4([100, 96, 0, 96], 32, METADATA),
    // Oracle Cloud Classic.
    v4([192, 0, 0, 192], 32, METADATA),
    v4([0, 0, 0, 0], 8, "this network (RFC 791)"),
    v4([10, 0, 0, 0], 8, "a private network (RFC 1918)"),
    v4([100, 64, 0, 0], 10, "carrier-grade NAT (RFC 6598)"),
    v4([127, 0, 0, 0], 8, "loopback (RFC 1122)"),
    v4([169, 254, 0, 0], 16, "link-local (RFC 3927)"),
    v4([172, 16, 0, 0], 12, "a private network (RFC 1918)"),
    v4([192, 0, 0, 0], 24, "IETF protocol assignments (RFC 6890)"),
    v4([192, 0, 2, 0], 24, "documentation (RFC 5737)"),
    v4([192, 88, 99, 0], 24, "a relay of 6to4 (RFC 7526)"),
    v4([192, 168, 0, 0], 16, "a private network (RFC 1918)"),
    v4([198, 18, 0, 0], 15, "benchmarking (RFC 2544)"),
    v4([198, 51, 100, 0], 24, "documentation (RFC 5737)"),
    v4([203, 0, 113, 0], 24, "documentation (RFC 5737)"),
    v4([224, 0, 0, 0], 4, "multicast (RFC 5771)"),
    v4([255, 255, 255, 255], 32, "broadcast (RFC 919)"),
    v4([240, 0, 0, 0], 4, "reserved (RFC 1112)"),
];

/// RFC 4291 §2.4 and IANA's list of IPv6 address space: the only block handed out to networks.
static V6_GLOBAL: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// Blocks outside of 2000::/3 would be refused without their line: it gives the better reason.
static V6_BLOCKS: &[Block<Ipv6Net>] = &[
    // AWS, and its pods of EKS.
    v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254], 128, METADATA),
    v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23], 128, METADATA),
    // Google.
    v6([0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254], 128, METADATA),
    // Scaleway.
    v6([0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42], 128, METADATA),
    v6([0, 0, 0, 0, 0, 0, 0, 0], 128, "the unspecified address (RFC 4291)"),
    v6([0, 0, 0, 0, 0, 0, 0, 1], 128, "loopback (RFC 4291)"),
    v6([0, 0, 0, 0, 0, 0xffff, 0, 0], 96, "an IPv4-mapped address (RFC 4291)"),
    v6([0, 0, 0, 0, 0, 0, 0, 0], 96, "an IPv4-compatible address (RFC 4291)"),
    v6([0, 0, 0, 0, 0xffff, 0, 0, 0], 96, "an IPv4-translated address (RFC 2765)"),
    v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96, "NAT64 (RFC 6052)"),
    v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48, "local NAT64 (RFC 8215)"),
    v6([0x100, 0, 0, 0, 0, 0, 0, 0], 64, "discard-only (RFC 6666)"),
    v6([0x100, 0, 0, 1, 0, 0, 0, 0], 64, "the dummy prefix (RFC 9780)"),
    v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 32, "Teredo (RFC 4380)"),
    v6([0x2001, 2, 0, 0, 0, 0, 0, 0], 48, "benchmarking (RFC 5180)"),
    v6([0x2001, 0x10, 0, 0, 0, 0, 0, 0], 28, "ORCHID (RFC 4843)"),
    v6([0x2001, 0x20, 0, 0, 0, 0, 0, 0], 28, "ORCHIDv2 (RFC 7343)"),
    v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23, "IETF protocol assignments (RFC 2928)"),
    v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32, "documentation (RFC 3849)"),
    v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16, "6to4 (RFC 3056)"),
    v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20, "documentation (RFC 9637)"),
    v6([0x5f00, 0, 0, 0, 0, 0, 0, 0], 16, "segment routing (RFC 9602)"),
    v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7, "a private network (RFC 4193)"),
    v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10, "link-local (RFC 4291)"),
    v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10, "site-local (RFC 3879)"),
    v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8, "multicast (RFC 4291)"),
];
