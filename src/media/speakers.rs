//! Who has the floor: the active speaker, told from levels alone, on this device. Pure.
//!
//! After the idea of Volfin and Cohen ("Dominant speaker identification for multipoint videoconferencing", Computer Speech
//! & Language 27, 2013), in small: each voice's activity is taken over a short, a medium and a long time, and somebody else
//! gets the floor only by surpassing its holder in the first two. A cough or a door does not; a short "yes" does not; who
//! really begins to speak has it within a second; and nobody loses it by drawing breath.

/// What a voice must lie above its background by to be active, in dB.
const ABOVE_NOISE: f32 = 9.0;
/// Quieter than this, in dBFS, nobody is speaking.
const FAINT: f32 = -52.0;
/// Blocks over which a short activity fades (200 ms), a medium (1 s) and a long one (4 s).
const FADES: [f32; 3] = [10.0, 50.0, 200.0];
/// Short and medium activity that the floor takes at least.
const TAKES: [f32; 2] = [0.6, 0.35];
/// What a challenger's short and medium activity must exceed the holder's by.
const MARGIN: [f32; 2] = [0.4, 0.25];
/// People who are looked at.
const MOST: usize = 64;

/// One voice.
#[derive(Clone, Debug)]
struct Voice {
    id: u32,
    seen: bool,
    /// Background in dBFS: falls at once, rises slowly.
    noise: f32,
    /// Activity, 0 to 1, over each of [`FADES`].
    activity: [f32; 3],
}

/// Watches the voices of a meeting and says whose it is now.
#[derive(Clone, Debug, Default)]
pub struct ActiveSpeaker {
    voices: Vec<Voice>,
    floor: Option<u32>,
}

impl ActiveSpeaker {
    /// Takes in the next 20 ms of everyone who is here, each with the level of their block in dBFS. Returns who has the
    /// floor: whoever spoke last for real, until somebody else does or they leave; `None` before anybody has spoken.
    pub fn handle_levels(&mut self, levels: impl IntoIterator<Item = (u32, f32)>) -> Option<u32> {
        self.voices.iter_mut().for_each(|voice| voice.seen = false);
        for (id, dbfs) in levels {
            let at = match self.voices.iter().position(|voice| voice.id == id) {
                Some(at) => at,
                None if self.voices.len() < MOST => {
                    self.voices.push(Voice { id, seen: true, noise: FAINT, activity: [0.0; 3] });
                    self.voices.len() - 1
                }
                None => continue,
            };
            self.voices[at].handle_level(dbfs);
        }
        self.voices.retain(|voice| voice.seen);
        let of = |id| self.voices.iter().find(|voice| voice.id == id);
        let holder = self.floor.and_then(of);
        if holder.is_none() {
            self.floor = None;
        }
        let held = holder.map_or([0.0; 3], |voice| voice.activity);
        let margin = if holder.is_some() { MARGIN } else { [0.0; 2] };
        let challenger = self
            .voices
            .iter()
            .filter(|voice| Some(voice.id) != self.floor)
            .filter(|voice| (0..2).all(|n| voice.activity[n] >= TAKES[n] && voice.activity[n] > held[n] + margin[n]))
            .max_by(|a, b| (a.activity[1] + a.activity[2]).total_cmp(&(b.activity[1] + b.activity[2])));
        if let Some(voice) = challenger {
            self.floor = Some(voice.id);
        }
        self.floor
    }

    /// Who has the floor.
    pub fn floor(&self) -> Option<u32> {
        self.floor
    }
}

impl Voice {
    fn handle_level(&mut self, dbfs: f32) {
        self.seen = true;
        let dbfs = if dbfs.is_finite() { dbfs.clamp(-120.0, 0.0) } else { -120.0 };
        // 1 dB a second upwards: speech does not become its own background, a fan that starts does in the end.
        self.noise = if dbfs < self.noise { dbfs } else { self.noise + 0.02 };
        let active = dbfs > FAINT && dbfs > self.noise + ABOVE_NOISE;
        for (activity, fade) in self.activity.iter_mut().zip(FADES) {
            *activity += (f32::from(u8::from(active)) - *activity) / fade;
        }
    }
}

#[cfg(test)]
mod tests {
    // Figures, for whoever runs them with --nocapture.
    #![allow(clippy::print_stdout)]

    use super::*;
    use crate::media::frame::BLOCK;
    use crate::media::level;
    use crate::media::test_voice::TestVoice;

    /// Levels of somebody who speaks, block by block.
    struct Talker(TestVoice);

    impl Talker {
        fn next(&mut self) -> f32 {
            let mut block = [0.0; BLOCK];
            self.0.next_block(&mut block);
            level::dbfs(&block)
        }
    }

    fn pair() -> (Talker, Talker) {
        (Talker(TestVoice::new()), Talker(TestVoice::another(5, 1.5)))
    }

    const ROOM: f32 = -70.0;

    #[test]
    fn nobody_has_the_floor_before_anybody_speaks() {
        let mut speakers = ActiveSpeaker::default();
        for _ in 0..500 {
            assert_eq!(speakers.handle_levels([(1, ROOM), (2, -120.0)]), None);
        }
    }

    #[test]
    fn who_begins_to_speak_has_the_floor_within_a_second_and_a_half_and_keeps_it_in_pauses() {
        let (mut ana, mut ben) = pair();
        let mut speakers = ActiveSpeaker::default();
        let mut since = None;
        for n in 0..500 {
            let floor = speakers.handle_levels([(1, ana.next()), (2, ROOM)]);
            since = since.or(floor.map(|_| n));
            assert!(floor.is_none() || floor == Some(1));
        }
        assert!(since.is_some_and(|blocks| blocks < 75), "{since:?}");
        for _ in 0..500 {
            assert_eq!(speakers.handle_levels([(1, ROOM), (2, ROOM)]), Some(1));
        }
        let mut taken = None;
        for n in 0..500 {
            let floor = speakers.handle_levels([(1, ROOM), (2, ben.next())]);
            taken = taken.or((floor == Some(2)).then_some(n));
            assert!(taken.is_none() || floor == Some(2), "and it does not come back by itself");
        }
        println!("begun after {since:?} blocks, taken over after {taken:?}");
        assert!(taken.is_some_and(|blocks| blocks < 75), "{taken:?}");
    }

    #[test]
    fn a_cough_or_a_short_word_takes_nothing_from_who_speaks() {
        let (mut ana, _) = pair();
        let mut speakers = ActiveSpeaker::default();
        for n in 0..3_000 {
            // 0.3 s of noise, as loud as can be, every four seconds.
            let other = if n % 200 < 15 { -6.0 } else { ROOM };
            let floor = speakers.handle_levels([(1, ana.next()), (2, other)]);
            assert!(n < 200 || floor == Some(1), "block {n}");
        }
    }

    #[test]
    fn two_who_speak_at_once_do_not_make_it_flicker() {
        let (mut ana, mut ben) = pair();
        let mut speakers = ActiveSpeaker::default();
        let (mut changes, mut last) = (0, None);
        for _ in 0..3_000 {
            let floor = speakers.handle_levels([(1, ana.next()), (2, ben.next())]);
            changes += u32::from(floor != last);
            last = floor;
        }
        println!("{changes} changes in a minute");
        assert!(changes <= 24, "{changes} in a minute");
    }

    #[test]
    fn a_loud_fan_is_not_a_speaker() {
        let mut speakers = ActiveSpeaker::default();
        let mut floor = None;
        for n in 0..3_000 {
            floor = speakers.handle_levels([(1, -40.0 + (n % 3) as f32), (2, ROOM)]);
        }
        let (mut ana, _) = pair();
        for _ in 0..200 {
            floor = speakers.handle_levels([(1, -40.0), (2, ana.next())]);
        }
        assert_eq!(floor, Some(2));
    }

    #[test]
    fn who_leaves_loses_the_floor_and_crowds_are_bounded() {
        let mut speakers = ActiveSpeaker::default();
        for n in 0..500 {
            speakers.handle_levels((0..1_000).map(|id| (id, if id == 7 && n > 5 { -20.0 } else { f32::NAN })));
        }
        assert_eq!(speakers.floor(), Some(7));
        assert!(speakers.voices.len() <= MOST);
        assert_eq!(speakers.handle_levels([(1, ROOM)]), None);
        assert_eq!(speakers.handle_levels([]), None);
    }
}
