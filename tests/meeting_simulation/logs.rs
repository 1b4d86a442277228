//! The logs that members keep: those of one meeting tell of the same entries and the same keys.

use std::collections::BTreeMap;

use crate::world::World;

/// Checks the logs of all who are in the meeting at its end against each other.
pub(crate) fn check(world: &World) -> Result<(), String> {
    let logs: Vec<(usize, String)> =
        world.members().into_iter().filter_map(|at| Some((at, world.net.nodes[at].meeting.log()?))).collect();
    agree(&logs)
}

/// Whether every key that one member got is the one that the other drew, and was drawn for that member.
pub(crate) fn agree(logs: &[(usize, String)]) -> Result<(), String> {
    let mut drawn: BTreeMap<(&str, &str, &str), (&str, Vec<&str>)> = BTreeMap::new();
    let mut got = Vec::new();
    for (at, log) in logs {
        let lines: Vec<Vec<&str>> = log.lines().map(|line| line.split(' ').collect()).collect();
        let [title, meeting, member, records @ .., end] = &lines[..] else { return Err(format!("log: {at} is short")) };
        let ["member", own, _] = member[..] else { return Err(format!("log: {at} does not say whose it is")) };
        if title.join(" ") != "conclave meeting log 1" || meeting[0] != "meeting" || end[0] != "end" {
            return Err(format!("log: {at} is not laid out as it should be"));
        }
        for (number, record) in records.iter().enumerate() {
            if record[0] != "record" || record[1] != (number + 1).to_string() {
                return Err(format!("log: record {number} of {at} is out of place"));
            }
            match &record[3..] {
                ["entry", _] | ["using", _] | ["code", _, _] => {}
                ["drew", generation, roster, key, to] => {
                    drawn.insert((own, *generation, *roster), (*key, to.split(',').collect()));
                }
                ["got", from, generation, roster, key] => got.push((*at, own, (*from, *generation, *roster), *key)),
                other => return Err(format!("log: {at} records {other:?}")),
            }
        }
    }
    for (at, own, which, key) in got {
        // Whoever has left no log cannot be asked.
        let Some((drew, to)) = drawn.get(&which) else { continue };
        if *drew != key || !to.contains(&own) {
            return Err(format!("log: {at} got generation {} of {}, which was not drawn for it", which.1, which.0));
        }
    }
    Ok(())
}
