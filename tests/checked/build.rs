//! The engine of this package is built for the model checker.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(model_checked)");
    // The switch of the builds that are broken on purpose is not for this one.
    println!("cargo::rustc-check-cfg=cfg(feature, values(\"sabotage\"))");
    println!("cargo::rustc-cfg=model_checked");
}
