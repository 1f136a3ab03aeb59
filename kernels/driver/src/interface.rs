//! Functions of a C interface, which give a code.

/// Defines functions of a library by the type of its codes and that of success. They are as the library documents them,
/// but for the output of `-> T`, which is the first parameter there: `give`, in scope, writes it. A panic must not unwind
/// into C: it aborts.
macro_rules! functions {
    ($code:ty, $success:expr;
     $(fn $name:ident($($argument:ident: $kind:ty),*) $(-> $gives:ty)? = $answer:expr;)*) => {$(
        /// # Safety
        /// * as the library's documentation asks for the function of that name: pointers are to what their names say.
        #[unsafe(no_mangle)]
        pub(crate) unsafe extern "C" fn $name($(to: *mut $gives,)? $($argument: $kind),*) -> $code {
            let answer: Result<_, $code> = $answer;
            $(
                // SAFETY: the caller's.
                let answer = answer.and_then(|value: $gives| unsafe { give(to, value) });
            )?
            match answer {
                Ok(()) => $success,
                Err(code) => code,
            }
        }
    )*};
}
pub(crate) use functions;
