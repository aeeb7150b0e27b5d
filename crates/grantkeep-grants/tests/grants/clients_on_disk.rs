//! Clients in a store on disk: kept for good, over checkpoints, sweeps, and reopens.

use crate::clients::{created, new_client};
use crate::world::*;
use grantkeep::backend::Budget;
use grantkeep::{Client, Embedded, ErrorKind, ManualClock, Record as _, SecretDigest, Store, Wait};
use grantkeep_grants::{Authenticated, ClientInfo, Grants, Policy, Secret};
use std::path::Path;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

const CLIENTS: usize = 300;

fn open(dir: &Path, clock: &Arc<ManualClock>) -> Grants<Embedded> {
    let options = Store::options().clock(clock.clone()).log_budget_bytes(2 << 20);
    let options = options.row_cache_bytes(0).reserve_bytes(0).by_itself(false);
    Grants::new(options.open(dir).unwrap(), Policy::default()).unwrap()
}

fn is_client(grants: &Grants<Embedded>, id: &str, secret: &Secret) -> bool {
    let answer = grants.authenticate_client(id, Some(secret.expose().as_bytes())).wait().unwrap();
    matches!(answer, Authenticated::Client(_))
}

fn all(grants: &Grants<Embedded>) -> Vec<ClientInfo> {
    let page = grants.clients(None, 1_000).wait().unwrap();
    assert!(page.next.is_none());
    let mut items = page.items;
    items.sort_by(|a, b| a.id.cmp(&b.id));
    items
}

// Goal: P2, P7, clients stay as they are, however long, until they are changed by hand. Method: 300
// clients, some changed, disabled, or deleted, on disk; checkpoints, sweeps years later, reopens.
#[test]
fn clients_outlive_checkpoints_sweeps_and_reopens() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let clock = Arc::new(ManualClock::at(UNIX_EPOCH + s(1_800_000_000)));
    let mut grants = open(&path, &clock);
    let id = |n: usize| format!("app-{n:03}");
    let mut secrets: Vec<Secret> = (0..CLIENTS)
        .map(|n| created(grants.create_client(new_client(&id(n))).wait().unwrap()).secret.unwrap())
        .collect();
    let mut expected = all(&grants);
    assert_eq!(expected.len(), CLIENTS);
    for turn in 0..4 {
        // Beside what dies.
        grants.authorize(authorize()).wait().unwrap();
        grants.store().checkpoint().wait().unwrap();
        let (renamed, disabled, deleted) =
            (id(10 * turn + 1), id(10 * turn + 2), id(10 * turn + 3));
        let edit = |edit: &mut grantkeep_grants::ClientEdit| edit.name = format!("turn {turn}");
        grants.update_client(&renamed, edit).wait().unwrap();
        grants.disable_client(&disabled).wait().unwrap();
        grants.delete_client(&deleted).wait().unwrap();
        if turn % 2 == 1 {
            grants.store().checkpoint().wait().unwrap();
        }
        clock.advance(s(3 * 365 * DAY_S));
        grants.store().accept_clock();
        clock.advance(s(60));
        grants.store().sweep(Budget::ALL).wait().unwrap();

        expected = all(&grants);
        assert_eq!(expected.len(), CLIENTS - turn - 1);
        assert_eq!(grants.store().stats().rows_of(Client::KIND), expected.len() as u64);
        grants.store().close().unwrap();
        grants = open(&path, &clock);
        assert_eq!(all(&grants), expected);
        // Until then what the log has changed is counted in the table as well.
        grants.store().checkpoint().wait().unwrap();
        assert_eq!(grants.store().stats().rows_of(Client::KIND), expected.len() as u64);
        for client in &expected {
            let number: usize = client.id["app-".len()..].parse().unwrap();
            let active = client.is_enabled();
            assert_eq!(is_client(&grants, &client.id, &secrets[number]), active, "{}", client.id);
        }
        let refused = grants.authorize(grantkeep_grants::Authorize::new(&disabled, SUBJECT)).wait();
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Disabled);
        assert!(grants.client(&deleted).wait().unwrap().is_none());
        assert_eq!(grants.client(&renamed).wait().unwrap().unwrap().name, format!("turn {turn}"));
    }
    // After twelve years nothing is kept of a deletion, and its id is free.
    secrets[3] = created(grants.create_client(new_client(&id(3))).wait().unwrap()).secret.unwrap();
    assert!(is_client(&grants, &id(3), &secrets[3]));
    grants.store().close().unwrap();
}

// Goal: retiring a root key on disk locks out nobody who was seen after it was rotated. Method:
// rotate the keyring of an open store, see the client, reopen.
#[test]
fn a_client_outlives_a_rotated_keyring() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let clock = Arc::new(ManualClock::at(UNIX_EPOCH + s(1_800_000_000)));
    let grants = open(&path, &clock);
    let secret = created(grants.create_client(new_client("app-1")).wait().unwrap()).secret.unwrap();
    grants.store().rotate_keyring().wait().unwrap();
    assert!(is_client(&grants, "app-1", &secret));
    let key = |grants: &Grants<Embedded>| {
        let client = grants.store().client("app-1").wait().unwrap().unwrap().record;
        match client.secrets[0].digest {
            SecretDigest::Keyed { key_id, .. } => key_id,
            SecretDigest::Foreign(_) => panic!("it was digested here"),
        }
    };
    assert_eq!(key(&grants), 2);
    grants.store().close().unwrap();
    let grants = open(&path, &clock);
    assert!(is_client(&grants, "app-1", &secret));
    assert_eq!(key(&grants), 2);
    grants.store().close().unwrap();
}
