use super::PROGRAM;
use super::connection::Connection;
use super::server::{CLIENT, Place, TOKEN};
use grantkeep::Wait as _;
use std::fs;
use std::process::Command;

// Goal: clients of a file are registered once: a client that was changed since is left as it is,
// and one that is new in the file is added. Method: two starts with a file that changes in between,
// and a client that is disabled in between.
#[test]
fn clients_of_a_file_are_registered_once() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let place = Place::new();
    let asked = |id: &'static str, secret: &'static str, address| {
        let form =
            [("client_id", id), ("client_secret", secret), ("grant_type", "client_credentials")];
        runtime.block_on(async {
            Connection::open(address).await.unwrap().post(TOKEN, &form).await.unwrap().status
        })
    };
    let [(_, id), (_, secret)] = CLIENT;
    let server = place.start(&[]);
    assert_eq!(asked(id, secret, server.address), 200);
    server.stop();

    let grants = place.grants();
    grants.disable_client(id).wait().unwrap().unwrap();
    grants.store().close().unwrap();
    drop(grants);
    let file = place.path("clients.toml");
    let second = "[[client]]\nid = \"second\"\nsecret = \"a-secret-of-a-second\"\n\
                  grants = [\"client_credentials\"]\n";
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{}{second}", text.replace(secret, "another-one-of-the-load")))
        .unwrap();
    let server = place.start(&[]);
    assert_eq!(asked(id, secret, server.address), 401);
    assert_eq!(asked(id, "another-one-of-the-load", server.address), 401);
    assert_eq!(asked("second", "a-secret-of-a-second", server.address), 200);
    server.stop();
}

// Goal: people of a file sign in with their passwords (RFC 6749 section 4.3). Method: a hash of a
// password in a file; the right password and another one.
#[test]
fn people_of_a_file_sign_in() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let place = Place::new();
    let hash = grantkeep_server::hash("wonderland").unwrap();
    let users = place.path("users.toml");
    fs::write(&users, format!("[[user]]\nname = \"alice\"\npassword_hash = \"{hash}\"\n")).unwrap();
    let server = place.start(&["--users", users.to_str().unwrap()]);
    for (password, status) in [("wonderland", 200), ("looking-glass", 400)] {
        let grant = [("grant_type", "password"), ("username", "alice"), ("password", password)];
        let form = [&CLIENT[..], &grant[..]].concat();
        let answer = runtime.block_on(async {
            Connection::open(server.address).await.unwrap().post(TOKEN, &form).await.unwrap()
        });
        assert_eq!(answer.status, status, "{}", answer.text());
    }
    server.stop();
}

// Goal: a file that is not in order ends the start before anything is made, naming the file and the
// line, and shows no secret. Method: files that are missing, no files, and of a wrong form.
#[test]
fn files_that_are_not_in_order_end_the_start() {
    let place = tempfile::tempdir().unwrap();
    let (store, file) = (place.path().join("store"), place.path().join("given.toml"));
    let says = |option: &str| {
        let mut command = Command::new(PROGRAM);
        command.args(["serve", "--profile", "hapn", "--listen", "127.0.0.1:0", "--dir"]);
        let output = command.arg(&store).arg(option).arg(&file).output().unwrap();
        assert!(!output.status.success());
        assert!(!store.exists(), "a store was made");
        String::from_utf8(output.stderr).unwrap()
    };
    for option in ["--clients", "--users"] {
        let said = says(option);
        assert!(said.contains("given.toml") && said.contains("check the path"), "{said}");
        fs::create_dir(&file).unwrap();
        assert!(says(option).contains("name a regular file"));
        fs::remove_dir(&file).unwrap();
        fs::write(&file, "\n\n[[other]]\nsecret = \"hush-hush-hush\"\n").unwrap();
        let said = says(option);
        assert!(said.contains("given.toml: line 3: unknown field `other`"), "{said}");
        fs::write(&file, "[[client]]\nsecret = hush-hush-hush\n").unwrap();
        let said = says(option);
        assert!(said.contains("line ") && !said.contains("hush"), "{said}");
        fs::remove_file(&file).unwrap();
    }
}

// Goal: a try-out takes nobody's place. Method: a file of users that has the name already.
#[test]
fn a_try_out_takes_nobodys_place() {
    let place = tempfile::tempdir().unwrap();
    let (store, users) = (place.path().join("store"), place.path().join("users.toml"));
    let hash = grantkeep_server::hash("wonderland").unwrap();
    fs::write(&users, format!("[[user]]\nname = \"alice\"\npassword_hash = \"{hash}\"\n")).unwrap();
    let mut command = Command::new(PROGRAM);
    command.args(["serve", "--profile", "hapn", "--listen", "127.0.0.1:0", "--demo-users"]);
    let output = command.arg("--dir").arg(&store).arg("--users").arg(&users).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("leave one of them out"), "{said}");
    assert!(!store.exists(), "a store was made");
}
