use super::*;
use crate::clock::ManualClock;
use std::time::{SystemTime, UNIX_EPOCH};

const DAY: Duration = Duration::from_secs(24 * 3600);

fn start() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_700_000_000)
}

fn keeper() -> (Arc<ManualClock>, Timekeeper) {
    let clock = Arc::new(ManualClock::at(start()));
    let keeper = Timekeeper::new(clock.clone(), None);
    (clock, keeper)
}

// Goal: P5, a step back revives nothing. Method: step the wall a year back and let time pass.
#[test]
fn time_never_goes_back_behind_settled() {
    let (clock, keeper) = keeper();
    clock.advance(Duration::from_secs(10));
    let before = keeper.now();
    clock.step_to(start() - 365 * DAY);
    assert_eq!(keeper.now(), before);
    clock.advance(Duration::from_secs(5));
    assert_eq!(keeper.now().since(before), Duration::from_secs(5));
}

// Goal: P5, a moment's leap costs nothing, a held one settles. Method: leap a day, go back,
// leap again and hold.
#[test]
fn leap_counts_at_once_and_settles_after_the_hold() {
    let (clock, keeper) = keeper();
    let first = keeper.now();
    clock.step_to(start() + DAY);
    assert_eq!(keeper.now().since(first), DAY);
    assert_eq!(keeper.settled(), first);
    clock.step_to(start());
    assert_eq!(keeper.now(), first);
    clock.step_to(start() + DAY);
    keeper.now();
    clock.advance(LEAP_HOLD);
    assert_eq!(keeper.settled().since(first), DAY + LEAP_HOLD);
}

// Goal: a leap beyond the longest lifetime is not believed until told. Method: leap a
// hundred years, hold, accept.
#[test]
fn leap_beyond_the_longest_lifetime_waits_to_be_told() {
    let (clock, keeper) = keeper();
    let first = keeper.now();
    clock.step_to(start() + 36_500 * DAY);
    keeper.now();
    clock.advance(LEAP_HOLD * 10);
    assert_eq!(keeper.settled().since(first), LEAP_HOLD * 10);
    assert_eq!(keeper.check_believed().map_err(|e| e.kind()), Err(ErrorKind::Clock));
    keeper.accept();
    assert!(keeper.check_believed().is_ok());
    assert!(keeper.settled().since(first) >= 36_500 * DAY);
}

// Goal: a leap is refused by whoever meets it first, and no row kept for good hides it.
// Method: note such a lifetime, leap a hundred years and a day, and ask nothing else before.
#[test]
fn leap_is_refused_before_anyone_asked_for_the_time() {
    let (clock, keeper) = keeper();
    keeper.note_lifetime(Duration::from_millis(u64::MAX / 4));
    assert!(keeper.check_believed().is_ok());
    clock.step_to(start() + 36_501 * DAY);
    assert_eq!(keeper.check_believed().map_err(|e| e.kind()), Err(ErrorKind::Clock));
    clock.step_to(start());
    assert!(keeper.check_believed().is_ok());
}

// Goal: P5, a restart revives nothing. Method: open with a high-water mark ahead of the wall.
#[test]
fn high_water_mark_outlives_a_restart() {
    let clock = Arc::new(ManualClock::at(start()));
    let mark = Timestamp::from(start() + DAY);
    let keeper = Timekeeper::new(clock, Some(Mark { settled: mark, lead: Duration::ZERO }));
    assert_eq!(keeper.now(), mark);
}

// Goal: the bounds of drift, hold, and belief are exact. Method: each, and a millisecond more
// or less.
#[test]
fn bounds_of_a_leap_are_exact() {
    let millisecond = Duration::from_millis(1);
    let settled_after = |step, hold| {
        let (clock, keeper) = keeper();
        let first = keeper.now();
        clock.step_to(start() + step);
        keeper.now();
        clock.advance(hold);
        keeper.settled().since(first)
    };
    assert_eq!(settled_after(DRIFT_MAX, Duration::ZERO), DRIFT_MAX);
    assert_eq!(settled_after(DRIFT_MAX + millisecond, Duration::ZERO), Duration::ZERO);
    let nearly = LEAP_HOLD.saturating_sub(millisecond);
    assert_eq!(settled_after(DAY, nearly), nearly);
    assert_eq!(settled_after(DAY, LEAP_HOLD), DAY + LEAP_HOLD);

    let (clock, keeper) = keeper();
    for (longest, believed) in [(DAY, LEAP_BELIEVED_MIN), (400 * DAY, 400 * DAY)] {
        keeper.note_lifetime(longest);
        clock.step_to(start() + believed);
        assert!(keeper.check_believed().is_ok());
        clock.step_to(start() + believed + millisecond);
        assert_eq!(keeper.check_believed().map_err(|e| e.kind()), Err(ErrorKind::Clock));
    }
}

const SECOND: Duration = Duration::from_secs(1);

/// A clock that was ten days ahead for 31 s, and is right again; the store has seen both.
fn ten_days_ahead() -> (Arc<ManualClock>, Timekeeper) {
    let (clock, keeper) = keeper();
    clock.step_to(start() + 10 * DAY);
    keeper.now();
    clock.advance(31 * SECOND);
    keeper.now();
    clock.step_to(start() + 31 * SECOND);
    keeper.now();
    (clock, keeper)
}

/// The store is closed, and opened again so much later.
fn reopened(clock: &Arc<ManualClock>, keeper: &Timekeeper, later: Duration) -> Timekeeper {
    let mark = keeper.mark();
    clock.step_to(clock.wall() + later);
    Timekeeper::new(clock.clone(), Some(mark))
}

// Goal: settled time is bounded by one day's drift where a clock runs 50 ppm fast and is set right
// every day. Method: twelve simulated weeks, a look every minute.
#[test]
fn clock_that_is_set_back_daily_gains_one_day_of_drift() {
    let (clock, keeper) = keeper();
    let (minutes, mut right, mut most) = (12 * 7 * 24 * 60, start(), Duration::ZERO);
    for minute in 1..=minutes {
        clock.advance(60 * SECOND);
        right += 60 * SECOND;
        let shown = if minute % (24 * 60) == 0 { right } else { clock.wall() };
        clock.step_to(shown + Duration::from_millis(3));
        let moment = keeper.moment();
        most = most.max(moment.mark.settled.since(right.into()));
        assert!(moment.lead() <= 5 * SECOND, "a lead of {:?} after {minute} min", moment.lead());
    }
    assert!(most <= 5 * SECOND, "{most:?} ahead");
    assert!(keeper.lead() <= 5 * SECOND);
}

// Goal: P5, the lead is there once a clock that was ahead is corrected, and time goes on by the
// monotonic clock. Method: ten days ahead for 31 s; then the wall clock comes forward again, within
// the lead and past it.
#[test]
fn wall_clock_that_comes_forward_consumes_the_lead() {
    let (clock, keeper) = ten_days_ahead();
    let first = keeper.moment();
    assert_eq!((first.lead(), keeper.lead(), first.mark.lead), (10 * DAY, 10 * DAY, 10 * DAY));
    clock.step_to(clock.wall() + 4 * DAY);
    clock.advance(SECOND);
    let next = keeper.moment();
    assert_eq!((next.now.since(first.now), next.lead()), (SECOND, 6 * DAY));
    assert_eq!(next.mark.lead, 6 * DAY);
    clock.step_to(clock.wall() + 7 * DAY);
    let leapt = keeper.moment();
    assert_eq!((leapt.lead(), keeper.lead()), (Duration::ZERO, Duration::ZERO));
    assert_eq!(leapt.now.since(leapt.mark.settled), DAY);
    clock.advance(LEAP_HOLD);
    assert_eq!(keeper.mark(), Mark { settled: clock.wall().into(), lead: Duration::ZERO });
}

// Goal: P5, time passes while a store that is ahead is closed, and a crash before that is settled
// takes nothing of it back. Method: ten days ahead, closed for five; crashes and openings within
// the hold, then the hold, then a close of a second.
#[test]
fn time_passes_while_a_store_that_is_ahead_is_closed() {
    let (clock, keeper) = ten_days_ahead();
    let closed = keeper.now();
    let mut keeper = reopened(&clock, &keeper, 5 * DAY);
    for crash in 0..3_u32 {
        assert_eq!(keeper.now().since(closed), 5 * DAY + crash * 20 * SECOND, "crash {crash}");
        assert_eq!(keeper.settled().since(closed), crash * 20 * SECOND, "not before the hold");
        clock.advance(20 * SECOND);
        let mark = keeper.mark();
        assert_eq!(mark.lead, 10 * DAY);
        keeper = Timekeeper::new(clock.clone(), Some(mark));
    }
    keeper.now();
    clock.advance(LEAP_HOLD);
    let settled = keeper.settled();
    assert_eq!(settled.since(closed), 5 * DAY + 60 * SECOND + LEAP_HOLD);
    let keeper = reopened(&clock, &keeper, SECOND);
    assert_eq!((keeper.settled().since(settled), keeper.lead()), (SECOND, 10 * DAY));
}

// Goal: a clock that is behind by more than is believed makes no lead, so it costs nothing once it
// is right; one that is behind by less does. Method: the clock of a board without one, as it is
// opened, over a close, and corrected; accepted; and a clock an hour behind.
#[test]
fn clock_that_is_not_believed_makes_no_lead() {
    for lead in [Duration::ZERO, 10 * DAY] {
        let (clock, keeper) = if lead.is_zero() { keeper() } else { ten_days_ahead() };
        let before = keeper.now();
        let right = clock.wall();
        let mark = keeper.mark();
        clock.step_to(UNIX_EPOCH);
        let keeper = Timekeeper::new(clock.clone(), Some(mark));
        clock.advance(LEAP_HOLD * 4);
        assert_eq!((keeper.now().since(before), keeper.mark().lead), (LEAP_HOLD * 4, lead));
        let keeper = reopened(&clock, &keeper, Duration::ZERO);
        clock.step_to(right + DAY);
        assert!(keeper.check_believed().is_ok());
        assert_eq!((keeper.now().since(before), keeper.lead()), (DAY, lead));
        clock.advance(LEAP_HOLD);
        assert_eq!(keeper.settled().since(before), DAY + LEAP_HOLD);
        clock.step_to(UNIX_EPOCH);
        keeper.accept();
        assert_eq!(keeper.mark().lead, keeper.settled().since(Timestamp::default()));
    }
    let (clock, keeper) = keeper();
    clock.step_to(start() - Duration::from_secs(3_600));
    keeper.now();
    assert_eq!(keeper.mark().lead, Duration::from_secs(3_600));
}

// Goal: a store whose clock was set back while it was closed goes on by the lead that this makes.
// Method: an hour back over a close, within the hold and behind it, then forward again.
#[test]
fn clock_that_was_set_back_over_a_close_leads_anew() {
    let hour = Duration::from_secs(3_600);
    for (hold, passed) in
        [(LEAP_HOLD.saturating_sub(SECOND), 2 * hour), (LEAP_HOLD, Duration::ZERO)]
    {
        let (clock, keeper) = ten_days_ahead();
        let before = keeper.now();
        let mark = keeper.mark();
        clock.step_to(clock.wall() - hour);
        let keeper = Timekeeper::new(clock.clone(), Some(mark));
        assert_eq!((keeper.now(), keeper.mark().lead), (before, 10 * DAY + hour));
        clock.advance(hold);
        keeper.now();
        clock.step_to(clock.wall() + 3 * hour);
        assert_eq!(keeper.now().since(before), hold + passed);
    }
}

// Goal: the shown lead changes in steps of more than two seconds, so that two looks agree, and is
// never negative. Method: a clock that loses a millisecond a second, then gains three.
#[test]
fn lead_is_shown_in_steps() {
    let (clock, keeper) = keeper();
    let mut shown = vec![keeper.lead()];
    for second in 0..10_000_u32 {
        clock.advance(SECOND);
        let by = Duration::from_millis(if second < 6_000 { 1 } else { 3 });
        let wall = clock.wall();
        clock.step_to(if second < 6_000 { wall - by } else { wall + by });
        let (moment, lead) = (keeper.moment(), keeper.lead());
        assert!(moment.lead().abs_diff(lead) <= DRIFT_MAX);
        assert!(moment.mark.lead == moment.lead(), "drift is noted at once");
        if shown.last() != Some(&lead) {
            assert!(shown.last().unwrap().abs_diff(lead) > DRIFT_MAX);
            shown.push(lead);
        }
    }
    assert_eq!(shown.iter().map(Duration::as_millis).collect::<Vec<_>>(), [0, 2001, 4002, 2001, 0]);
}

// Goal: paced time is never ahead of the wall clock, nor of the one that was replaced within a day.
// Method: ten days ahead for 31 s, corrected or not; a day; a correction after the day.
#[test]
fn paced_time_does_not_follow_a_leap_that_is_taken_back() {
    let (clock, keeper) = keeper();
    clock.step_to(start() + 10 * DAY);
    keeper.now();
    clock.advance(31 * SECOND);
    assert_eq!(keeper.settled(), clock.wall().into());
    assert_eq!(keeper.paced(), Timestamp::from(start() + 31 * SECOND), "the leap is not followed");
    clock.step_to(start() + 31 * SECOND);
    for _ in 0..30 {
        assert_eq!(keeper.paced(), clock.wall().into());
        clock.advance(DAY);
    }
    clock.step_to(clock.wall() + DAY);
    let settled = keeper.settled();
    assert_eq!(settled.since(keeper.paced()), 10 * DAY, "the wall clock came a day forward");
    clock.advance(PACE_HOLD.saturating_sub(SECOND));
    assert_eq!(keeper.settled().since(keeper.paced()), 10 * DAY);
    clock.advance(SECOND);
    assert_eq!(keeper.settled().since(keeper.paced()), 9 * DAY);
    // A leap that stays is followed after a day.
    clock.step_to(clock.wall() + 12 * DAY);
    keeper.now();
    clock.advance(LEAP_HOLD);
    assert_eq!(keeper.settled().since(keeper.paced()), 12 * DAY);
    clock.advance(PACE_HOLD);
    assert_eq!(keeper.settled(), keeper.paced());
}
