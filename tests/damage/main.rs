//! Silent damage: every byte region of every file flipped, zeroed, shifted, replaced by an older
//! copy of itself. It is refused, told, or harmless; never a wrong answer, never a revived token.

mod harm;
mod judge;
mod regions;
mod trials;
mod world;

use grantkeep_tests::setting;
use harm::Harm;
use trials::{Counts, run};
use world::World;

/// How many kinds of harm each small region meets.
fn density() -> usize {
    setting("GRANTKEEP_DAMAGE", 1)
}

fn report(what: &str, counts: &Counts) {
    let Counts { done, unchanged, refused, told, harmless, shortened, verified, .. } = counts;
    println!(
        "{what}: {done} damages: {refused} refused at open, {told} told by a read, {harmless} \
         harmless ({verified} of them found by verify, {shortened} cut the last group), \
         {unchanged} changed nothing, {} wrong",
        counts.wrong.len()
    );
    for (text, count) in &counts.documented {
        println!("  {count:6} documented: {text}");
    }
    for (text, count) in &counts.refusals {
        println!("  {count:6} {text}");
    }
    for wrong in &counts.wrong {
        println!("  {wrong}");
    }
}

fn harms(world: &World, of: impl Fn(&world::Left) -> Vec<Harm>) -> Vec<(usize, Harm)> {
    let numbered = world.left.iter().enumerate();
    numbered.flat_map(|(at, left)| of(left).into_iter().map(move |harm| (at, harm))).collect()
}

// Goal: P2, P4, P7, no region of any file can be damaged so that something else is answered in
// silence. Method: a store of everything, as a close and as a kill leave it; harm each region of
// each file in turn; open, read every name, list, verify.
#[test]
fn every_damaged_region_is_refused_told_or_harmless() {
    let world = World::new();
    let harms = harms(&world, |left| regions::region_harms(left, world.earlier.len(), density()));
    let counts = run(&world, &harms);
    report("regions", &counts);
    assert!(counts.done > 2_000 && counts.refused > 500 && counts.told > 100);
    assert!(counts.wrong.is_empty(), "{} wrong", counts.wrong.len());
}

// Goal: P2, P4, P7, the same of whole files. Method: cut, grown, removed, renamed, swapped, and put
// back as they were at earlier moments, in every combination.
#[test]
fn every_damaged_file_is_refused_told_or_harmless() {
    let world = World::new();
    let harms = harms(&world, |left| regions::file_harms(left, world.earlier.len(), density()));
    let counts = run(&world, &harms);
    report("files", &counts);
    assert!(counts.done > 500 && counts.refused > 300);
    assert!(counts.wrong.is_empty(), "{} wrong", counts.wrong.len());
}

// Goal: P2, P4, P7, no bit of the numbers that say where the log goes on and what time it is can
// flip in silence. Method: flip each, in each copy of them that the table's file holds.
#[test]
fn every_flipped_bit_of_the_tables_numbers_is_refused_or_harmless() {
    let world = World::new();
    let harms =
        harms(&world, |left| if left.closed { regions::number_harms(left) } else { vec![] });
    let counts = run(&world, &harms);
    report("numbers", &counts);
    assert!(counts.done > 300 && counts.refused >= 300);
    assert!(counts.wrong.is_empty() && counts.documented.is_empty(), "{}", counts.wrong.len());
}
