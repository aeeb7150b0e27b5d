//! The engine of this package is built for the model checker.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(model_checked)");
    println!("cargo::rustc-cfg=model_checked");
}
