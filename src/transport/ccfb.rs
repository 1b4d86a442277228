//! Reports of arrivals as RTCP carries them (RFC 8888 section 3.1), between the crate's types and ours.

use rtc::rtcp::transport_feedbacks::cc_feedback_report::{
    CcFeedbackMetricBlock, CcFeedbackReport, CcFeedbackReportBlock, Ecn,
};

use super::bandwidth::feedback::{Block, MAX_COVERED, Report};

/// A peer's report. What goes beyond what a Conclave peer writes is left out.
pub(super) fn read(report: &CcFeedbackReport) -> Report {
    let block = |block: &CcFeedbackReportBlock| {
        let arrival = |metric: &CcFeedbackMetricBlock| metric.received.then_some(metric.arrival_time_offset);
        let arrivals = block.metric_blocks.iter().take(MAX_COVERED).map(arrival).collect();
        Block { ssrc: block.media_ssrc, begin: block.begin_sequence, arrivals }
    };
    Report { time: report.report_timestamp, blocks: report.report_blocks.iter().take(3).map(block).collect() }
}

/// Our report to the peer.
pub(super) fn write(report: &Report, sender_ssrc: u32) -> CcFeedbackReport {
    let metric = |arrival: &Option<u16>| CcFeedbackMetricBlock {
        received: arrival.is_some(),
        ecn: Ecn::NotEct,
        arrival_time_offset: arrival.unwrap_or_default(),
    };
    let block = |block: &Block| CcFeedbackReportBlock {
        media_ssrc: block.ssrc,
        begin_sequence: block.begin,
        metric_blocks: block.arrivals.iter().map(metric).collect(),
    };
    let report_blocks = report.blocks.iter().map(block).collect();
    CcFeedbackReport { sender_ssrc, report_blocks, report_timestamp: report.time }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use proptest::prelude::*;
    use rtc::shared::marshal::{Marshal, MarshalSize};

    #[test]
    fn a_report_survives_the_wire() {
        let block = |ssrc, entries| Block {
            ssrc,
            begin: 65_530,
            arrivals: (0..entries).map(|n| (n % 3 != 1).then_some(n * 17)).collect(),
        };
        let report = Report { time: 0xFEDC_BA00, blocks: vec![block(1, 5), block(2, 240), block(3, 2)] };
        let sent = write(&report, 9);
        assert!(sent.marshal_size() <= 1200);
        let bytes = sent.marshal().unwrap();
        let packets = rtc::rtcp::packet::unmarshal(&mut bytes.freeze()).unwrap();
        let received = packets[0].as_any().downcast_ref::<CcFeedbackReport>().unwrap();
        assert_eq!(read(received), report);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(body in prop::collection::vec(any::<u8>(), 0..400)) {
            let words = body.len() / 4;
            let mut bytes = vec![0x8B, 205, (words >> 8) as u8, words as u8];
            bytes.extend_from_slice(&body[..words * 4]);
            for packet in rtc::rtcp::packet::unmarshal(&mut Bytes::from(bytes)).unwrap_or_default() {
                if let Some(report) = packet.as_any().downcast_ref::<CcFeedbackReport>() {
                    let report = read(report);
                    prop_assert!(report.blocks.len() <= 3);
                    prop_assert!(report.blocks.iter().all(|block| block.arrivals.len() <= MAX_COVERED));
                }
            }
        }
    }
}
