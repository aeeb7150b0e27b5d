//! The flows of the four systems, many at a time, each answer checked.

use super::tally::Tally;
use super::{Stop, Wrong};
use futures_util::{StreamExt as _, stream};
use grantkeep::{Store, Wait as _};
use grantkeep_grants::{
    Authorize, ClientCredentials, Grant, Grants, Introspection, Issued, NewPersonal, Policy,
    Presented, Profile, Redeemed, RefreshRequest, Refreshed,
};
use indicatif::{ProgressBar, ProgressStyle};
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// RFC 7636 appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const REDIRECT: &str = "https://app.example/callback";

/// Each worker is a thread that drives its share of the tasks.
const WORKERS: u64 = 2;

/// A system of the four, and what its documents promise its clients.
#[derive(Clone, Copy)]
pub(crate) struct System {
    pub(crate) name: &'static str,
    pub(crate) policy: fn() -> grantkeep::Result<Policy>,
    access_chars: usize,
    refresh_chars: usize,
    expires_in_s: u64,
}

pub(crate) const SYSTEMS: [System; 4] = [
    System {
        name: "Hourfleet",
        policy: Profile::hourfleet,
        access_chars: 128,
        refresh_chars: 128,
        expires_in_s: 900,
    },
    System {
        name: "REST API v1",
        policy: Profile::rest_api_v1,
        access_chars: 64,
        refresh_chars: 64,
        expires_in_s: 7_200,
    },
    System {
        name: "Hospitable",
        policy: Profile::hospitable,
        access_chars: 1_200,
        refresh_chars: 1_000,
        expires_in_s: 43_200,
    },
    System {
        name: "Hapn",
        policy: Profile::hapn,
        access_chars: 64,
        refresh_chars: 0,
        expires_in_s: 3_600,
    },
];

/// Durations by operation, of one worker.
type Times = BTreeMap<&'static str, Vec<u32>>;

/// Plays `count` flows of each system, `tasks` at a time.
pub(crate) fn play(store: &Store, count: u64, tasks: u64, tally: &mut Tally) -> Result<(), Stop> {
    for system in SYSTEMS {
        let grants = Grants::new(store.clone(), (system.policy)()?)?;
        let bar = ProgressBar::new(count).with_style(ProgressStyle::with_template(
            "  {prefix:<12} [{bar:32}] {pos:>7}/{len} {per_sec:>12} {eta:>4}",
        )?);
        bar.set_prefix(system.name);
        let started = Instant::now();
        let wrong = Mutex::new(None);
        let times: Vec<Times> = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..WORKERS)
                .map(|worker| {
                    let (grants, bar, wrong) = (&grants, &bar, &wrong);
                    scope.spawn(move || work(grants, system, (worker, count, tasks), bar, wrong))
                })
                .collect();
            workers.into_iter().filter_map(|worker| worker.join().ok()).collect()
        });
        let span = started.elapsed();
        bar.finish_and_clear();
        if let Some(wrong) = wrong.into_inner().ok().flatten() {
            return Err(wrong);
        }
        let operations: usize = times.iter().flat_map(BTreeMap::values).map(Vec::len).sum();
        for times in times {
            for (name, took) in times {
                tally.add(name, took);
            }
        }
        tally.span += span;
        tally.promise(
            format!(
                "{}: {count} flows, {operations} answers in {:.1} s, all as documented",
                system.name,
                span.as_secs_f64()
            ),
            true,
        );
    }
    Ok(())
}

/// Drives every other flow, its share of the tasks at a time.
fn work(
    grants: &Grants<grantkeep::Embedded>,
    system: System,
    (worker, count, tasks): (u64, u64, u64),
    bar: &ProgressBar,
    wrong: &Mutex<Option<Wrong>>,
) -> Times {
    let times = Mutex::new(Times::new());
    let flows = (worker..count).step_by(usize::try_from(WORKERS).unwrap_or(1));
    let at_a_time = usize::try_from(tasks.div_ceil(WORKERS)).unwrap_or(1);
    stream::iter(flows)
        .for_each_concurrent(at_a_time, |number| {
            let timer = Timer(&times);
            async move {
                let failed = wrong.lock().is_ok_and(|wrong| wrong.is_some());
                if failed {
                    return;
                }
                if let Err(error) = Box::pin(flow(grants, system, number, &timer)).await
                    && let Ok(mut wrong) = wrong.lock()
                {
                    wrong.get_or_insert(error);
                }
                bar.inc(1);
            }
        })
        .wait();
    times.into_inner().unwrap_or_default()
}

/// Times operations into a worker's tally.
struct Timer<'a>(&'a Mutex<Times>);

impl Timer<'_> {
    async fn time<T>(&self, name: &'static str, operation: impl Future<Output = T>) -> T {
        let started = Instant::now();
        let done = operation.await;
        let us = u32::try_from(started.elapsed().as_micros()).unwrap_or(u32::MAX);
        if let Ok(mut times) = self.0.lock() {
            times.entry(name).or_default().push(us);
        }
        done
    }
}

type Engine = grantkeep::Embedded;

/// One user's or client's way through a system.
async fn flow(
    grants: &Grants<Engine>,
    system: System,
    number: u64,
    timer: &Timer<'_>,
) -> Result<(), Wrong> {
    let subject = format!("user-{}", number % 10_000);
    match system.name {
        "Hapn" => client_credentials(grants, system, timer, 2).await,
        "Hourfleet" if number % 4 == 3 => client_credentials(grants, system, timer, 1).await,
        "REST API v1" if number % 4 == 3 => {
            let grant = Grant::new("first-party", &subject).scopes(["all"]);
            let pair = timer.time("password", grants.open(grant)).await?;
            check_pair(system, &pair)?;
            renew(grants, system, timer, "first-party", pair).await
        }
        "Hospitable" if number % 8 == 7 => personal(grants, timer, &subject, number).await,
        _ => Box::pin(authorization_code(grants, system, timer, &subject, number)).await,
    }
}

async fn authorization_code(
    grants: &Grants<Engine>,
    system: System,
    timer: &Timer<'_>,
    subject: &str,
    number: u64,
) -> Result<(), Wrong> {
    let one_click = system.name == "Hospitable" && number.is_multiple_of(2);
    let client = format!("client-{}", number % 50);
    let mut request = Authorize::new(&client, subject).scopes(["read", "write"]);
    let mut presented = Presented::by(&client);
    if !one_click {
        request = request.redirect_uri(REDIRECT).pkce_s256(CHALLENGE);
        presented = presented.redirect_uri(REDIRECT).verifier(VERIFIER);
    }
    let code = timer.time("authorize", grants.authorize(request)).await?;
    let redeemed = timer.time("redeem", grants.redeem(code.expose(), &presented)).await?;
    let Redeemed::Granted(pair) = redeemed else {
        return Err(format!("{}: a fresh code was answered {redeemed:?}", system.name).into());
    };
    check_pair(system, &pair)?;
    renew(grants, system, timer, &client, *pair).await
}

/// Looks the access token up, refreshes, and looks the new one up.
async fn renew(
    grants: &Grants<Engine>,
    system: System,
    timer: &Timer<'_>,
    client: &str,
    pair: Issued,
) -> Result<(), Wrong> {
    active(grants, system, timer, pair.access.expose()).await?;
    let refresh = pair.refresh.as_ref().ok_or("a pair came without its refresh token")?;
    let request = RefreshRequest::by(client);
    let refreshed = timer.time("refresh", grants.refresh(refresh.expose(), &request)).await?;
    let Refreshed::Rotated(next) = refreshed else {
        return Err(format!("{}: a refresh was answered {refreshed:?}", system.name).into());
    };
    check_pair(system, &next)?;
    active(grants, system, timer, next.access.expose()).await
}

async fn client_credentials(
    grants: &Grants<Engine>,
    system: System,
    timer: &Timer<'_>,
    overlapping: usize,
) -> Result<(), Wrong> {
    let mut issued = Vec::new();
    for _ in 0..overlapping {
        let request = ClientCredentials::new("machine").scopes(["devices"]);
        let token = timer.time("client credentials", grants.client_credentials(request)).await?;
        check("access token", system, token.access.expose().len(), system.access_chars)?;
        check_expiry(system, token.expires_in)?;
        issued.push(token);
    }
    for token in issued {
        active(grants, system, timer, token.access.expose()).await?;
    }
    Ok(())
}

async fn personal(
    grants: &Grants<Engine>,
    timer: &Timer<'_>,
    subject: &str,
    number: u64,
) -> Result<(), Wrong> {
    let name = format!("key {number}");
    let new = NewPersonal::new(subject, &name).scopes(["read"]);
    let made = timer.time("personal token", grants.create_personal(new)).await?;
    let answer = timer.time("introspect", grants.introspect(made.token.expose())).await?;
    match answer {
        Introspection::Active(claims) if claims.subject.as_deref() == Some(subject) => Ok(()),
        other => Err(format!("a new personal token was answered {other:?}").into()),
    }
}

async fn active(
    grants: &Grants<Engine>,
    system: System,
    timer: &Timer<'_>,
    access: &str,
) -> Result<(), Wrong> {
    match timer.time("introspect", grants.introspect(access)).await? {
        Introspection::Active(_) => Ok(()),
        Introspection::Inactive => Err(format!("{}: a live token is inactive", system.name).into()),
    }
}

fn check_pair(system: System, pair: &Issued) -> Result<(), Wrong> {
    check("access token", system, pair.access.expose().len(), system.access_chars)?;
    let refresh = pair.refresh.as_ref().map_or(0, |refresh| refresh.expose().len());
    check("refresh token", system, refresh, system.refresh_chars)?;
    check_expiry(system, pair.expires_in)
}

fn check_expiry(system: System, expires_in: Duration) -> Result<(), Wrong> {
    let seconds = usize::try_from(expires_in.as_secs()).unwrap_or(usize::MAX);
    check("expires_in", system, seconds, usize::try_from(system.expires_in_s)?)
}

fn check(what: &str, system: System, got: usize, documented: usize) -> Result<(), Wrong> {
    if got == documented {
        return Ok(());
    }
    Err(format!("{}: {what} is {got}, documented is {documented}", system.name).into())
}
