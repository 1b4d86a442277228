//! Paired measurement: two things in turn, many times, and the median of their ratios.

use std::time::{Duration, Instant};

/// Rounds of each pair. The median of this many ratios moves by about a percent between runs on a busy machine.
const ROUNDS: usize = 61;
/// A batch is long enough for the clock and short enough that both of a round meet the same machine.
const BATCH: Duration = Duration::from_millis(6);
/// One call that takes longer than this is a batch by itself.
const MOST_CALLS: u32 = 20_000;

struct Row {
    name: String,
    peer: String,
    ours_ns: f64,
    theirs_ns: f64,
    ratio: f64,
    /// First and third quartile of the ratio.
    spread: (f64, f64),
}

/// Collects rows.
pub(crate) struct Bench {
    only: Option<String>,
    rows: Vec<Row>,
}

impl Bench {
    pub(crate) fn new(only: Option<String>) -> Self {
        Self { only, rows: Vec::new() }
    }

    /// Whether any of the rows whose names begin with `name` is wanted: preparing them takes time too.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|only| name.contains(only.as_str()))
    }

    /// Measures `ours` against `theirs`, which do the same work once for each call.
    pub(crate) fn pair(&mut self, name: &str, peer: &str, ours: impl FnMut(), theirs: impl FnMut()) {
        self.pair_of(name, peer, 1, ours, theirs);
    }

    /// The same for work whose cost changes from one unit to the next: each call does the same `units` of it, and the
    /// table gives the time of one.
    pub(crate) fn pair_of(
        &mut self,
        name: &str,
        peer: &str,
        units: usize,
        mut ours: impl FnMut(),
        mut theirs: impl FnMut(),
    ) {
        if !self.wants(name) {
            return;
        }
        eprintln!("measuring {name} …");
        let calls = calls_for(&mut ours).min(calls_for(&mut theirs));
        let (mut a, mut b) = (Vec::with_capacity(ROUNDS), Vec::with_capacity(ROUNDS));
        for round in 0..ROUNDS {
            // Who goes first changes, so that neither always finds the caches warm.
            if round % 2 == 0 {
                a.push(batch(&mut ours, calls));
                b.push(batch(&mut theirs, calls));
            } else {
                b.push(batch(&mut theirs, calls));
                a.push(batch(&mut ours, calls));
            }
        }
        let mut ratios: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a / b).collect();
        let [first, ratio, third] = quartiles(&mut ratios);
        let [ours_ns, theirs_ns] = [&mut a, &mut b].map(|times| quartiles(times)[1] / units as f64);
        let row = Row { name: name.into(), peer: peer.into(), ours_ns, theirs_ns, ratio, spread: (first, third) };
        eprintln!("  {} against {}: {ratio:.2}", time(ours_ns), time(theirs_ns));
        self.rows.push(row);
    }

    /// The rows as Markdown.
    pub(crate) fn table(&self) -> String {
        let mut text = String::from("| what | ours | peer | the peer is | ratio | middle half of the ratios |\n");
        text += "|---|---:|---:|---|---:|---|";
        for row in &self.rows {
            let (ours, theirs) = (time(row.ours_ns), time(row.theirs_ns));
            text += &format!(
                "\n| {} | {ours} | {theirs} | {} | **{:.2}** | {:.2} – {:.2} |",
                row.name, row.peer, row.ratio, row.spread.0, row.spread.1
            );
        }
        text
    }
}

/// Nanoseconds a call.
fn batch(work: &mut impl FnMut(), calls: u32) -> f64 {
    let start = Instant::now();
    for _ in 0..calls {
        work();
    }
    start.elapsed().as_nanos() as f64 / f64::from(calls)
}

fn calls_for(work: &mut impl FnMut()) -> u32 {
    let mut calls = 1;
    loop {
        let took = batch(work, calls) * f64::from(calls);
        if took * 2.0 > BATCH.as_nanos() as f64 || calls >= MOST_CALLS {
            return calls;
        }
        calls *= 2;
    }
}

fn quartiles(values: &mut [f64]) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    [values.len() / 4, values.len() / 2, values.len() * 3 / 4].map(|at| values[at])
}

fn time(ns: f64) -> String {
    match ns {
        ns if ns < 1e3 => format!("{ns:.0} ns"),
        ns if ns < 1e5 => format!("{:.2} µs", ns / 1e3),
        ns if ns < 1e6 => format!("{:.0} µs", ns / 1e3),
        ns => format!("{:.2} ms", ns / 1e6),
    }
}
