//! Gives the library the driver's name, which is how a process finds it that has loaded it already: see `plug`.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libcuda.so");
}
