//! What became of each packet of a link, and what that comes to: bytes by the second, queueing delay, losses, flows.

use std::collections::HashMap;
use std::io::{self, Write};
use std::time::Duration;

use serde_json::{Value, json};

/// Most packets that are remembered; a run of an hour at 500 packets a second.
const PACKETS: usize = 1_800_000;
/// Most flows that are told apart; what comes later counts as the last one.
const FLOWS: usize = 64;

/// How a packet's way ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It waited so long, and left the bottleneck at this moment.
    Carried {
        /// Time in the queue, without its own turn.
        queued: Duration,
        /// When it had passed the bottleneck.
        left: Duration,
    },
    /// Lost by chance.
    Lost,
    /// The queue was full.
    Refused,
}

/// One packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// When it came in.
    pub arrived: Duration,
    /// Bytes of the IP packet.
    pub size: u16,
    /// Number of its flow.
    pub flow: u16,
    /// What became of it.
    pub fate: Fate,
}

/// All packets since the statistics began.
#[derive(Default)]
pub struct Records {
    began: Duration,
    all: Vec<Record>,
    flows: HashMap<String, u16>,
}

impl Records {
    /// What was before is forgotten.
    pub fn begin(&mut self, now: Duration) {
        self.began = now;
        self.all.clear();
    }

    pub fn push(&mut self, record: Record) {
        if record.arrived >= self.began && self.all.len() < PACKETS {
            self.all.push(record);
        }
    }

    /// Number of the flow that an IPv4 packet belongs to: protocol, addresses and ports.
    pub fn flow_of(&mut self, packet: &[u8]) -> u16 {
        let name = flow_name(packet);
        let next = self.flows.len();
        match self.flows.get(&name) {
            Some(number) => *number,
            None if next < FLOWS => {
                self.flows.insert(name, next as u16);
                next as u16
            }
            None => FLOWS as u16 - 1,
        }
    }

    /// Statistics up to `now`: one JSON object.
    pub fn summary(&self, now: Duration) -> Value {
        let seconds = (now.saturating_sub(self.began)).as_secs_f64();
        let second = |at: Duration| (at.saturating_sub(self.began)).as_secs() as usize;
        let length = seconds.ceil() as usize;
        let (mut offered, mut carried) = (vec![0u64; length], vec![0u64; length]);
        let mut flows = vec![vec![0u64; length]; self.flows.len()];
        let (mut lost, mut refused) = (0, 0);
        let mut queued: Vec<f64> = Vec::new();
        for record in &self.all {
            let size = u64::from(record.size);
            add(&mut offered, second(record.arrived), size);
            match record.fate {
                Fate::Lost => lost += 1,
                Fate::Refused => refused += 1,
                Fate::Carried { queued: waited, left } => {
                    queued.push(waited.as_secs_f64() * 1e3);
                    add(&mut carried, second(left), size);
                    if let Some(flow) = flows.get_mut(usize::from(record.flow)) {
                        add(flow, second(left), size);
                    }
                }
            }
        }
        queued.sort_by(f64::total_cmp);
        let mut named: Vec<_> = self.flows.iter().collect();
        named.sort_by_key(|(_, number)| **number);
        let flows: Vec<Value> = named
            .into_iter()
            .map(|(name, number)| json!({ "flow": name, "bytes_by_second": flows[usize::from(*number)] }))
            .collect();
        json!({
            "seconds": seconds,
            "packets": self.all.len(),
            "lost": lost,
            "refused": refused,
            "offered_bytes_by_second": offered,
            "carried_bytes_by_second": carried,
            "queued_ms": {
                "p50": percentile(&queued, 0.5), "p95": percentile(&queued, 0.95), "p99": percentile(&queued, 0.99),
                "most": queued.last(),
            },
            "flows": flows,
        })
    }

    /// Every packet as a line: moment in ms, bytes, flow, `carried`, `lost` or `refused`, ms in the queue.
    pub fn write_csv(&self, direction: &str, out: &mut impl Write) -> io::Result<()> {
        for record in &self.all {
            let (fate, queued) = match record.fate {
                Fate::Carried { queued, .. } => ("carried", queued.as_secs_f64() * 1e3),
                Fate::Lost => ("lost", 0.0),
                Fate::Refused => ("refused", 0.0),
            };
            let at = (record.arrived.saturating_sub(self.began)).as_secs_f64() * 1e3;
            writeln!(out, "{direction},{at:.3},{},{},{fate},{queued:.3}", record.size, record.flow)?;
        }
        Ok(())
    }

    #[cfg(test)]
    pub fn all(&self) -> &[Record] {
        &self.all
    }
}

fn add(by_second: &mut [u64], second: usize, bytes: u64) {
    if let Some(sum) = by_second.get_mut(second) {
        *sum += bytes;
    }
}

/// The value that so large a part of the sorted values does not exceed.
fn percentile(sorted: &[f64], part: f64) -> Option<f64> {
    sorted.get((sorted.len().checked_sub(1)? as f64 * part).round() as usize).copied()
}

/// `udp 10.0.0.1:5000 > 10.0.0.2:6000`; `other` for what is not IPv4 with ports.
fn flow_name(packet: &[u8]) -> String {
    let header = packet.first().map_or(0, |first| usize::from(first & 0x0F) * 4);
    let protocol = match (packet.first().map(|first| first >> 4), packet.get(9)) {
        (Some(4), Some(6)) => "tcp",
        (Some(4), Some(17)) => "udp",
        _ => return "other".into(),
    };
    let (Some(from), Some(to), Some(ports)) = (packet.get(12..16), packet.get(16..20), packet.get(header..header + 4))
    else {
        return "other".into();
    };
    let address = |ip: &[u8], port: &[u8]| {
        let port = u16::from_be_bytes([port[0], port[1]]);
        format!("{}.{}.{}.{}:{port}", ip[0], ip[1], ip[2], ip[3])
    };
    format!("{protocol} {} > {}", address(from, &ports[..2]), address(to, &ports[2..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flows_are_told_apart_by_their_ports_and_are_bounded() {
        let packet = |port: u16| {
            let mut packet = vec![0; 28];
            packet[0] = 0x45;
            packet[9] = 17;
            packet[12..20].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
            packet[20..22].copy_from_slice(&port.to_be_bytes());
            packet[22..24].copy_from_slice(&443u16.to_be_bytes());
            packet
        };
        assert_eq!(flow_name(&packet(5000)), "udp 10.0.0.1:5000 > 10.0.0.2:443");
        for odd in [&[][..], &[0x60; 40][..], &[0x45; 12][..]] {
            assert_eq!(flow_name(odd), "other");
        }
        let mut records = Records::default();
        for port in 0..1000 {
            assert!(usize::from(records.flow_of(&packet(port))) < FLOWS);
        }
        assert_eq!(records.flow_of(&packet(0)), 0);
        assert_eq!(records.flows.len(), FLOWS);
    }

    #[test]
    fn a_summary_counts_bytes_in_the_second_in_which_they_left() {
        let mut records = Records::default();
        records.begin(Duration::from_secs(10));
        let at = |millis: u64| Duration::from_millis(10_000 + millis);
        let carried = |queued: u64, left| Fate::Carried { queued: Duration::from_millis(queued), left: at(left) };
        for (arrived, fate) in
            [(0, carried(0, 10)), (990, carried(40, 1030)), (1500, Fate::Lost), (1600, Fate::Refused)]
        {
            records.push(Record { arrived: at(arrived), size: 1000, flow: 0, fate });
        }
        let summary = records.summary(at(2000));
        assert_eq!(summary["offered_bytes_by_second"], json!([2000, 2000]));
        assert_eq!(summary["carried_bytes_by_second"], json!([1000, 1000]));
        assert_eq!((summary["lost"].as_u64(), summary["refused"].as_u64()), (Some(1), Some(1)));
        assert_eq!(summary["queued_ms"]["p95"], json!(40.0));
    }
}
