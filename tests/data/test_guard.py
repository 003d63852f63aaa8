"""The guard is found out by trying; with a lock taken away the trying notices; where it does not hold nothing runs."""

import functools
import os
import signal
import subprocess
import sys

import pytest
from data.guard_copies import copy_guard

from mrtlab.data import guard as guard_file
from mrtlab.data import guard_keeper, guarded, problems, sandbox
from mrtlab.data.guard import Guard, GuardError, guard, judge_probe
from mrtlab.data.guard_keeper import KeeperError, KeeperProcess
from mrtlab.data.guard_kernel import ALLOWED, DENIED, MACHINES, system_call_filter

linux = pytest.mark.skipif(sys.platform != "linux", reason="the guard is Linux's; elsewhere everything is refused")
root = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can drop privileges")
TRIAL = guarded.Trial("def f(x):\n    return 2 * x", "assert f(3) == 6")
KERNEL, CHILD = "guard_kernel.py", "guard_child.py"
ALL_SYSTEM_CALLS = (KERNEL, "    close_system_calls()\n", "")
ALL_LIMITS = (KERNEL, "    limit(cpu_seconds=cpu_seconds, memory_mb=memory_mb)\n", "")
LANDLOCK = (KERNEL, "    close_file_system()\n", "")
OPEN_FILES = (KERNEL, "(resource.RLIMIT_NOFILE, 0, 0)", "(resource.RLIMIT_NOFILE, 64, 64)")


def allowing(name: str, numbers: dict[str, int]) -> list[tuple[str, str, str]]:
    """A change of the list of system calls, so that one more is allowed."""
    machine = os.uname().machine
    start = {"x86_64": '"read=0 ', "aarch64": '"getcwd=17 '}[machine]
    return [
        (KERNEL, '"read write close', f'"{name} read write close'),
        (KERNEL, start, f'"{name}={numbers[machine]} ' + start[1:]),
    ]


def found_with(monkeypatch, tmp_path, *changes) -> Guard:
    """What the trying finds with these changes to the files of the guarded side."""
    packages = copy_guard(tmp_path / "changed", *changes)
    monkeypatch.setattr(guard_file, "KeeperProcess", functools.partial(KeeperProcess, packages))
    return guard_file._try()


@linux
def test_the_guard_holds_here():
    found = guard()
    assert found.missing == ()
    assert len(found.tried) >= 15
    assert found.refusal == ""


@linux
def test_an_unchanged_copy_holds_too(monkeypatch, tmp_path):
    assert found_with(monkeypatch, tmp_path) == guard()


@linux
@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ([ALL_SYSTEM_CALLS], {"seccomp", "a refusal of: signal the parent", "a refusal of: leave the group"}),
        ([ALL_LIMITS], {"limit on CPU time", "limit on memory", "a refusal of: allocate memory"}),
        ([ALL_SYSTEM_CALLS, ALL_LIMITS], {"a refusal of: fork", "a refusal of: socket", "a refusal of: thread"}),
        ([ALL_SYSTEM_CALLS, ALL_LIMITS, LANDLOCK], {"a refusal of: read a file", "a refusal of: write a file"}),
        ([OPEN_FILES], {"limit on open files"}),
        (
            [(CHILD, "    os.closerange(READ", "    0 and os.closerange(READ")],
            {"a refusal of: use an open file of another"},
        ),
        (
            [(KERNEL, '_prctl(_PR_SET_NO_NEW_PRIVS, 1, "no new privileges")', "pass")],
            {"a guarded process that can compute"},
        ),
        ([(KERNEL, "exit exit_group", "exit")], {"a guarded process that can compute"}),
        ([(KERNEL, "getrandom ", "getrandom sends_a_letter ")], set()),  # a call that no machine knows changes nothing
    ],
    ids=lambda value: " ".join(sorted(value))[:40] if isinstance(value, set) else "",
)
def test_a_lock_taken_away_is_noticed(monkeypatch, tmp_path, changes, missing):
    found = found_with(monkeypatch, tmp_path, *changes)
    assert missing <= set(found.missing)
    assert found.holds == (not missing)
    assert all(name in found.refusal for name in missing)


@linux
@pytest.mark.parametrize(
    ("name", "numbers", "changes", "missing"),
    [
        ("socket", {"x86_64": 41, "aarch64": 198}, [OPEN_FILES], "a refusal of: socket"),
        ("kill", {"x86_64": 62, "aarch64": 129}, [], "a refusal of: signal the parent"),
        ("setsid", {"x86_64": 112, "aarch64": 157}, [], "a refusal of: leave the group"),
    ],
)
def test_one_system_call_too_many_is_noticed(monkeypatch, tmp_path, name, numbers, changes, missing):
    found = found_with(monkeypatch, tmp_path, *allowing(name, numbers), *changes)
    assert missing in found.missing


@linux
@root
def test_a_root_that_stays_root_is_noticed(monkeypatch, tmp_path):
    found = found_with(monkeypatch, tmp_path, (CHILD, "            drop_privileges()\n", "            pass\n"))
    assert {"unprivileged user", "no capabilities"} <= set(found.missing)


@linux
def test_an_environment_that_is_not_empty_is_noticed(monkeypatch):
    start = subprocess.Popen

    def with_a_secret(*given, env, **rest):
        return start(*given, env=env | {"SECRET": "1"}, **rest)

    monkeypatch.setattr(guard_keeper.subprocess, "Popen", with_a_secret)
    assert guard_file._try().missing == ("empty environment",)


@linux
def test_a_file_left_open_is_not_passed_on(tmp_path):
    """What this process holds open, inheritable or not, no guarded one sees."""
    with (tmp_path / "open").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        assert guard_file._try().holds


@linux
def test_a_keeper_that_cannot_start_is_a_guard_that_does_not_hold(monkeypatch, tmp_path):
    found = found_with(monkeypatch, tmp_path, (CHILD, "    load_offered()\n", "    raise OSError('no such luck')\n"))
    assert found.missing == ("a guarded process (OSError: no such luck)",)
    monkeypatch.undo()
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    assert "could not be started" in guard_file._try().refusal


@pytest.mark.parametrize(
    ("report", "missing"),
    [
        ({"codes": {}, "outside": [], "environment": []}, "compute"),
        ({"codes": {"compute": 71, "fork": 71}, "outside": [], "environment": []}, "compute"),
        ({"codes": {"compute": 70, "fork": 70}, "outside": [], "environment": []}, "fork"),
        ({"codes": {"compute": 70, "fork": 0}, "outside": [], "environment": []}, "fork"),  # an end that nobody foresaw
        ({"codes": {"compute": 70, "fork": -9}, "outside": [], "environment": []}, "fork"),
        ({"codes": {"compute": 70, "fork": 72}, "outside": [], "environment": []}, "fork"),
        ({"codes": {"compute": 70, "fork": 71}, "outside": ["seccomp"], "environment": []}, "seccomp"),
        ({"codes": {"compute": 70, "fork": 71}, "outside": [], "environment": ["PATH"]}, "environment"),
        ({"codes": {"compute": 70}, "outside": [], "environment": []}, "seccomp"),  # nothing was tried
    ],
)
def test_what_is_not_known_to_have_failed_is_missing(report, missing):
    assert any(missing in name for name in judge_probe(report).missing)
    fine = {"codes": {"compute": 70, "fork": -31, "socket": 71}, "outside": [], "environment": []}
    assert judge_probe(fine).holds


@pytest.mark.parametrize("found", [Guard((), ("seccomp",)), Guard((), ("a refusal of: socket", "empty environment"))])
def test_without_a_guard_nothing_runs(monkeypatch, found):
    monkeypatch.setattr(guard_file, "unsupported", lambda: None)
    monkeypatch.setattr(guard_file, "_found", {})
    monkeypatch.setattr(guard_file, "_try", lambda: found)
    started = []
    monkeypatch.setattr(guarded, "KeeperProcess", lambda *_: started.append(1))
    problem = problems.read_problem({"prompt": "Double.", "tests": [TRIAL.tests]})
    for run in (
        lambda: guarded.run_trial(TRIAL),
        lambda: guarded.run_trials([TRIAL, TRIAL], workers=2),
        lambda: guarded.run_trials([]),
        lambda: guarded.Pool(workers=1),
        lambda: problems.judge(problem, TRIAL.program),
        lambda: problems.judge_all([problem], [[TRIAL.program]]),
    ):
        with pytest.raises(GuardError, match="Programs are refused on this machine") as caught:
            run()
        assert all(name in str(caught.value) for name in found.missing)
    assert not started
    assert sandbox.passes("def f(x): return 2 * x", [((3,), 6)])  # the built-in grammar needs no guard


@pytest.mark.parametrize(("platform", "machine"), [("darwin", "arm64"), ("win32", "AMD64"), ("linux", "riscv64")])
def test_another_system_is_refused_in_a_sentence(monkeypatch, platform, machine):
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(os, "uname", lambda: os.uname_result(("", "", "", "", machine)), raising=False)
    with pytest.raises(GuardError, match=platform if platform != "linux" else machine):
        guarded.run_trial(TRIAL)
    assert not guard().holds


@linux
def test_a_process_that_cannot_be_sealed_runs_nothing(monkeypatch, tmp_path):
    """Even after the guard was found to hold, each process is sealed anew or ends unread."""
    assert guard().holds
    broken = copy_guard(tmp_path / "broken", (KERNEL, "    close_system_calls()\n", "    raise LockError('none')\n"))
    monkeypatch.setattr(guarded, "KeeperProcess", functools.partial(KeeperProcess, broken))
    with pytest.raises(GuardError, match="could not be sealed"):
        guarded.run_trial(TRIAL)


@linux
def test_a_fork_is_looked_at_anew(monkeypatch):
    looked = []
    monkeypatch.setattr(guard_file, "_found", {})
    monkeypatch.setattr(guard_file, "_try", lambda: looked.append(1) or Guard(("socket",), ()))
    for pid in (1, 1, 2):
        monkeypatch.setattr(os, "getpid", lambda pid=pid: pid)
        guard()
    assert len(looked) == 2


@linux
def test_a_keeper_ends_when_it_is_closed_and_when_we_do():
    with KeeperProcess() as keeper:
        pid = keeper._process.pid
        assert os.getpgid(pid) == pid
    assert keeper._process.returncode == -signal.SIGKILL
    keeper = KeeperProcess()
    keeper._control.close()  # as if this process had ended
    assert keeper._process.wait(timeout=120) == 0
    keeper.close()


@linux
def test_a_silent_keeper_is_ended(monkeypatch):
    monkeypatch.setattr(guard_keeper, "GRACE_SECONDS", 0.0)
    with KeeperProcess() as keeper:
        os.kill(keeper._process.pid, signal.SIGSTOP)
        with pytest.raises(KeeperError, match="no report"):
            keeper.order("probe", seconds=0.2, folder="/", memory_mb=64)
        assert keeper._process.returncode == -signal.SIGKILL


def test_the_filter_says_what_the_lists_say():
    """Walk through the filter as the kernel would, for every number that there might be."""
    for machine, (mark, numbers) in MACHINES.items():
        code = system_call_filter(machine)
        instructions = [
            (
                int.from_bytes(code[i : i + 2], sys.byteorder),
                code[i + 2],
                code[i + 3],
                int.from_bytes(code[i + 4 : i + 8], sys.byteorder),
            )
            for i in range(0, len(code), 8)
        ]

        def answer(number: int, marked: int, instructions=instructions) -> int:
            place, value = 0, 0
            while True:
                kind, yes, no, operand = instructions[place]
                if kind == 0x20:
                    value = {0: number, 4: marked}[operand]
                elif kind == 0x15:
                    place += yes if value == operand else no
                else:
                    return operand
                place += 1

        wanted = {numbers[name]: 0x7FFF0000 for name in ALLOWED if name in numbers}
        wanted |= {numbers[name]: 0x0005000D for name in DENIED if name in numbers}
        for number in (*range(1100), 0x4000_0000, 0x4000_0029, 0xFFFF_FFFF):
            assert answer(number, mark) == wanted.get(number, 0x8000_0000)
        assert answer(numbers["read"], 0x4000_0003) == 0x8000_0000  # the 32-bit ancestor


def test_the_lists_name_no_way_out():
    assert not set(ALLOWED) & set(DENIED)
    out = "socket connect fork vfork clone clone3 execve execveat kill tkill tgkill ptrace openat2 io_uring_setup bpf"
    assert not set(out.split()) & {*ALLOWED, *DENIED}
    for _, numbers in MACHINES.values():
        assert len(set(numbers.values())) == len(numbers)
        assert set(numbers) <= {*ALLOWED, *DENIED}
