//! The four systems, running, and used by clients that were written independently of this project:
//! Authlib, requests-oauthlib, openid-client, oauth4webapi, simple-oauth2, passport-oauth2, Go's
//! x/oauth2, the crate oauth2, and Apache's mod_auth_openidc.
//!
//! 1. The servers run in this process, on ports that are free, and so does the browser of the
//!    person who decides ([`browser`]).
//! 2. A client is a program in its own language. It is told of a server in an environment variable,
//!    does all that its library and the system can do, and ends with how many checks passed.
//! 3. Each runs against each system that has something for it.
//!
//! The pages themselves are tried in Chromium ([`chromium`]).

mod apache;
mod browser;
mod certificate;
mod chromium;
mod crate_oauth2;
mod described;
mod forms;
mod http;
mod programs;
mod world;

use programs::{PROGRAMS, Program};
use std::collections::BTreeSet;
use std::sync::Mutex;
use world::{Reached, World};

/// Clients that run at the same time: they wait more than they compute.
const TOGETHER: usize = 4;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap()
}

/// What came of one client on one system.
type Outcome = (&'static str, String, Result<u64, String>);

/// Runs each program against each system that it has something to do with.
fn run_programs(worlds: &[World]) -> Vec<Outcome> {
    let mut ready = Vec::new();
    for program in &PROGRAMS {
        match program.prepare() {
            Ok(()) => ready.push(program),
            Err(why) => println!("skipped because {why}"),
        }
    }
    let pairs = ready.iter().flat_map(|&program| {
        worlds.iter().filter(|world| program.serves(world)).map(move |world| (program, world))
    });
    let left: Mutex<Vec<(&Program, &World)>> = Mutex::new(pairs.collect());
    let outcomes = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..TOGETHER {
            scope.spawn(|| {
                loop {
                    let next = left.lock().unwrap().pop();
                    let Some((program, world)) = next else { break };
                    let outcome = program.run(world);
                    outcomes.lock().unwrap().push((program.name, world.name(), outcome));
                }
            });
        }
    });
    outcomes.into_inner().unwrap()
}

// Goal: every independent client does with each of the four systems all that both can do: code and
// PKCE (RFC 6749, 7636), refresh, client credentials, password, device (RFC 8628), pushed requests
// (RFC 9126), revocation (RFC 7009), and introspection (RFC 7662). Method: run each library's own
// program, with its checks, against each running system, plainly and by TLS; count what passed.
#[test]
fn independent_clients_are_served() {
    let runtime = runtime();
    let worlds = runtime.block_on(world::worlds(Reached::BothWays));
    let mut outcomes = run_programs(&worlds);
    for world in &worlds {
        let checked = runtime.block_on(crate_oauth2::run(world));
        outcomes.push(("the crate oauth2", world.name(), checked));
    }
    // It asks by TLS alone.
    for (world, certificate) in worlds.iter().filter_map(|w| Some((w, w.certificate()?))) {
        match apache::Apache::start(world, certificate) {
            Ok(apache) => {
                let checked = runtime.block_on(apache.run(world));
                outcomes.push(("mod_auth_openidc", world.name(), checked));
            }
            Err(why) => println!("skipped because {why}"),
        }
    }
    for world in worlds {
        runtime.block_on(world.end());
    }
    outcomes.sort_by_key(|(client, system, _)| (*client, system.clone()));
    let (mut passed, mut failed, mut clients) = (0, Vec::new(), BTreeSet::new());
    for (client, system, outcome) in outcomes {
        match outcome {
            Ok(count) => {
                println!("  {client}, {system}: {count}");
                passed += count;
                clients.insert(client);
            }
            Err(why) => failed.push(why),
        }
    }
    let (failures, clients) = (failed.len(), clients.len());
    println!("clients: {passed} checks passed, {failures} failed, {clients} clients");
    assert!(failed.is_empty(), "{failed:#?}");
}

// Goal: no request that the server's own description allows, and none near to it, is answered with
// 500 or worse, or with what the description does not have. Method: schemathesis makes up thousands
// from the OpenAPI document that each system serves.
#[test]
fn no_described_request_fails() {
    let runtime = runtime();
    for world in runtime.block_on(world::worlds(Reached::Plainly)) {
        let tried = runtime.block_on(async {
            let document = described::is_served(&world).await?;
            Ok::<_, String>(described::run(&world, &document).await)
        });
        match tried {
            Ok(Ok(sent)) => println!("{}: {sent} described requests, no 500", world.name()),
            Ok(Err(found)) => panic!("{found}"),
            Err(why) => println!("skipped because {why}"),
        }
        runtime.block_on(world.end());
    }
}

// Goal: everything that people and operators do on the pages works in a real browser, by pressing
// what they read, signing in and approving by the keyboard alone among it; every page is accessible
// (WCAG 2 A and AA, and the rest of what axe-core knows), narrow and wide, light and dark; nothing
// is asked of another host, logged as an error, or kept from the page by its own policy. Method:
// Debian's Chromium goes through all flows, and what is found is told.
#[test]
fn pages_work_in_chromium() {
    if let Err(why) = chromium::prepare() {
        println!("skipped because {why}");
        return;
    }
    match runtime().block_on(chromium::run()) {
        Ok(said) => println!("{said}"),
        Err(found) => panic!("{found}"),
    }
}
