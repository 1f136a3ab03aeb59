//! Reads a source just well enough to know which files it includes and which kernels it defines.

/// The files that `text` includes by `#include "..."`.
pub(crate) fn includes(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| {
        let rest = line.trim_start().strip_prefix('#')?.trim_start().strip_prefix("include")?;
        rest.trim_start().strip_prefix('"')?.split('"').next()
    })
}

/// The names of the kernels that `text` defines: what stands before the parameters of each `__global__` that has a body.
pub(crate) fn kernels(text: &str) -> Vec<String> {
    let name = |after: &str| {
        let (signature, _) = after.split_once('{').filter(|(signature, _)| !signature.contains(';'))?;
        let (before, _) = signature.rsplit_once('(')?;
        before.rsplit(|c: char| !c.is_alphanumeric() && c != '_').next().map(Into::into)
    };
    without_comments(text).split("__global__").skip(1).filter_map(name).collect()
}

fn without_comments(text: &str) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some(at) = rest.find("//").into_iter().chain(rest.find("/*")).min() {
        out.push_str(&rest[..at]);
        let end = if rest[at..].starts_with("//") {
            rest[at..].find('\n')
        } else {
            rest[at..].find("*/").map(|end| end + 2)
        };
        rest = end.map_or("", |end| &rest[at + end..]);
        out.push(' ');
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_are_found_and_nothing_else() {
        let text = r#"
            // __global__ void in_a_comment(int a) {}
            extern "C" __global__ void plain(In<float> x) { }
            /* __global__ void also_not(int a) {} */
            extern "C" __global__ void __launch_bounds__(THREADS, (1)) bounded(
                Out<float> y) {
            }
            extern "C" __launch_bounds__(32) __global__ void before(int n) {}
            __global__ void declared(int n);
        "#;
        assert_eq!(kernels(text), ["plain", "bounded", "before"]);
    }

    #[test]
    fn includes_are_found() {
        let text =
            "#include \"a.cuh\"\n  # include \"b/c.cuh\" // why\n#include <math.h>\n// #include \"no\"\n";
        assert_eq!(includes(text).collect::<Vec<_>>(), ["a.cuh", "b/c.cuh"]);
    }
}
