//! Every step of the clock at every moment, with a short hold or a long one, told or not.

use crate::subject::Subject;
use grantkeep_tests::store_time::ms;
use std::time::Duration;

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
pub const HOUR: i64 = 60 * MINUTE;
pub const DAY: i64 = 24 * HOUR;
const YEAR: i64 = 365 * DAY;
/// The first moment of the year 10000.
const FAR: i64 = 253_402_300_800_000;

/// Where the wall clock is stepped to.
#[derive(Debug, Clone, Copy)]
pub enum Step {
    By(i64),
    To(i64),
}

/// When it is stepped.
#[derive(Debug, Clone, Copy)]
enum Moment {
    BeforeIssue,
    AfterIssue,
    Idle,
    DuringSweep,
    AcrossClose,
    AcrossKill,
    AcrossNotedKill,
    /// So far from the end of a row.
    Edge(i64),
}

const MOMENTS: [Moment; 10] = [
    Moment::BeforeIssue,
    Moment::AfterIssue,
    Moment::Idle,
    Moment::DuringSweep,
    Moment::AcrossClose,
    Moment::AcrossKill,
    Moment::AcrossNotedKill,
    Moment::Edge(-1),
    Moment::Edge(0),
    Moment::Edge(1),
];
const LIFETIMES_S: [u64; 6] = [10, 61, 600, 3_600, 86_400, 1_296_000];

pub fn steps() -> Vec<Step> {
    let sizes = [
        SECOND,
        2 * SECOND,
        2 * SECOND + 1,
        29 * SECOND,
        30 * SECOND,
        MINUTE,
        HOUR,
        DAY,
        29 * DAY,
        30 * DAY,
        30 * DAY + 1,
        31 * DAY,
        YEAR,
        30 * YEAR,
        100 * YEAR,
    ];
    let mut steps: Vec<Step> = sizes.iter().flat_map(|by| [Step::By(*by), Step::By(-by)]).collect();
    steps.extend([Step::To(0), Step::To(1), Step::To(FAR)]);
    steps
}

impl Step {
    /// Where it leads from a wall clock that is right.
    pub fn from(self, wall_ms: u64) -> u64 {
        match self {
            Self::By(by) => wall_ms.saturating_add_signed(by),
            Self::To(to) => u64::try_from(to).unwrap(),
        }
    }
}

struct Tally {
    runs: u64,
    looks: u64,
    refused: u64,
    swept: u64,
}

/// The wall clock as it would be without a step.
fn right_ms(subject: &Subject, start_ms: u64) -> u64 {
    start_ms + subject.time.monotonic()
}

fn play(step: Step, moment: Moment, hold: Duration, accepts: bool, tally: &mut Tally) {
    let mut subject = Subject::new();
    let start_ms = subject.time.wall() - subject.time.monotonic();
    let issue_all = |subject: &mut Subject| {
        LIFETIMES_S.iter().for_each(|s| subject.issue(Duration::from_secs(*s)));
    };
    if !matches!(moment, Moment::BeforeIssue) {
        issue_all(&mut subject);
        subject.checkpoint();
        issue_all(&mut subject);
    }
    match moment {
        Moment::BeforeIssue | Moment::AfterIssue => {}
        Moment::Idle | Moment::AcrossClose | Moment::AcrossKill | Moment::AcrossNotedKill => {
            subject.time.advance(5_000);
            subject.look();
        }
        Moment::DuringSweep => {
            subject.time.advance(120_000);
            subject.sweep(1);
        }
        Moment::Edge(by) => {
            let edge = u64::try_from(61 * SECOND + by).unwrap();
            subject.time.advance(edge);
            subject.look();
        }
    }
    subject.step_to(step.from(right_ms(&subject, start_ms)));
    match moment {
        Moment::AcrossClose => subject.close_and_open(),
        Moment::AcrossKill => subject.kill_and_open(),
        Moment::AcrossNotedKill => subject.note_kill_and_open(),
        Moment::DuringSweep => subject.sweep(1),
        Moment::BeforeIssue => issue_all(&mut subject),
        _ => {}
    }
    subject.look();
    subject.time.advance(ms(hold));
    subject.look();
    subject.sweep(u64::MAX);
    subject.issue(Duration::from_secs(60));
    subject.revoke(3);
    if accepts {
        subject.accept();
        subject.look();
        subject.issue(Duration::from_secs(60));
        subject.sweep(u64::MAX);
    }
    come_back(&mut subject, start_ms);
    tally.runs += 1;
    tally.looks += subject.looks;
    tally.refused += subject.refused;
    tally.swept += subject.swept;
}

/// The clock is right again, and the store as good as ever.
fn come_back(subject: &mut Subject, start_ms: u64) {
    subject.step_to(right_ms(subject, start_ms));
    subject.look();
    assert_eq!(subject.time.disbelieved(), None);
    let refused = subject.refused;
    subject.issue(Duration::from_secs(60));
    subject.note_kill_and_open();
    subject.issue(Duration::from_secs(60));
    subject.close_and_open();
    subject.time.advance(3_700_000);
    subject.look();
    subject.sweep(u64::MAX);
    subject.issue(Duration::from_secs(60));
    assert_eq!(subject.refused, refused, "issuing goes on once the clock is right");
}

// Goal: P2, P5, no step of the clock revives what has died or cuts what lives; issuing is refused
// exactly in a leap that is not believed, and the message says what to do; revoking never is; once
// the clock is right all goes on. Method: each step at each moment, held short and long, accepted
// or not, against an oracle of the store's time; then the clock comes back, a kill, and a close.
#[test]
fn every_step_at_every_moment_revives_and_cuts_nothing() {
    let mut tally = Tally { runs: 0, looks: 0, refused: 0, swept: 0 };
    let holds = [0, 29_999, 30_000, 7_200_000].map(Duration::from_millis);
    assert!(ms(holds[3]) > 0);
    for step in steps() {
        for moment in MOMENTS {
            for hold in holds {
                for accepts in [false, true] {
                    play(step, moment, hold, accepts, &mut tally);
                }
            }
        }
    }
    let Tally { runs, looks, refused, swept } = tally;
    println!(
        "time: {runs} runs of a step at a moment, {looks} looks at rows, {refused} issues refused \
         in a leap, {swept} rows swept"
    );
    assert!(runs > 2_000 && refused > 200 && swept > 2_000);
}
