//! The engine of this package is built for the model checker.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(model_checked)");
    // That feature's switch is one for a process; this build has its own.
    println!("cargo::rustc-check-cfg=cfg(feature, values(\"sabotage\"))");
    println!("cargo::rustc-cfg=model_checked");
}
