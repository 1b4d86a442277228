//! Which country an address lies in, by a table that the person supplies. Nobody is asked over the network.
//!
//! One range a line, `low,high,CC`: both ends inclusive, CC a two-letter code (ISO 3166-1 alpha-2). Addresses are written
//! as usual or, for IPv4, as one decimal number; quotes around fields and further fields are passed over, and so are
//! lines that begin with `#`. This is the layout of DB-IP's free "IP to Country Lite" CSV and of the files in Debian's
//! package tor-geoipdb. Such a table says where an address is registered, not where a machine stands.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read};
use std::net::IpAddr;
use std::path::Path;

/// Largest file, in bytes. DB-IP's has about 25 MB.
const LARGEST: u64 = 128 << 20;
/// Most ranges. DB-IP's file has about 650,000.
const MOST: usize = 4_000_000;
/// Longest line, in bytes: two IPv6 addresses, a code and a remark.
const LONGEST_LINE: usize = 512;

/// A two-letter country code (ISO 3166-1 alpha-2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Country([u8; 2]);

impl Country {
    /// Reads two letters, in either case.
    pub fn parse(text: &str) -> Option<Self> {
        let code: [u8; 2] = text.as_bytes().try_into().ok()?;
        code.iter().all(u8::is_ascii_alphabetic).then(|| Self(code.map(|letter| letter.to_ascii_uppercase())))
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, second] = self.0.map(char::from);
        write!(f, "{first}{second}")
    }
}

impl fmt::Debug for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Why a table cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// It could not be read.
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
    /// Larger than a table of countries can be.
    #[error("it is too large")]
    TooLarge,
    /// This line is none of `low,high,CC`.
    #[error("line {0} is not understood")]
    Line(usize),
    /// Two ranges share an address, so one of them is wrong.
    #[error("two ranges overlap at {0}")]
    Overlap(IpAddr),
    /// There is no range in it.
    #[error("it holds no range")]
    Empty,
}

/// Ranges of one family: first address, last address, country. Sorted, without overlap.
type Ranges<T> = Vec<(T, T, Country)>;

/// A table of ranges, looked up by bisection.
#[derive(Default)]
pub struct CountryTable {
    v4: Ranges<u32>,
    v6: Ranges<u128>,
}

impl fmt::Debug for CountryTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CountryTable({} ranges)", self.len())
    }
}

impl CountryTable {
    /// Reads a file.
    ///
    /// # Errors
    /// A [`TableError`].
    pub fn read(path: &Path) -> Result<Self, TableError> {
        let file = std::fs::File::open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::from(io::ErrorKind::InvalidInput).into());
        }
        Self::parse(BufReader::new(file))
    }

    /// Reads a text of at most 128 MiB.
    ///
    /// # Errors
    /// A [`TableError`].
    pub fn parse(input: impl BufRead) -> Result<Self, TableError> {
        let mut input = input.take(LARGEST + 1);
        let mut table = Self::default();
        let mut line = Vec::with_capacity(128);
        for number in 1.. {
            line.clear();
            // Never more than one line, nor more of it than a line can have, is in memory.
            if (&mut input).take(LONGEST_LINE as u64 + 1).read_until(b'\n', &mut line)? == 0 {
                break;
            }
            if input.limit() == 0 || table.len() >= MOST {
                return Err(TableError::TooLarge);
            }
            let text = std::str::from_utf8(&line).map_err(|_| TableError::Line(number))?.trim();
            if line.len() > LONGEST_LINE {
                return Err(TableError::Line(number));
            }
            if !text.is_empty() && !text.starts_with('#') {
                table.add(text).ok_or(TableError::Line(number))?;
            }
        }
        sort(&mut table.v4).map_or(Ok(()), |at| Err(TableError::Overlap(IpAddr::from(at.to_be_bytes()))))?;
        sort(&mut table.v6).map_or(Ok(()), |at| Err(TableError::Overlap(IpAddr::from(at.to_be_bytes()))))?;
        if table.len() == 0 { Err(TableError::Empty) } else { Ok(table) }
    }

    fn add(&mut self, text: &str) -> Option<()> {
        let mut fields = text.split(',').map(|field| field.trim().trim_matches('"'));
        let (low, high, code) = (address(fields.next()?)?, address(fields.next()?)?, fields.next()?);
        // How tables say that they do not know.
        if matches!(code, "" | "-" | "??" | "ZZ") {
            return (low <= high && low.is_ipv4() == high.is_ipv4()).then_some(());
        }
        let country = Country::parse(code)?;
        match (low, high) {
            (IpAddr::V4(low), IpAddr::V4(high)) if low <= high => {
                self.v4.push((low.to_bits(), high.to_bits(), country));
            }
            (IpAddr::V6(low), IpAddr::V6(high)) if low <= high => {
                self.v6.push((low.to_bits(), high.to_bits(), country));
            }
            _ => return None,
        }
        Some(())
    }

    /// How many ranges it has.
    fn len(&self) -> usize {
        self.v4.len() + self.v6.len()
    }

    /// The country of an address: `None` if the table does not have it, and for addresses that are nowhere in particular,
    /// those of local networks and of this machine among them, whatever the table says.
    pub fn country(&self, ip: IpAddr) -> Option<Country> {
        let ip = ip.to_canonical();
        if is_local(ip) {
            return None;
        }
        match ip {
            IpAddr::V4(ip) => find(&self.v4, ip.to_bits()),
            IpAddr::V6(ip) => find(&self.v6, ip.to_bits()),
        }
    }

    /// Whether any range belongs to this country.
    pub fn has(&self, country: Country) -> bool {
        self.v4.iter().any(|(.., other)| *other == country) || self.v6.iter().any(|(.., other)| *other == country)
    }
}

/// Dotted, with colons, or one decimal number.
fn address(text: &str) -> Option<IpAddr> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(IpAddr::from(text.parse::<u32>().ok()?.to_be_bytes()));
    }
    text.parse().ok()
}

/// Sorts; gives the first address that two ranges share, if any do.
fn sort<T: Ord + Copy>(ranges: &mut Ranges<T>) -> Option<T> {
    ranges.sort_unstable();
    ranges.shrink_to_fit();
    ranges.windows(2).find(|pair| pair[1].0 <= pair[0].1).map(|pair| pair[1].0)
}

fn find<T: Ord + Copy>(ranges: &Ranges<T>, at: T) -> Option<Country> {
    let after = ranges.partition_point(|(low, ..)| *low <= at);
    let (_, high, country) = ranges.get(after.checked_sub(1)?)?;
    (at <= *high).then_some(*country)
}

/// Addresses that mean something on one machine or one network alone, and those that are nobody's.
fn is_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let [first, second, ..] = ip.octets();
            // RFC 6598: shared behind the NAT of a provider.
            let shared = first == 100 && second & 0xC0 == 64;
            ip.is_private() || ip.is_loopback() || ip.is_link_local() || shared || first == 0 || first >= 224
        }
        IpAddr::V6(ip) => {
            ip.is_loopback()
                || ip.is_unspecified()
                || ip.is_unicast_link_local()
                || ip.is_unique_local()
                || ip.is_multicast()
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn table(text: &str) -> Result<CountryTable, TableError> {
        CountryTable::parse(text.as_bytes())
    }

    fn of(table: &CountryTable, ip: &str) -> Option<String> {
        table.country(ip.parse().unwrap()).map(|country| country.to_string())
    }

    #[test]
    fn both_layouts_are_read_and_mean_the_same() {
        let text = "# a remark\n\n1.0.0.0,1.0.0.255,AU\n\"2001:200::\",\"2001:200:ffff:ffff:ffff:ffff:ffff:ffff\",\"jp\"\r\n\
                    16777472,16778239,CN,more\n5.0.0.0,5.0.0.255,??\n";
        let table = table(text).unwrap();
        assert_eq!(table.len(), 3);
        for (ip, country) in [
            ("1.0.0.0", Some("AU")),
            ("1.0.0.255", Some("AU")),
            ("1.0.1.0", Some("CN")),
            ("1.0.3.255", Some("CN")),
            ("1.0.4.0", None),
            ("0.255.255.255", None),
            ("5.0.0.1", None),
            ("2001:200::1", Some("JP")),
            ("2001:201::", None),
            ("::ffff:1.0.0.7", Some("AU")),
        ] {
            assert_eq!(of(&table, ip).as_deref(), country, "{ip}");
        }
        assert!(table.has(Country::parse("jp").unwrap()) && !table.has(Country::parse("DE").unwrap()));
    }

    #[test]
    fn local_addresses_have_no_country_whatever_the_table_says() {
        let everything = table("0.0.0.0,255.255.255.255,DE\n::,ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff,DE\n").unwrap();
        for ip in [
            "127.0.0.1",
            "10.1.2.3",
            "192.168.1.1",
            "172.16.0.1",
            "169.254.1.1",
            "100.64.0.1",
            "::1",
            "fd00::1",
            "fe80::1",
        ] {
            assert_eq!(of(&everything, ip), None, "{ip}");
        }
        assert_eq!(of(&everything, "203.0.113.1").as_deref(), Some("DE"));
        assert_eq!(of(&everything, "2001:db8::1").as_deref(), Some("DE"));
    }

    #[test]
    fn what_is_wrong_is_named_by_its_line() {
        for (text, line) in [
            ("1.0.0.0,1.0.0.255\n", 1),
            ("#\n1.0.0.0,1.0.0.255,AUS\n", 2),
            ("1.0.0.9,1.0.0.0,AU\n", 1),
            ("1.0.0.0,::1,AU\n", 1),
            ("1.0.0.0,1.0.0.256,AU\n", 1),
            ("4294967295,4294967296,AU\n", 1),
            ("1.0.0.0,1.0.0.1,A1\n", 1),
            ("1.0.0.0,1.0.0.1,AU\nhello\n", 2),
        ] {
            assert!(matches!(table(text), Err(TableError::Line(found)) if found == line), "{text}");
        }
        assert!(matches!(table(&format!("{},AU", "1".repeat(600))), Err(TableError::Line(1))));
        assert!(matches!(table("# nothing\n"), Err(TableError::Empty)));
        let overlap = table("1.0.0.0,1.0.0.9,AU\n1.0.0.9,1.0.0.12,NZ\n");
        assert!(matches!(overlap, Err(TableError::Overlap(at)) if at == IpAddr::from([1, 0, 0, 9])));
        assert!(matches!(CountryTable::read(Path::new("/nonexistent")), Err(TableError::Io(_))));
        assert!(matches!(CountryTable::read(Path::new("/")), Err(TableError::Io(_))));
    }

    #[test]
    fn an_endless_file_is_given_up() {
        /// Remarks without end.
        struct Remarks;
        impl Read for Remarks {
            fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
                for (at, byte) in out.iter_mut().enumerate() {
                    *byte = if at % 256 == 255 { b'\n' } else { b'#' };
                }
                Ok(out.len())
            }
        }
        assert!(matches!(CountryTable::parse(BufReader::new(Remarks)), Err(TableError::TooLarge)));
    }

    proptest! {
        #[test]
        fn bisection_finds_what_a_walk_finds(
            cuts in proptest::collection::btree_set(0x0100_0000u32..0x0A00_0000, 2..40), probe in 0x0100_0000u32..0x0A00_0000,
        ) {
            let cuts: Vec<u32> = cuts.into_iter().collect();
            let ranges: Vec<(u32, u32, &str)> =
                cuts.chunks_exact(2).enumerate().map(|(n, pair)| (pair[0], pair[1], ["AU", "JP", "DE"][n % 3])).collect();
            // Written backwards: order in the file does not matter.
            let text: String = ranges.iter().rev().map(|(low, high, code)| format!("{low},{high},{code}\n")).collect();
            let table = table(&text).unwrap();
            for at in cuts.iter().copied().chain([probe]) {
                let walked = ranges.iter().find(|(low, high, _)| (*low..=*high).contains(&at)).map(|(.., code)| *code);
                prop_assert_eq!(find(&table.v4, at), walked.and_then(Country::parse));
            }
        }

        #[test]
        fn arbitrary_text_never_panics(text in ".{0,300}") {
            let _ = table(&text);
        }
    }
}
