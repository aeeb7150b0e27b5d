//! Backups of a running store, and what a restored one refuses.

mod overtaken;

use grantkeep::{
    Embedded, ErrorKind, KeySource, Keyring, ManualClock, Options, OsDisk, Store, Token, Wait as _,
};
use grantkeep_grants::{
    Authenticated, Authorize, ClientRefusal, ClientState, Creation, Grant, GrantType, Grants,
    Introspection, NewClient, NewPersonal, Policy, Presented, Redeemed, RefreshRequest, Refreshed,
};
use grantkeep_tests::files::copy_dir;
use grantkeep_tests::small_disk::SmallDisk;
use grantkeep_tests::{manual_clock, options, samples};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

const CLIENT: &str = "client-1";

fn keys() -> KeySource {
    KeySource::Given(Keyring::from_keys([(1, [7; 32])]).unwrap())
}

fn choices(clock: &Arc<ManualClock>) -> Options {
    options(clock).keys(keys())
}

fn grants(store: Store) -> Grants<Embedded> {
    Grants::new(store, Policy::default()).unwrap()
}

fn is_active(grants: &Grants<Embedded>, token: &str) -> bool {
    matches!(grants.introspect(token).wait().unwrap(), Introspection::Active(_))
}

/// What was issued before a backup, of every kind.
struct Issued {
    code: String,
    access: String,
    refresh: [String; 2],
    personal: String,
}

fn issue(grants: &Grants<Embedded>) -> Issued {
    let code = grants.authorize(Authorize::new(CLIENT, "alice")).wait().unwrap();
    let first = grants.open(Grant::new(CLIENT, "alice")).wait().unwrap();
    let refresh = first.refresh.unwrap().expose().to_owned();
    let Refreshed::Rotated(second) =
        grants.refresh(&refresh, &RefreshRequest::by(CLIENT)).wait().unwrap()
    else {
        panic!("not rotated")
    };
    let new = NewPersonal::new("alice", "laptop");
    Issued {
        code: code.expose().to_owned(),
        access: second.access.expose().to_owned(),
        refresh: [refresh, second.refresh.unwrap().expose().to_owned()],
        personal: grants.create_personal(new).wait().unwrap().token.expose().to_owned(),
    }
}

/// Everything that was issued before is refused, and what is issued now is in force.
fn is_fenced(grants: &Grants<Embedded>, issued: &Issued) {
    for token in [&issued.access, &issued.personal, &issued.refresh[0], &issued.refresh[1]] {
        assert!(!is_active(grants, token));
    }
    let answer = grants.redeem(&issued.code, &Presented::by(CLIENT)).wait().unwrap();
    let dead = matches!(answer, Redeemed::Revoked | Redeemed::Replayed { .. });
    assert!(dead, "{answer:?}");
    let request = RefreshRequest::by(CLIENT);
    let answer = grants.refresh(&issued.refresh[1], &request).wait().unwrap();
    assert!(matches!(answer, Refreshed::Revoked), "{answer:?}");
    let new = issue(grants);
    assert!(is_active(grants, &new.access) && is_active(grants, &new.personal));
    let answer = grants.redeem(&new.code, &Presented::by(CLIENT)).wait().unwrap();
    assert!(matches!(answer, Redeemed::Granted(_)), "{answer:?}");
}

// Goal: P2, what was revoked, spent, or rotated after a backup is not revived by restoring it, and
// nor is anything else of it. Method: issue, back up, end all of it; open the copy as it is
// (refused), as restored, and once more as usual; the same with a copy made by other means.
#[test]
fn a_restored_store_revives_nothing() {
    let place = tempfile::tempdir().unwrap();
    let (live, copy) = (place.path().join("live"), place.path().join("copy"));
    let clock = manual_clock();
    let running = grants(choices(&clock).open(&live).unwrap());
    let issued = issue(&running);
    let new = NewClient::confidential("vendor").grants([GrantType::ClientCredentials]);
    let Creation::Created(created) = running.create_client(new).wait().unwrap() else {
        panic!("not created")
    };
    let secret = created.secret.unwrap();
    running.store().backup(&copy).wait().unwrap();
    let cold = place.path().join("cold");
    // After the backup all of it ends.
    let answer = running.redeem(&issued.code, &Presented::by(CLIENT)).wait().unwrap();
    assert!(matches!(answer, Redeemed::Granted(_)));
    running.revoke_subject("alice").wait().unwrap();
    running.store().close().unwrap();
    copy_dir(&live, &cold);

    let refused = choices(&clock).open(&copy).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotAStore);
    assert!(refused.to_string().contains("is a backup: open it with `restored`"), "{refused}");
    for (dir, issued) in [(&copy, &issued), (&cold, &issued)] {
        let restored = grants(choices(&clock).restored(true).open(dir).unwrap());
        is_fenced(&restored, issued);
        // Its secret may have been removed since: somebody has to say that it is still trusted.
        let authenticate = || {
            let secret = secret.expose().as_bytes();
            let answer = restored.authenticate_client("vendor", Some(secret)).wait().unwrap();
            matches!(answer, Authenticated::Client(_))
        };
        assert!(!authenticate());
        assert!(!restored.client("vendor").wait().unwrap().unwrap().is_enabled());
        let enabled = restored.enable_client("vendor").wait().unwrap().unwrap();
        assert!(enabled.is_enabled() && authenticate());
        let after = issue(&restored);
        restored.store().close().unwrap();
        let reopened = grants(choices(&clock).open(dir).unwrap());
        assert!(is_active(&reopened, &after.access), "what was issued since is kept");
        assert!(!is_active(&reopened, &issued.access));
        reopened.store().close().unwrap();
        // Restored once more, what was issued in between is refused as well.
        let again = grants(choices(&clock).restored(true).open(dir).unwrap());
        is_fenced(&again, &after);
    }
}

// Goal: P7, a backup of a running store holds everything that was acknowledged before it, and
// holds nobody up. Method: commit on four threads, back up three times; each copy opens and has
// every token up to the last that was acknowledged when it was asked for.
#[test]
fn a_backup_holds_what_was_acknowledged() {
    let place = tempfile::tempdir().unwrap();
    let clock = manual_clock();
    let store = choices(&clock).open(place.path().join("live")).unwrap();
    let (stop, written) = (AtomicBool::new(false), [const { AtomicU64::new(0) }; 4]);
    let name = |thread: usize, number: u64| format!("token {thread} {number} of this test");
    let mut checked = 0;
    std::thread::scope(|scope| {
        for (thread, written) in written.iter().enumerate() {
            let (store, stop) = (&store, &stop);
            scope.spawn(move || {
                let mut number = 0;
                while !stop.load(Ordering::Relaxed) {
                    let mut change = store.change().unwrap();
                    let until = store.now().saturating_add(Duration::from_secs(3_600));
                    let id = store.id(name(thread, number).as_bytes()).unwrap();
                    change.insert(id, &samples::token("t", "alice"), until).unwrap();
                    store.commit(change).wait().unwrap();
                    number += 1;
                    written.store(number, Ordering::Release);
                }
            });
        }
        for round in 0..3 {
            while written.iter().any(|each| each.load(Ordering::Acquire) < 100 * (round + 1)) {
                std::thread::yield_now();
            }
            let before: Vec<u64> =
                written.iter().map(|each| each.load(Ordering::Acquire)).collect();
            let copy = place.path().join(format!("copy {round}"));
            store.backup(&copy).wait().unwrap();
            let restored = choices(&clock).restored(true).open(&copy).unwrap();
            for (thread, count) in before.into_iter().enumerate() {
                for number in 0..count {
                    let text = name(thread, number);
                    let held = restored.find::<Token>(text.as_bytes()).wait().unwrap();
                    assert!(held.is_some(), "{text} is missing in backup {round}");
                    checked += 1;
                }
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    println!("3 backups of a running store: {checked} acknowledged tokens, none missing");
}

// Goal: a backup that cannot be made says why, and costs the store nothing. Method: a directory
// with something in it, one without a parent, a disk that is full on the way; then commit on.
#[test]
fn a_backup_that_fails_costs_nothing() {
    let place = tempfile::tempdir().unwrap();
    let clock = manual_clock();
    let store = choices(&clock).open(place.path().join("live")).unwrap();
    let running = grants(store);
    let issued = issue(&running);
    let refused = |to: &Path| running.store().backup(to).wait().unwrap_err();
    let full = place.path().join("something");
    std::fs::create_dir(&full).unwrap();
    std::fs::write(full.join("note"), "mine").unwrap();
    let error = refused(&full);
    assert_eq!(error.kind(), ErrorKind::NotAStore);
    assert!(error.to_string().contains("not empty"), "{error}");
    assert_eq!(std::fs::read(full.join("note")).unwrap(), b"mine");
    assert_eq!(refused(&place.path().join("no/such/parent")).kind(), ErrorKind::Missing);
    assert_eq!(refused(&full.join("note")).kind(), ErrorKind::Io);
    running.store().backup(place.path().join("copy")).wait().unwrap();
    assert!(is_active(&running, &issued.access));

    let disk = SmallDisk::new(64 << 20);
    let options = choices(&clock).disk(disk.clone());
    let running = grants(options.open(place.path().join("small")).unwrap());
    let issued = issue(&running);
    running.store().checkpoint().wait().unwrap();
    // A quota of the copy's own: the store makes segments meanwhile, and gives room back.
    let half = place.path().join("half");
    disk.set_quota(&half, 32 << 10);
    let error = running.store().backup(&half).wait().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Full, "{error}");
    assert!(is_active(&running, &issued.access));
    running.revoke(&issued.access).wait().unwrap();
    let error = choices(&clock).disk(Arc::new(OsDisk)).open(&half).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotAStore, "half a copy is no store: {error}");
}

// Goal: P1, P7, a backup and a checkpoint cover everything that was committed before them, or fail,
// also where the log was made under another budget. Method: a store filled with a large log is
// opened with a small one; more is issued, and backed up at once.
#[test]
fn a_backup_is_whole_under_a_smaller_log() {
    let place = tempfile::tempdir().unwrap();
    let (live, copy) = (place.path().join("live"), place.path().join("copy"));
    let clock = manual_clock();
    let open = |mib: u64| choices(&clock).log_budget_bytes(mib << 20).open(&live).unwrap();
    let running = grants(open(512));
    let mut issued: Vec<_> = (0..200).map(|_| issue(&running).access).collect();
    running.store().close().unwrap();
    let running = grants(open(2));
    issued.extend((0..200).map(|_| issue(&running).access));
    running.create_client(NewClient::public("late")).wait().unwrap();
    running.store().checkpoint().wait().unwrap();
    assert_eq!(running.store().stats().carried_rows, running.store().stats().rows_total());
    issued.extend((0..50).map(|_| issue(&running).access));
    let rows = running.store().stats().rows_total();
    running.store().backup(&copy).wait().unwrap();
    let restored = choices(&clock).restored(true).open(&copy).unwrap();
    // The fence is one row more.
    assert_eq!(restored.stats().rows_total(), rows + 1);
    let restored = grants(restored);
    assert!(restored.client("late").wait().unwrap().is_some());
    assert!(issued.iter().all(|access| is_active(&running, access)));
}

// Goal: after a restore, a client that waits for somebody to say that it is still to be trusted is
// told from one that somebody disabled, by its record and in the list. Method: one client of each
// kind, restored an hour later; each decision that can be made of them; a second restore.
#[test]
fn a_client_that_waits_is_told_from_one_that_was_disabled() {
    let place = tempfile::tempdir().unwrap();
    let [live, copy, second] = ["live", "copy", "second"].map(|name| place.path().join(name));
    let clock = manual_clock();
    let running = grants(choices(&clock).open(&live).unwrap());
    for id in ["active", "ended", "kept"] {
        running.create_client(NewClient::public(id)).wait().unwrap();
    }
    let at: SystemTime = running.store().wall().into();
    running.disable_client("ended").wait().unwrap();
    running.store().backup(&copy).wait().unwrap();
    clock.advance(Duration::from_secs(3_600));

    let restored = grants(choices(&clock).restored(true).open(&copy).unwrap());
    let since: SystemTime = restored.store().fence().unwrap().at().into();
    assert_ne!(since, at);
    let state = |grants: &Grants<Embedded>, id: &str| {
        let client = grants.client(id).wait().unwrap().unwrap();
        let listed = grants.clients(None, 10).wait().unwrap().items;
        assert!(listed.contains(&client), "it is listed as it is");
        let waits_or_ended = client.permits(GrantType::Password) == Err(ClientRefusal::Disabled);
        assert_eq!(waits_or_ended, !client.is_enabled());
        client.state
    };
    assert_eq!(state(&restored, "active"), ClientState::AwaitsReview { since });
    assert_eq!(state(&restored, "kept"), ClientState::AwaitsReview { since });
    assert_eq!(state(&restored, "ended"), ClientState::Disabled { at });
    // A change of its record is no decision about it.
    restored.update_client("active", |edit| edit.name = "renamed".to_owned()).wait().unwrap();
    assert_eq!(state(&restored, "active"), ClientState::AwaitsReview { since });
    assert!(restored.enable_client("kept").wait().unwrap().unwrap().is_enabled());
    clock.advance(Duration::from_secs(3_600));
    let later = restored.store().wall().into();
    let disabled = restored.disable_client("active").wait().unwrap().unwrap();
    assert_eq!(disabled.state, ClientState::Disabled { at: later });
    restored.store().close().unwrap();

    let reopened = grants(choices(&clock).open(&copy).unwrap());
    assert_eq!(state(&reopened, "active"), ClientState::Disabled { at: later });
    assert_eq!(state(&reopened, "kept"), ClientState::Enabled);
    assert!(reopened.enable_client("ended").wait().unwrap().unwrap().is_enabled());
    reopened.store().backup(&second).wait().unwrap();
    let again = grants(choices(&clock).restored(true).open(&second).unwrap());
    let since = again.store().fence().unwrap().at().into();
    assert_eq!(state(&again, "active"), ClientState::Disabled { at: later });
    assert_eq!(state(&again, "kept"), ClientState::AwaitsReview { since });
    assert_eq!(state(&again, "ended"), ClientState::AwaitsReview { since });
}

// Goal: P6, nothing is issued to a client that a restore disabled, disabling it once more is no
// less final, and enabling it ends that. Method: restore; issue before and after each.
#[test]
fn a_client_that_a_restore_disabled_can_be_disabled() {
    let place = tempfile::tempdir().unwrap();
    let (live, copy) = (place.path().join("live"), place.path().join("copy"));
    let clock = manual_clock();
    let running = grants(choices(&clock).open(&live).unwrap());
    running.create_client(NewClient::public(CLIENT)).wait().unwrap();
    running.store().backup(&copy).wait().unwrap();
    let restored = grants(choices(&clock).restored(true).open(&copy).unwrap());
    let refused = restored.open(Grant::new(CLIENT, "alice")).wait().unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Disabled);
    let disabled = restored.disable_client(CLIENT).wait().unwrap().unwrap();
    assert!(matches!(disabled.state, ClientState::Disabled { .. }));
    let refused = restored.open(Grant::new(CLIENT, "alice")).wait().unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Disabled);
    restored.enable_client(CLIENT).wait().unwrap();
    assert!(restored.open(Grant::new(CLIENT, "alice")).wait().is_ok());
}

// Goal: P2, a backup or a checkpoint that is asked for on a full disk is refused, and costs its
// caller alone: revocation goes on. Method: tens of MiB of log that are not carried yet, a disk
// that is full, at the default reserve and at a small one; ask, and revoke.
#[test]
fn a_full_disk_refuses_backups_and_goes_on() {
    for (disk_mib, reserve_mib, budget_mib) in [(96, 16, 256), (24, 1, 64)] {
        let place = tempfile::tempdir().unwrap();
        let clock = manual_clock();
        let disk = SmallDisk::new(disk_mib << 20);
        let open = || {
            let options = choices(&clock).log_budget_bytes(budget_mib << 20);
            let options = options.reserve_bytes(reserve_mib << 20).disk(disk.clone());
            grants(options.open(place.path().join("small")).unwrap())
        };
        let running = open();
        let payload = vec![7; 16_000];
        let error = loop {
            let new = NewPersonal::new("bob", "x").payload(&payload);
            if let Err(error) = running.create_personal(new).wait() {
                break error;
            }
        };
        assert_eq!(error.kind(), ErrorKind::Full);
        let refused = running.store().backup(place.path().join("copy")).wait().unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Full, "{refused}");
        let refused = running.store().checkpoint().wait().unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Full, "{refused}");
        running.revoke_subject("alice").wait().unwrap();
        drop(running);
        open().revoke_subject("carol").wait().unwrap();
    }
}

// Goal: a backup within the store is refused, and what somebody else puts there is left alone.
// Method: directories at every place of the store; stray ones, after a close and after a crash.
#[test]
fn nothing_of_others_is_taken_for_the_store() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("store");
    let clock = manual_clock();
    let running = grants(choices(&clock).open(&dir).unwrap());
    let issued = issue(&running);
    for to in ["", "copy", "log", "log/copy", "log/copy.new", "log/../copy"] {
        let refused = running.store().backup(dir.join(to)).wait().unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::NotAStore, "{to}: {refused}");
    }
    for stray in ["lost+found", "log/lost+found", "log/copy.new", "log/copy.seg"] {
        std::fs::create_dir(dir.join(stray)).unwrap();
    }
    std::fs::write(dir.join("log/note.seg"), "mine").unwrap();
    let crashed = place.path().join("crashed");
    copy_dir(&dir, &crashed);
    running.store().close().unwrap();
    drop(running);
    for dir in [dir, crashed] {
        let reopened = grants(choices(&clock).open(&dir).unwrap());
        assert!(is_active(&reopened, &issued.access));
        assert_eq!(std::fs::read(dir.join("log/note.seg")).unwrap(), b"mine");
    }
}

// Goal: a restore is asked of something that is there. Method: an empty directory and a missing
// one.
#[test]
fn nothing_is_restored_from_nothing() {
    let place = tempfile::tempdir().unwrap();
    let clock = manual_clock();
    let empty = place.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let refused = choices(&clock).restored(true).open(&empty).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotAStore);
    let missing = place.path().join("missing");
    let refused = choices(&clock).restored(true).open(&missing).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Missing);
}
