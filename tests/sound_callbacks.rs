//! What runs inside a sound device's callback never touches the heap.
#![cfg(feature = "client")]

use conclave::media::mic::capture;
use conclave::media::speaker::play;
use rtrb::RingBuffer;

/// Calls to the allocator, and to give memory back, on this thread while `work` runs.
fn calls(work: impl FnOnce()) -> (u64, i64) {
    let counted = allocation_counter::measure(work);
    (counted.count_total, counted.count_current)
}

#[test]
fn the_counter_counts() {
    let (allocated, kept) = calls(|| drop(std::hint::black_box(vec![1u8; 100])));
    assert_eq!((allocated, kept), (1, 0));
}

#[test]
fn a_capture_callback_never_allocates() {
    let (mut producer, mut consumer) = RingBuffer::<f32>::new(4_000);
    let (floats, shorts) = ([0.25f32; 1_920], [1_000i16; 960]);
    let counted = calls(|| {
        for _ in 0..100 {
            capture(&floats, 2, &mut producer);
            capture(&shorts, 1, &mut producer);
            // Half of the time the ring is full, which must not allocate either.
            if let Ok(chunk) = consumer.read_chunk(960) {
                chunk.commit_all();
            }
        }
    });
    assert_eq!(counted, (0, 0));
}

#[test]
fn a_playback_callback_never_allocates() {
    let (mut producer, mut consumer) = RingBuffer::<f32>::new(4_000);
    let (mut floats, mut shorts) = ([0.0f32; 1_920], [0i16; 960]);
    let block = [0.5; 960];
    let mut last = 0.0;
    let counted = calls(|| {
        for _ in 0..100 {
            // Half of the time the ring runs dry, which must not allocate either.
            let _ = producer.push_partial_slice(&block);
            play(&mut consumer, &mut last, 2, &mut floats);
            play(&mut consumer, &mut last, 1, &mut shorts);
        }
    });
    assert_eq!(counted, (0, 0));
}
