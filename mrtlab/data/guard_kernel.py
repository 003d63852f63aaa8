"""The locks that Linux offers to any user, turned on a process that is about to run a stranger's program.

`seal` is called by a process on itself. From then on the kernel answers about thirty system calls that computing needs
(memory, clocks, reading and writing what is open already) and no other. Opening a file, asking about one and the like
fail with "permission denied"; whatever else there is, sockets, new processes, signals to others, ends the process at
once. There is no way back: neither the program nor we can open a lock again.

The locks, in the order in which they close: no new privileges; where the kernel has it, Landlock, a second lock on the
file system; limits on CPU time, memory, files and processes; and seccomp, the list of system calls.
Nothing here imports anything outside the standard library, for a sealed process is started from this file.

>>> sorted(set(ALLOWED) & {"read", "socket", "fork", "openat", "kill"})
['read']
"""

import contextlib
import ctypes
import os
import struct
import sys
from typing import Any

with contextlib.suppress(ImportError):  # not on every system, and this file is imported on all of them
    import resource


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


NOBODY = 65_534  # the user and the group that own nothing, by the same number on every Linux

# What computing needs. A name that a machine does not know is not in its table below.
ALLOWED = _words(
    "read write close fstat lseek mmap mprotect munmap brk mremap madvise futex sched_yield restart_syscall "
    "rt_sigaction rt_sigprocmask rt_sigreturn sigaltstack exit exit_group getrandom "
    "getpid getppid gettid getuid geteuid getgid getegid "
    "time gettimeofday clock_gettime clock_getres nanosleep clock_nanosleep"
)
# What ordinary code asks in passing and can live without: it is told "permission denied" and goes on.
DENIED = _words(
    "open openat stat lstat newfstatat statx statfs access faccessat faccessat2 readlink readlinkat getdents64 getcwd "
    "ioctl fcntl dup dup2 dup3 pipe pipe2 poll ppoll select pselect6 uname sysinfo getrlimit prlimit64 getrusage times "
    "sched_getaffinity getcpu mincore prctl set_robust_list rseq membarrier"
)
# Everything else ends the process.

_X86_64 = (
    "read=0 write=1 open=2 close=3 stat=4 fstat=5 lstat=6 poll=7 lseek=8 mmap=9 mprotect=10 munmap=11 brk=12 "
    "rt_sigaction=13 rt_sigprocmask=14 rt_sigreturn=15 ioctl=16 access=21 pipe=22 select=23 sched_yield=24 mremap=25 "
    "mincore=27 madvise=28 dup=32 dup2=33 nanosleep=35 getpid=39 exit=60 uname=63 fcntl=72 getcwd=79 readlink=89 "
    "gettimeofday=96 getrlimit=97 getrusage=98 sysinfo=99 times=100 getuid=102 getgid=104 geteuid=107 getegid=108 "
    "getppid=110 sigaltstack=131 statfs=137 prctl=157 gettid=186 time=201 futex=202 sched_getaffinity=204 "
    "getdents64=217 restart_syscall=219 clock_gettime=228 clock_getres=229 clock_nanosleep=230 exit_group=231 "
    "openat=257 newfstatat=262 readlinkat=267 faccessat=269 pselect6=270 ppoll=271 set_robust_list=273 dup3=292 "
    "pipe2=293 prlimit64=302 getcpu=309 getrandom=318 membarrier=324 statx=332 rseq=334 faccessat2=439"
)
_AARCH64 = (
    "getcwd=17 dup=23 dup3=24 fcntl=25 ioctl=29 statfs=43 faccessat=48 openat=56 close=57 pipe2=59 getdents64=61 "
    "lseek=62 read=63 write=64 pselect6=72 ppoll=73 readlinkat=78 newfstatat=79 fstat=80 exit=93 exit_group=94 "
    "futex=98 set_robust_list=99 nanosleep=101 clock_gettime=113 clock_getres=114 clock_nanosleep=115 "
    "sched_getaffinity=123 sched_yield=124 restart_syscall=128 sigaltstack=132 rt_sigaction=134 rt_sigprocmask=135 "
    "rt_sigreturn=139 times=153 uname=160 getrlimit=163 getrusage=165 prctl=167 getcpu=168 gettimeofday=169 "
    "getpid=172 getppid=173 getuid=174 geteuid=175 getgid=176 getegid=177 gettid=178 sysinfo=179 brk=214 munmap=215 "
    "mremap=216 mmap=222 mprotect=226 mincore=232 madvise=233 prlimit64=261 getrandom=278 membarrier=283 statx=291 "
    "rseq=293 faccessat2=439"
)
# By the machine's name: the mark by which the kernel knows its calls, and their numbers.
MACHINES: dict[str, tuple[int, dict[str, int]]] = {
    machine: (mark, {name: int(number) for name, number in (pair.split("=") for pair in table.split())})
    for machine, mark, table in (("x86_64", 0xC000_003E, _X86_64), ("aarch64", 0xC000_00B7, _AARCH64))
}
_LANDLOCK_CREATE, _LANDLOCK_RESTRICT = 444, 446  # the same numbers on every machine

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 4, 22, 38
_SECCOMP_MODE_FILTER = 2
_LOAD, _JUMP_EQUAL, _RETURN = 0x20, 0x15, 0x06  # of the classic Berkeley packet filter
_ALLOW, _KILL, _FAIL = 0x7FFF_0000, 0x8000_0000, 0x0005_0000  # _FAIL carries the number of the error
_EACCES = 13
_SIGKILL = 9
_MEGABYTE = 1 << 20
_LIBC: Any = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class LockError(OSError):
    """A lock would not close; the message says which."""


def unsupported() -> str | None:
    """Why no guard can be had on this machine at all, as a sentence; None where it can be tried.

    >>> unsupported() is None or "Linux" in unsupported()
    True
    """
    if sys.platform != "linux":
        return (
            f"The guard is made of locks of the Linux kernel, and this is {sys.platform}. Run this on Linux; a "
            "container, a virtual machine or WSL 2 will do."
        )
    if os.uname().machine not in MACHINES:
        known = " and ".join(MACHINES)
        return f"The guard knows the system calls of Linux on {known}; this machine is {os.uname().machine}."
    return None


def seal(*, cpu_seconds: int, memory_mb: int) -> None:
    """Close every lock on the process that calls this, for good.

    Raises:
        LockError: a lock would not close. The caller must end without having read the program.
    """
    _prctl(_PR_SET_NO_NEW_PRIVS, 1, "no new privileges")
    close_file_system()
    limit(cpu_seconds=cpu_seconds, memory_mb=memory_mb)
    close_system_calls()


def limit(*, cpu_seconds: int, memory_mb: int) -> None:
    """Limits on what the process may use; a soft one and a hard one, so that a program cannot raise it again.

    A second after the soft limit on CPU time, whose signal a program may ignore, the hard one kills.
    """
    limits = [
        (resource.RLIMIT_CPU, cpu_seconds, cpu_seconds + 1),
        (resource.RLIMIT_AS, memory_mb * _MEGABYTE, memory_mb * _MEGABYTE),
        (resource.RLIMIT_FSIZE, 0, 0),
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_NPROC, 0, 0),
        (resource.RLIMIT_NOFILE, 0, 0),  # what is open stays open; nothing can be opened
    ]
    for kind, soft, hard in limits:
        resource.setrlimit(kind, (soft, hard))


def close_system_calls() -> None:
    """Seccomp: from here on the kernel answers ALLOWED, fails DENIED, and ends the process at anything else.

    Raises:
        LockError: the kernel was built without it, or a container took it away.
    """
    program = system_call_filter(os.uname().machine)
    memory = ctypes.create_string_buffer(program, len(program))
    pointer = struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(memory))  # struct sock_fprog
    _prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, "seccomp", ctypes.c_char_p(pointer))


def system_call_filter(machine: str) -> bytes:
    """The list of system calls as the kernel wants it: a packet filter, eight bytes per instruction.

    It first looks whether the call is one of this machine's own: a 64-bit machine also answers calls by the numbers of
    its 32-bit ancestor, which mean other things. Then it compares the number with each on the lists.

    >>> code = system_call_filter("x86_64")
    >>> code[-24:].hex(" ", 8)  # the three ends: kill the process, allow the call, fail it with error 13
    '0600000000000080 060000000000ff7f 060000000d000500'
    """
    mark, numbers = MACHINES[machine]
    allowed = [numbers[name] for name in ALLOWED if name in numbers]
    denied = [numbers[name] for name in DENIED if name in numbers]
    checks = len(allowed) + len(denied)
    code = [(_LOAD, 0, 0, 4), (_JUMP_EQUAL, 0, checks + 1, mark), (_LOAD, 0, 0, 0)]
    for place, number in enumerate(allowed + denied):
        to_kill = checks - place - 1  # instructions between this one and the first of the three ends
        code.append((_JUMP_EQUAL, to_kill + (1 if place < len(allowed) else 2), 0, number))
    code += [(_RETURN, 0, 0, _KILL), (_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _FAIL | _EACCES)]
    return b"".join(struct.pack("HBBI", *instruction) for instruction in code)


def close_file_system() -> bool:
    """Landlock with an empty list of exceptions: no file may be opened. Whether the kernel has it.

    It is a second lock on a door that seccomp closes too, so a kernel without it (before 5.13) is not refused.
    """
    system_call = _LIBC.syscall
    version = system_call(_LANDLOCK_CREATE, None, 0, 1)
    if version < 1:
        return False
    rights = 13 + (version >= 2) + (version >= 3) + (version >= 5)  # one bit for each kind of access that it knows
    handled = ctypes.create_string_buffer(struct.pack("Q", (1 << rights) - 1))
    rules = system_call(_LANDLOCK_CREATE, handled, ctypes.c_size_t(8), 0)
    if rules < 0:
        return False
    try:
        return system_call(_LANDLOCK_RESTRICT, rules, 0) == 0
    finally:
        os.close(rules)


def drop_privileges() -> None:
    """Become nobody, if this is root: limits on processes do not bind root, and files would all be readable.

    Raises:
        LockError: the system would not let root become anybody else, or let it come back.
    """
    if 0 not in os.getresuid():
        return
    try:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    except OSError as error:
        raise LockError(f"root could not become an unprivileged user ({error.strerror})") from None


def die_with(parent: int) -> None:
    """Ask the kernel to kill this process when its parent ends, and look that it has not ended yet.

    Raises:
        LockError: it has.
    """
    _prctl(_PR_SET_PDEATHSIG, _SIGKILL, "ending with its parent")
    _prctl(_PR_SET_DUMPABLE, 0, "being closed to others of the same user")
    if os.getppid() != parent:
        raise LockError("the parent ended first")


def _prctl(option: int, value: int, what: str, pointer: ctypes.c_char_p | None = None) -> None:
    zero = ctypes.c_ulong(0)
    if _LIBC.prctl(option, ctypes.c_ulong(value), pointer or zero, zero, zero):
        raise LockError(f"{what}: {os.strerror(ctypes.get_errno())}")
