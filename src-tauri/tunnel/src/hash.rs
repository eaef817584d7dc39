//! A hash that is the same in every release, which the standard library's need not be: ports and
//! host names of tunnels come from it.

/// FNV-1a (Fowler, Noll, Vo; 64 bits) over `parts`, each ended by a zero byte.
pub(crate) fn of(parts: &[&str]) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for part in parts {
        for byte in part.bytes().chain([0]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    hash
}
