//! Which process is at the other end of a connection on this machine, by what the kernel says under /proc.

use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};

/// The process among these that is at the other end; `None` where it is none of them, or gone.
pub(super) fn process_behind(stream: &TcpStream, among: &[u32]) -> io::Result<Option<u32>> {
    // Its own address is this end's peer. One port can be that of connections to several places: both ends are looked at.
    let Some(inode) = inode(stream.peer_addr()?, stream.local_addr()?) else {
        return Ok(None);
    };
    let link = format!("socket:[{inode}]");
    let has_it = |pid: &u32| {
        let handles = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        let mut targets = handles.filter_map(|handle| fs::read_link(handle.path()).ok());
        targets.any(|target| target.to_str() == Some(link.as_str()))
    };
    Ok(among.iter().copied().find(has_it))
}

/// proc(5), /proc/net/tcp: local and remote address are the second and third field, the inode is the tenth.
fn inode(local: SocketAddr, remote: SocketAddr) -> Option<u64> {
    let (local, remote) = (in_table(local)?, in_table(remote)?);
    let table = fs::read_to_string("/proc/net/tcp").ok()?;
    let mut lines = table.lines().map(|line| line.split_ascii_whitespace());
    let is_it = |fields: &std::str::SplitAsciiWhitespace<'_>| fields.clone().skip(1).take(2).eq([local.as_str(), remote.as_str()]);
    lines.find(is_it)?.nth(9)?.parse().ok().filter(|inode| *inode > 0)
}

/// The address in the byte order of the machine, the port in that of people.
fn in_table(address: SocketAddr) -> Option<String> {
    let IpAddr::V4(ip) = address.ip() else { return None };
    Some(format!("{:08X}:{:04X}", u32::from_ne_bytes(ip.octets()), address.port()))
}

#[test]
fn this_process_is_at_the_other_end_of_its_own_connection() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, peer) = listener.accept().unwrap();
    assert_eq!(peer, client.local_addr().unwrap());
    assert_eq!(process_behind(&server, &[1, std::process::id()]).unwrap(), Some(std::process::id()));
    assert_eq!(process_behind(&server, &[]).unwrap(), None);
}
