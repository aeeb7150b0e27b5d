//! Calls of the grants against their reference, in memory, on a clock that also goes back. After
//! each call every access token that was ever issued is looked at.

use crate::input::Input;
use grantkeep::{Clock as _, ManualClock, Memory, Store, Wait as _};
use grantkeep_grants::Grants;
use grantkeep_tests::manual_clock;
use grantkeep_tests::player::Player;
use grantkeep_tests::reference::{
    Answer, Asked, Fate, Fault, Generation, Op, Reference, Rules, Token,
};
use std::sync::Arc;
use std::time::Duration;

/// An input is at most this many calls.
const CALLS_MAX: usize = 80;
const SUBJECTS: u8 = 2;
const CLIENTS: u8 = 2;

/// Plays the calls that `data` describes.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let choices = input.byte();
    let rules = Rules {
        rotating: choices & 1 == 0,
        burning: choices & 2 == 2,
        grace_s: if choices & 4 == 4 { 0 } else { Rules::SHORT.grace_s },
        ..Rules::SHORT
    };
    let mut played = Played::new(rules);
    for _ in 0..CALLS_MAX {
        if input.is_empty() {
            break;
        }
        played.play(&mut input);
        played.look();
    }
}

struct Played {
    clock: Arc<ManualClock>,
    grants: Grants<Memory>,
    player: Player,
    reference: Reference,
}

impl Played {
    fn new(rules: Rules) -> Self {
        let clock = manual_clock();
        let start = clock.wall();
        let store = Store::in_memory(clock.clone()).expect("a store in memory");
        Self {
            grants: Grants::new(store, rules.policy()).expect("the policy fits"),
            player: Player::new(String::new(), &clock, start),
            clock,
            reference: Reference::new(rules),
        }
    }

    fn play(&mut self, input: &mut Input<'_>) {
        let (kind, which) = (input.byte(), usize::from(input.byte()));
        let codes = self.reference.codes() as usize;
        let code = |which: usize| u32::try_from(which % codes.max(1)).expect("few");
        let families: Vec<u32> = self.reference.families().map(|(token, _)| token.family).collect();
        let family = |which: usize| families.get(which % families.len().max(1)).copied();
        let faults = [Fault::None, Fault::Client, Fault::RedirectUri, Fault::Verifier];
        let asked = [Asked::All, Asked::Narrowed, Asked::Widened, Asked::ByAnotherClient];
        // The high bits of the kind, so that a plain one presents nothing amiss.
        let amiss = usize::from(kind >> 6);
        let owner = |of: u8| which as u8 % of;
        match kind % 16 {
            0 | 1 => {
                self.call(Op::Authorize { subject: owner(SUBJECTS), client: owner(4) / CLIENTS });
            }
            2 | 3 if codes > 0 => self.call(Op::Redeem(code(which), faults[amiss])),
            4..=6 => {
                if let Some(token) = self.generation(which) {
                    self.call(Op::Refresh(token, asked[amiss]));
                }
            }
            7 => {
                if let Some(token) = self.generation(which) {
                    self.call(Op::Introspect(Token::Refresh(token)));
                }
            }
            8 => family(which).into_iter().for_each(|family| self.call(Op::IsListed(family))),
            9 => {
                let issued = self.reference.access_tokens() as usize;
                if issued > 0 {
                    let access = u32::try_from(which % issued).expect("few");
                    self.call(Op::Revoke(Token::Access(access)));
                }
            }
            10 => {
                if let Some(token) = self.generation(which) {
                    self.call(Op::Revoke(Token::Refresh(token)));
                }
            }
            11 => family(which).into_iter().for_each(|family| self.call(Op::RevokeFamily(family))),
            12 if amiss == 0 => self.call(Op::RevokeClient(owner(CLIENTS))),
            12 if amiss == 1 => self.call(Op::RevokeSubject(owner(SUBJECTS))),
            13 => self.call(Op::Sweep),
            14 => {
                // No time passes for the store, which does not go back.
                let wall = self.clock.wall();
                self.clock.step_to(wall - Duration::from_secs(which as u64 * 60));
            }
            15 => self.pass_to_an_end(which, amiss),
            _ => self.call(Op::Pass(which as u64 * [1, 10, 60, 600][amiss])),
        }
    }

    /// Lets time pass to where something ends by itself, one second before, or one behind.
    fn pass_to_an_end(&mut self, which: usize, amiss: usize) {
        let ends = self.reference.deadlines();
        if let Some(end_s) = ends.get(which % ends.len().max(1)) {
            let at_s = end_s + 1 - amiss.min(2) as u64;
            self.call(Op::Pass(at_s - self.reference.now_s()));
        }
    }

    /// One of the newest refresh tokens: those matter most.
    fn generation(&self, which: usize) -> Option<Generation> {
        let issued: Vec<Generation> = self.reference.generations().collect();
        issued.iter().rev().nth(which % issued.len().max(1)).copied()
    }

    fn call(&mut self, op: Op) {
        let name = match op {
            Op::Authorize { .. } => self.reference.codes(),
            _ => self.reference.access_tokens(),
        };
        let right = self.reference.answers(&op, name);
        let answer = self.player.perform(&self.grants, &op).wait();
        assert!(right.contains(&answer), "{op:?} was answered {answer:?}, not {right:?}");
        self.reference.apply(&op, &answer);
    }

    fn look(&mut self) {
        for access in 0..self.reference.access_tokens() {
            let look = Op::Introspect(Token::Access(access));
            let active = self.player.perform(&self.grants, &look).wait() != Answer::Inactive;
            let due = self.reference.fate_of_access(access) == Fate::Live;
            assert_eq!(active, due, "token {access} at {} s", self.reference.now_s());
        }
    }
}
