//! System calls without the C library, for the first steps of a forked child: no page of its code is touched
//! there, and no errno written. (Each of the two costs a child a page fault.)

use std::arch::asm;

/// The kernel's answer: the result, or an errno negated.
///
/// # Safety
/// As for the system call; one that takes no more than four arguments.
#[inline(always)]
pub unsafe fn syscall(number: libc::c_long, a: usize, b: usize, c: usize, d: usize) -> isize {
    let result: isize;
    // SAFETY: by contract. These are the registers of the kernel's calling convention, and all that it changes.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d,
            lateout("rcx") _, lateout("r11") _,
            options(nostack)
        );
        #[cfg(target_arch = "aarch64")]
        asm!(
            "svc 0",
            in("x8") number,
            inlateout("x0") a as isize => result,
            in("x1") b, in("x2") c, in("x3") d,
            options(nostack)
        );
    }
    result
}
