use crate::doorbell::{Beside, Doorbell};
use crate::exhaust::{every_order, sleeps_for_ever};
use crate::sync::Mutex;
use loom::sync::Arc;
use loom::thread;

/// What the writer's lock guards, as far as the log thread waits for it.
#[derive(Debug, Default)]
struct Gathered {
    commits: u32,
    closed: bool,
    asleep: bool,
}

impl Beside for Gathered {
    fn asleep(&mut self) -> &mut bool {
        &mut self.asleep
    }
}

#[derive(Debug)]
struct House {
    gathered: Mutex<Gathered>,
    bell: Doorbell,
}

impl House {
    fn new() -> Arc<Self> {
        Arc::new(Self { gathered: Mutex::new(Gathered::default()), bell: Doorbell::new() })
    }

    /// Takes all that is gathered until the store is closed; answers how much that was.
    fn serve(&self) -> u32 {
        let mut served = 0;
        let mut gathered = self.gathered.lock();
        loop {
            if gathered.commits > 0 {
                served += std::mem::take(&mut gathered.commits);
                // The group is written without the lock.
                drop(gathered);
                gathered = self.gathered.lock();
            } else if gathered.closed {
                return served;
            } else {
                self.bell.sleep(&mut gathered);
            }
        }
    }

    fn commit(&self) {
        let mut gathered = self.gathered.lock();
        gathered.commits += 1;
        self.bell.ring(gathered);
    }

    fn close(&self) {
        self.gathered.lock().closed = true;
        self.bell.ring_all();
    }
}

/// Two callers commit, and the second closes the store after it.
fn gathered_by_two() {
    let house = House::new();
    let serving = Arc::clone(&house);
    let serving = thread::spawn(move || serving.serve());
    let other = Arc::clone(&house);
    let other = thread::spawn(move || other.commit());
    house.commit();
    other.join().unwrap();
    house.close();
    assert_eq!(serving.join().unwrap(), 2, "each group is taken once");
}

/// One caller commits twice, with the log thread asleep or at work.
fn gathered_by_one() {
    let house = House::new();
    let serving = Arc::clone(&house);
    let serving = thread::spawn(move || serving.serve());
    house.commit();
    house.commit();
    house.close();
    assert_eq!(serving.join().unwrap(), 2, "each group is taken once");
}

/// The same with a caller who looks for a sleeper before it gathers: one who falls asleep in
/// between is not rung for.
fn rung_too_early() {
    let house = House::new();
    let serving = Arc::clone(&house);
    let serving = thread::spawn(move || serving.serve());
    let asleep = house.gathered.lock().asleep;
    let mut gathered = house.gathered.lock();
    gathered.commits += 1;
    gathered.closed = true;
    if asleep {
        house.bell.ring(gathered);
    } else {
        drop(gathered);
    }
    assert_eq!(serving.join().unwrap(), 1);
}

// Goal: P7, the log thread is woken for each group that is gathered while it sleeps, and for the
// end. Method: `Doorbell` itself between two callers and a thread that serves, in every order of
// events, with three threads up to a number of preemptions.
#[test]
fn no_ring_of_the_doorbell_is_lost() {
    assert!(every_order("gathered by one", None, gathered_by_one) > 10);
    assert!(every_order("gathered by two", Some(3), gathered_by_two) > 100);
}

// Goal: a group that nobody is told of is found. Method: look whether somebody sleeps before
// gathering, not after, and play it.
#[test]
fn a_ring_too_early_is_found() {
    let test = "ringing::a_ring_too_early_is_found";
    assert!(sleeps_for_ever(test, None, rung_too_early), "no order of events loses the ring?");
    println!("1 planted fault of the handshakes found: a ring too early");
}
