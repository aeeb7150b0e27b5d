use super::document;
use std::collections::BTreeMap;

/// The one provider of cryptography that TLS uses here.
const PROVIDER: &str = "ring";
/// What else provides it: as a library, as bindings to one, or as a provider for `rustls`.
const OTHERS: [&str; 15] = [
    "aws-lc-fips-sys",
    "aws-lc-rs",
    "aws-lc-sys",
    "boring",
    "boring-sys",
    "botan",
    "botan-sys",
    "graviola",
    "mbedtls",
    "native-tls",
    "openssl",
    "openssl-sys",
    "s2n-tls",
    "schannel",
    "security-framework",
];
/// The crates of `rustls` that are no providers.
const RUSTLS: [&str; 5] =
    ["rustls", "rustls-native-certs", "rustls-pemfile", "rustls-pki-types", "rustls-webpki"];

/// The packages of a lock file, each with the names of those that it depends on.
fn packages(lock: &str) -> BTreeMap<String, Vec<String>> {
    let mut packages: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in lock.split("[[package]]").skip(1) {
        let name = package.split("name = \"").nth(1).unwrap().split('"').next().unwrap();
        let needed = package.split_once("dependencies = [").map_or("", |(_, rest)| rest);
        let needed = needed.split(']').next().unwrap().split('"').skip(1).step_by(2);
        // A name that several versions have is followed by the version.
        let needed = needed.map(|text| text.split(' ').next().unwrap().to_owned());
        packages.entry(name.to_owned()).or_default().extend(needed);
    }
    packages
}

/// What is wrong with the cryptography of a lock file.
fn faults(lock: &str) -> Vec<String> {
    let packages = packages(lock);
    let mut faults: Vec<String> = packages
        .keys()
        .filter(|name| OTHERS.contains(&name.as_str()))
        .map(|name| format!("{name} is another provider than {PROVIDER}"))
        .collect();
    for name in packages.keys().filter(|name| name.starts_with("rustls")) {
        if !RUSTLS.contains(&name.as_str()) {
            faults.push(format!("{name} may be another provider than {PROVIDER}"));
        }
    }
    if !packages.get("rustls").is_some_and(|needed| needed.iter().any(|name| name == PROVIDER)) {
        faults.push(format!("rustls does not use {PROVIDER}"));
    }
    faults
}

// Goal: the dependency tree has one provider of cryptography: two would be two sets of faults to
// follow, and `rustls` panics where it has to choose between them. Method: every package that any
// build of the workspace may use is in the lock file.
#[test]
fn one_provider_of_cryptography() {
    let lock = document("Cargo.lock");
    assert!(packages(&lock).len() > 200, "only {} packages were found", packages(&lock).len());
    assert_eq!(faults(&lock), Vec::<String>::new());
}

// Goal: a second provider is seen. Method: lock files with each, one of `rustls` without the
// provider, and one in order.
#[test]
fn another_provider_is_seen() {
    let package = |name: &str, needed: &str| {
        format!(
            "[[package]]\nname = \"{name}\"\nversion = \"1.0.0\"\ndependencies = [\n{needed}]\n"
        )
    };
    let good = package("rustls", " \"log\",\n \"ring\",\n") + &package("ring", "");
    assert_eq!(faults(&good), Vec::<String>::new());
    for other in OTHERS.into_iter().chain(["rustls-openssl", "rustls-graviola"]) {
        assert_eq!(faults(&(good.clone() + &package(other, ""))).len(), 1, "{other}");
    }
    assert_eq!(faults(&good.replace(" \"ring\",\n", "")).len(), 1);
    assert_eq!(faults(&good.replace(" \"ring\",\n", " \"ring 0.17.14\",\n")).len(), 0);
}
