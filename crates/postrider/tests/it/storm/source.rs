//! Which process is at the other end of a connection on this machine, by what the kernel says under /proc.

use std::fs;
use std::net::{IpAddr, SocketAddr};

/// The process among these that has the socket of this address.
pub(super) fn process_at(peer: SocketAddr, among: &[u32]) -> Option<u32> {
    let inode = inode(peer)?;
    let link = format!("socket:[{inode}]");
    among.iter().copied().find(|pid| {
        let handles = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        handles
            .filter_map(|handle| fs::read_link(handle.path()).ok())
            .any(|target| target.to_str() == Some(link.as_str()))
    })
}

/// proc(5), /proc/net/tcp: the local address is the second field, in the byte order of the machine, the inode the tenth.
fn inode(address: SocketAddr) -> Option<u64> {
    let IpAddr::V4(ip) = address.ip() else { return None };
    let wanted = format!("{:08X}:{:04X}", u32::from_ne_bytes(ip.octets()), address.port());
    let table = fs::read_to_string("/proc/net/tcp").ok()?;
    let mut lines = table.lines().map(|line| line.split_ascii_whitespace());
    let mut found = lines.find(|fields| fields.clone().nth(1) == Some(&wanted))?;
    found.nth(9)?.parse().ok().filter(|inode| *inode > 0)
}

#[test]
fn this_process_is_at_the_other_end_of_its_own_connection() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (_, peer) = listener.accept().unwrap();
    assert_eq!(peer, client.local_addr().unwrap());
    assert_eq!(process_at(peer, &[1, std::process::id()]), Some(std::process::id()));
    assert_eq!(process_at(peer, &[]), None);
}
