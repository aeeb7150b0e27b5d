//! Policies.

use crate::world::*;
use grantkeep::{ErrorKind, LIFETIME_DEFAULT_MAX};
use grantkeep_grants::{
    CODE_LIFETIME_MAX, Format, GRACE_COUNTED_MAX, GRACE_MAX, Grants, POLICY_BYTES_MAX, Policy,
    Profile, RETRIES_MAX, Refreshing, Retries, Style,
};
use std::fmt::Write as _;

// Goal: every bound of a policy is exact. Method: each field at its bound and one step outside.
#[test]
fn policy_bounds_are_exact() {
    let max = LIFETIME_DEFAULT_MAX;
    let second = s(1);
    let set: [fn(&mut Policy, std::time::Duration); 7] = [
        |policy, to| policy.code_lifetime = to,
        |policy, to| policy.code_lifetime_max = to,
        |policy, to| policy.access_lifetime = to,
        |policy, to| policy.client_credentials_lifetime = to,
        |policy, to| policy.personal_lifetime = to,
        |policy, to| policy.refresh_idle = to,
        |policy, to| policy.refresh_absolute = to,
    ];
    let most = [CODE_LIFETIME_MAX, CODE_LIFETIME_MAX, s(30 * DAY_S), max, max, s(90 * DAY_S), max];
    for (at, (set, most)) in set.into_iter().zip(most).enumerate() {
        let check = |to| {
            let mut policy = Policy::default();
            set(&mut policy, to);
            policy.check(max)
        };
        assert!(check(most).is_ok(), "field {at}");
        for bad in [s(0), most + second, s(61) + MS] {
            assert_eq!(check(bad).unwrap_err().kind(), ErrorKind::Lifetime, "field {at}");
        }
    }
    let shortest = Policy {
        code_lifetime: second,
        code_lifetime_max: second,
        access_lifetime: second,
        client_credentials_lifetime: second,
        personal_lifetime: second,
        refresh_idle: second,
        refresh_absolute: second,
        refresh_grace: second,
        ..Policy::default()
    };
    assert!(shortest.check(max).is_ok());
    let retried = |grace, retries| {
        let policy = Policy { refresh_grace: grace, refresh_retries: retries, ..Policy::default() };
        policy.check(max).map_err(|error| error.kind())
    };
    for (retries, most) in [
        (Retries::Count(0), GRACE_COUNTED_MAX),
        (Retries::Count(RETRIES_MAX), GRACE_COUNTED_MAX),
        (Retries::UntilUsed, GRACE_MAX),
    ] {
        assert!(retried(s(0), retries).is_ok() && retried(most, retries).is_ok());
        assert_eq!(retried(most + second, retries), Err(ErrorKind::Lifetime));
    }
    assert_eq!(retried(s(30), Retries::Count(RETRIES_MAX + 1)), Err(ErrorKind::Limit));
    let short = Policy { code_format: Format::hex().chars(63), ..Policy::default() };
    assert_eq!(short.check(max).unwrap_err().kind(), ErrorKind::Limit);
}

// Goal: grants refuse a policy that their store cannot keep. Method: a personal token longer than
// the store's longest lifetime.
#[test]
fn a_policy_over_the_store_is_refused() {
    let world = World::new();
    let policy = Policy { personal_lifetime: LIFETIME_DEFAULT_MAX + s(1), ..Policy::default() };
    let refused = Grants::new(world.grants.store().clone(), policy).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Lifetime);
}

// Goal: a policy is data, and a server's own is a file. Method: every shipped one to TOML and back,
// and as the code that stood for it; a part of one; a file.
#[test]
fn a_policy_is_read_from_a_file() {
    for (name, _) in Profile::ALL {
        let policy = Profile::named(name).unwrap();
        assert_eq!(Policy::from_toml(&policy.to_toml().unwrap()).unwrap(), policy, "{name}");
    }
    assert_eq!(Profile::named("unheard of").unwrap_err().kind(), ErrorKind::Missing);
    let text = r#"
        access_lifetime = 300
        refreshing = "fixed"
        code_format = { style = "hex" }
        access_format = { style = "prefixed", app = "acme", chars = 100 }
    "#;
    let policy = Policy::from_toml(text).unwrap();
    assert_eq!((policy.access_lifetime, policy.code_lifetime), (s(300), s(60)));
    assert_eq!((policy.refreshing, policy.code_format.clone()), (Refreshing::Fixed, Format::hex()));
    assert_eq!(policy.access_format.style, Style::Prefixed { app: "acme".to_owned() });
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("policy.toml");
    assert_eq!(Policy::load(&path).unwrap_err().kind(), ErrorKind::Missing);
    std::fs::write(&path, text).unwrap();
    assert_eq!(Policy::load(&path).unwrap(), policy);
    for (text, retries) in [("7", Retries::Count(7)), ("\"until_used\"", Retries::UntilUsed)] {
        let policy = Policy::from_toml(&format!("refresh_retries = {text}")).unwrap();
        assert_eq!(policy.refresh_retries, retries);
        assert_eq!(Policy::from_toml(&policy.to_toml().unwrap()).unwrap(), policy);
    }
    assert!(Policy::from_toml("refresh_retries = \"for ever\"").is_err());
    std::fs::write(&path, "refresh_grace = 301\nrefresh_retries = \"until_used\"").unwrap();
    let error = Policy::load(&path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Lifetime);
    assert!(error.to_string().contains("policy.toml: refresh_grace is 301s"), "{error}");
}

// Goal: a policy is a regular file of at most 1 MiB: nothing without an end is read, no open waits,
// and no memory is taken for what is refused. Method: a file at the limit and one byte over it, 2
// million keys, 1 TiB of nothing, a file that grows; a device, a FIFO, a directory, and links.
#[test]
fn a_policy_is_a_regular_file_of_at_most_1_mib() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    // Elsewhere, so that a load that hangs is told and not waited for.
    let load = |path: std::path::PathBuf| {
        let (send, answer) = std::sync::mpsc::channel();
        std::thread::spawn(move || drop(send.send(Policy::load(path))));
        answer.recv_timeout(s(60)).expect("the load hangs")
    };
    let refused = |path: std::path::PathBuf, word: &str| {
        let error = load(path.clone()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Limit, "{error}");
        let message = error.to_string();
        assert!(message.contains(word) && message.contains(path.to_str().unwrap()), "{message}");
    };
    let padded = |bytes: usize| format!("access_lifetime = 300 #{}", "x".repeat(bytes - 23));
    std::fs::write(path("full"), padded(POLICY_BYTES_MAX)).unwrap();
    assert_eq!(load(path("full")).unwrap().access_lifetime, s(300));
    std::fs::write(path("over"), padded(POLICY_BYTES_MAX + 1)).unwrap();
    refused(path("over"), "1048576 bytes");
    let error = Policy::from_toml(&padded(POLICY_BYTES_MAX + 1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limit);
    let mut keys = String::new();
    for number in 0..2_000_000 {
        writeln!(keys, "k{number}=1").unwrap();
    }
    std::fs::write(path("keys"), keys).unwrap();
    refused(path("keys"), "1048576 bytes");
    std::fs::File::create(path("hole")).unwrap().set_len(1 << 40).unwrap();
    refused(path("hole"), "1048576 bytes");
    std::fs::write(path("latin"), b"# \xe9").unwrap();
    refused(path("latin"), "UTF-8");

    let mut growing = std::fs::File::create(path("growing")).unwrap();
    let grows = std::thread::spawn(move || {
        for _ in 0..64 {
            std::io::Write::write_all(&mut growing, &vec![b'\n'; 1 << 16]).unwrap();
        }
    });
    while load(path("growing")).is_ok() {}
    refused(path("growing"), "1048576 bytes");
    grows.join().unwrap();

    let made = std::process::Command::new("mkfifo").arg(path("fifo")).status().unwrap();
    assert!(made.success());
    std::fs::create_dir(path("directory")).unwrap();
    for (link, to) in [("zeros", "/dev/zero"), ("to-fifo", "fifo"), ("to-directory", "directory")] {
        std::os::unix::fs::symlink(to, path(link)).unwrap();
    }
    for name in ["fifo", "directory", "zeros", "to-fifo", "to-directory"] {
        refused(path(name), "name a regular file");
    }
    refused("/dev/zero".into(), "name a regular file");
    std::os::unix::fs::symlink("full", path("to-full")).unwrap();
    assert!(load(path("to-full")).is_ok());
}

// Goal: whatever is wrong with a text, the answer names the line and the way out. Method: a text
// for each thing that can be wrong.
#[test]
fn wrong_policies_are_refused_by_name() {
    for (text, expected) in [
        ("\nacess_lifetime = 300", "line 2: unknown field `acess_lifetime`"),
        ("access_lifetime = -1", "line 1: invalid value"),
        ("access_lifetime = 1.5", "line 1: invalid type"),
        ("access_lifetime = \"1h\"", "line 1: invalid type"),
        ("refreshing = \"sometimes\"", "line 1: unknown variant `sometimes`"),
        ("a b", "line 1: "),
        ("code_format = { style = \"hex\", app = \"gk\" }", "line 1: only a prefixed format"),
        ("code_format = { style = \"prefixed\" }", "line 1: a prefixed format takes"),
        ("code_format = { style = \"octal\" }", "line 1: unknown variant `octal`"),
        ("code_format = { style = \"hex\", chars = 63 }", "code_format of 63 characters"),
        ("access_lifetime = 0", "access_lifetime is 0ns"),
    ] {
        let error = Policy::from_toml(text).unwrap_err();
        assert!(error.to_string().starts_with(expected), "{text}: {error}");
        assert!(matches!(error.kind(), ErrorKind::Limit | ErrorKind::Lifetime), "{text}");
    }
}
