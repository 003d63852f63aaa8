"""Trials and their outcomes: verdicts, order, limits, what crosses between a program and its tests."""

import collections
import decimal
import fractions
import os
import sys

import pytest
from data.escapes import children
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mrtlab.data import guarded
from mrtlab.data.guard_checker import free_names
from mrtlab.data.guard_wire import MAX_FRAME, FrameError, OpaqueError, pack, read_frame, unpack, write_frame
from mrtlab.data.guarded import VERDICTS, Limits, Outcome, Pool, Trial, run_trial, run_trials

linux = pytest.mark.skipif(sys.platform != "linux", reason="the guard is Linux's; elsewhere everything is refused")
DOUBLE = "def f(x):\n    return 2 * x"
QUICK = Limits(cpu_seconds=1, wall_seconds=300)  # on the wall, so long that no neighbour's work ends a trial


@pytest.fixture(scope="module")
def pool():
    with Pool(workers=1, limits=QUICK) as pool:
        yield pool


def verdict(pool: Pool, program: str, tests: str, **rest) -> tuple[str, str]:
    outcome = pool.run([Trial(program, tests, **rest)])[0]
    assert outcome.verdict in VERDICTS
    return outcome.verdict, outcome.detail


@linux
@pytest.mark.parametrize(
    ("program", "tests", "wanted", "detail"),
    [
        (DOUBLE, "assert f(3) == 6", "passed", "every test holds"),
        (DOUBLE, "assert f(3) == 6\nassert f(3) == 7", "failed", "assert f(3) == 7"),
        (DOUBLE, "assert f('a') == 'aa'\nassert f([1]) == [1, 1]\nassert f(x=2) == 4", "passed", ""),
        (DOUBLE, "assert len(f(3)) == 1", "failed", "TypeError"),
        ("def f(x):\n    y = x\n    return y / 0", "assert f(3) == 6", "error", "zero (line 3 of the program)"),
        ("def f(x)\n    return x", "assert f(3) == 6", "error", "SyntaxError"),
        ("def g(x): return x", "assert f(3) == 6", "error", "does not define f"),
        ("f = 6", "assert f == 6", "passed", ""),
        ("x = 1 / 0", "assert f(3) == 6", "error", "(line 1 of the program)"),
        (DOUBLE, "assert f(3) ==", "refused", "SyntaxError"),
        (DOUBLE, "import numpy\nassert f(3) == 6", "refused", "numpy"),
        (DOUBLE, "import os\nos.fork()", "refused", "the tests tried os.fork"),
        (DOUBLE, "raise SystemExit", "refused", "SystemExit"),
        (DOUBLE, "import os\nos._exit(0)", "refused", "ended themselves"),
        (DOUBLE, "while True: pass", "timeout", "the tests took"),
        (DOUBLE, "x = bytearray(1 << 40)", "memory", ""),
        ("def f(g): return g(1)", "assert f(lambda x: x) == 1", "refused", "cannot cross"),
        # what a program raises is not what a test raises
        ("def f(x): raise ValueError", "try:\n    f(1)\n    assert 0\nexcept ValueError:\n    pass", "passed", ""),
        ("def f(): raise OSError(1)", "try:\n    f()\nexcept OSError as e:\n    assert str(e) == '1'", "passed", ""),
        ("def f(x): raise StopIteration", "for a, b in zip(map(f, [1]), [2]):\n    assert a == b", "error", "StopIt"),
        ("class E(KeyError): pass\ndef f(): raise E", "try:\n    f()\nexcept LookupError:\n    pass", "passed", ""),
        ("def f(x): return b'a'.decode('no such')", "f(1)", "error", "LookupError"),
        ("def f(x): return b'\\xff'.decode()", "f(1)", "error", "UnicodeDecodeError"),
        # tests that catch everything do not let a program off
        ("import os\ndef f(x): os._exit(0)", "try:\n    f(1)\nexcept:\n    pass", "error", "ended itself"),
        ("def f(x): open('x')", "try:\n    f(1)\nexcept:\n    pass", "forbidden", "open"),
        ("def f(x): return object()", "try:\n    assert f(1) == 1\nexcept:\n    pass", "failed", "not plain data"),
        ("def f(x): return object()", "assert f(1) != 1", "failed", "not plain data"),
        ("def f(x): return object()", "assert f(1)", "failed", "not plain data"),
        ("def f(x): return object()", "assert f(1) not in {3}", "failed", "not plain data"),
        ("def f(x): return object()", "assert not f(1)", "failed", "not plain data"),
        ("class A:\n    __contains__ = lambda s, x: True\ndef f(): return A()", "assert 1 in f()", "failed", "plain"),
        # what is handed over is changed in place, and handles work
        ("def f(x): x.sort()", "a = [3, 1, 2]\nf(a)\nassert a == [1, 2, 3]", "passed", ""),
        ("def f(x): x['a'] = 1", "a = {}\nf(a)\nassert a == {'a': 1}", "passed", ""),
        ("def f(x): x.sort()", "a = [3, 1, 2]\nf(a)\nassert a == [3, 1, 2]", "failed", ""),
        ("def f(n):\n    for i in range(n): yield i", "assert list(f(3)) == [0, 1, 2]", "passed", ""),
        ("def f(n): return {n: 1}.keys()", "assert set(f(3)) == {3} and len(f(3)) == 1", "passed", ""),
        (
            "class Node:\n    def __init__(self, v): self.v, self.left = v, None\n"
            "def depth(n): return 1 + depth(n.left) if n else 0",
            "root = Node(1)\nroot.left = Node(2)\nassert depth(root) == 2 and root.left.v == 2",
            "passed",
            "",
        ),
        ("from collections import Counter\ndef f(x): return Counter(x)", "assert f('aa') == {'a': 2}", "passed", ""),
        ("from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int", "assert P(3).x == 3", "passed", ""),
        ("from datetime import datetime as d\ndef f(x): return d.strptime(x, '%Y').year", "assert f('7') == 7", "error",
         "does not match"),
        ("import random\ndef f(x): return random.random()", "import random\nassert f(0) == f(0) or True", "passed", ""),
    ],
)  # fmt: skip
def test_verdicts(pool, program, tests, wanted, detail):
    got, said = verdict(pool, program, tests)
    assert (got, detail in said) == (wanted, True), said


@linux
def test_helpers_cannot_be_changed_by_a_program(pool):
    """In one namespace a program could redefine what it is tested with. Here it cannot reach it."""
    helpers = "def twice(x):\n    return 2 * x\n"
    cheat = "def twice(x):\n    return 7\ndef f(x):\n    return 7"
    assert verdict(pool, cheat, "assert f(3) == twice(3)", helpers=helpers, names=("f",))[0] == "failed"
    assert verdict(pool, DOUBLE, "assert f(3) == twice(3)", helpers=helpers, names=("f",))[0] == "passed"


@linux
def test_a_trial_goes_the_same_way_every_time(pool):
    program = "import random\ndef f(): return [random.random(), list({'a', 'b', 'c', 'd'})]"
    tests = "import random\nprint(f(), random.random())"
    printed = {outcome.output for outcome in pool.run([Trial(program, tests)] * 3)}
    with Pool(workers=1) as other:
        printed.add(other.run([Trial(program, tests)])[0].output)
    assert len(printed) == 1
    assert "0." in printed.pop()


@linux
def test_outcomes_come_in_order_and_progress_is_told():
    programs = [f"import time\ntime.sleep({0.2 if n == 0 else 0})\ndef f(x): return {n} * x" for n in range(12)]
    told = []
    trials = [Trial(program, "assert f(1) == 5") for program in programs]
    outcomes = run_trials(trials, workers=3, progress=lambda done, total: told.append((done, total)))
    assert [n for n, outcome in enumerate(outcomes) if outcome.passed] == [5]
    assert told == [(n + 1, 12) for n in range(12)]
    assert run_trials([]) == []


@linux
def test_a_trial_does_not_see_the_one_before(pool):
    first = Trial("import sys, builtins\nsys.left = 1\nbuiltins.abs = None\nimport math\nmath.pi = 3", "")
    second = Trial(
        "import sys, math\ndef f(): return [hasattr(sys, 'left'), len('ab'), math.pi > 3]", "assert f() == [0, 2, 1]"
    )
    assert [outcome.verdict for outcome in pool.run([first, second])] == ["passed", "passed"]


@linux
def test_output_is_kept_and_capped():
    outcome = run_trial(Trial("print('loud', flush=True)\n" + DOUBLE, "print(f(3))"))
    assert outcome.passed
    assert set(outcome.output.split()) == {"loud", "6"}
    assert "loud" not in repr(outcome)
    assert run_trial(Trial("print('a' * 50)", ""), limits=Limits(output_bytes=50)).verdict == "output"
    assert run_trial(Trial("print('a' * 49)", ""), limits=Limits(output_bytes=50)).verdict == "passed"
    controls = run_trial(Trial("print(chr(1) * 60000)\nraise ValueError(chr(27) + '[31m' + 'x' * 9999)", ""))
    assert controls.verdict == "error"
    assert controls.detail.isprintable()
    assert len(controls.detail) <= 400


@linux
def test_limits_are_what_was_asked_for():
    eats = "def f(n): return len(bytearray(n << 20))"
    asks = "assert f(100) == 100 << 20"
    assert run_trial(Trial(eats, asks), limits=Limits(memory_mb=96, wall_seconds=300)).verdict == "memory"
    assert run_trial(Trial(eats, asks), limits=Limits(memory_mb=256, wall_seconds=300)).verdict == "passed"
    late = run_trial(Trial("import time\ntime.sleep(60)", ""), limits=Limits(wall_seconds=0.3))
    assert late.verdict == "timeout"
    assert late.wall_seconds >= 0.3
    busy = run_trial(Trial("while True: pass", ""), limits=QUICK)
    assert 0.9 <= busy.cpu_seconds < 2.5


@pytest.mark.parametrize(
    "wrong", [{"cpu_seconds": 0}, {"wall_seconds": 0.0}, {"memory_mb": 1}, {"output_bytes": -1}, {"wall_seconds": -1.0}]
)
def test_limits_that_cannot_be(wrong):
    with pytest.raises(ValueError, match="must be at least"):
        Limits(**wrong)


@linux
def test_a_pool_without_workers_is_refused():
    with pytest.raises(ValueError, match="workers must be at least 1"):
        Pool(workers=0)


@linux
def test_what_goes_wrong_in_progress_ends_the_run_and_leaves_no_process():
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    before = children()
    with pytest.raises(KeyboardInterrupt):
        run_trials([Trial(DOUBLE, "assert f(3) == 6")] * 5, workers=2, progress=stop)
    assert children() <= before


@linux
def test_a_keeper_that_dies_is_replaced():
    with Pool(workers=1) as pool:
        assert pool.run([Trial(DOUBLE, "assert f(3) == 6")])[0].passed
        os.kill(pool._idle[0]._process.pid, 9)
        assert pool.run([Trial(DOUBLE, "assert f(3) == 6")])[0].passed


def report(program: list, tests: list, stopped: str | None = None) -> dict:
    return {"program": program, "tests": tests, "stopped": stopped, "output": ""}


@pytest.mark.parametrize(
    ("seen", "said", "wanted"),
    [
        (report([-9, 0.0], [0, 0.0]), ["passed", "x"], "passed"),
        (report([-9, 0.0], [1, 0.0]), ["passed", "x"], "error"),  # the tests said so, and then did not end well
        (report([-9, 0.0], [-31, 0.0]), None, "forbidden"),
        (report([-9, 0.0], [-11, 0.0]), None, "crashed"),
        (report([-9, 0.0], [-9, 5.0]), None, "timeout"),
        (report([-24, 5.0], [0, 0.0]), ["gone", "x"], "timeout"),
        (report([-9, 6.0], [0, 0.0]), ["gone", "x"], "timeout"),
        (report([-9, 0.1], [0, 0.0]), ["gone", "x"], "error"),
        (report([-11, 0.1], [0, 0.0]), ["gone", "x"], "crashed"),
        (report([-31, 0.1], [0, 0.0]), ["gone", "x"], "forbidden"),
        (report([3, 0.1], [0, 0.0]), ["gone", "x"], "error"),
        (report([-9, 0.1], [-9, 0.0], "output"), None, "output"),
        (report([-9, 0.1], [-9, 0.0], "time"), None, "timeout"),
        (report([-9, 0.1], [-9, 0.0], "time"), ["passed", "x"], "timeout"),
    ],
)
def test_the_verdict_from_how_both_ended(seen, said, wanted):
    got, _ = guarded._decide(seen, said, Limits())
    assert got == wanted


SINGLE = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
PLAIN = (
    SINGLE | st.lists(SINGLE) | st.lists(st.tuples(SINGLE, SINGLE)) | st.dictionaries(st.text() | st.integers(), SINGLE)
)


@given(PLAIN)
@settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow])
def test_plain_data_cross_as_they_are(value):
    back = unpack(pack(value))
    assert back == value
    assert type(back) is type(value)


def test_more_kinds_cross():
    values = [{1, 2}, frozenset("a"), bytearray(b"a"), range(1, 9, 2), collections.deque([1]), ..., 10**5000, -(2**53)]
    values += [float("inf"), 2 - 3j, decimal.Decimal("1.50"), fractions.Fraction(1, 3), {(1, 2): [None]}, "\ud800"]
    for value in values:
        assert unpack(pack(value)) == value
        assert type(unpack(pack(value))) is type(value)


@pytest.mark.parametrize("value", [print, object(), int, iter([]), lambda: 0, type])
def test_what_is_not_plain_does_not_cross(value):
    with pytest.raises(OpaqueError, match="not plain data"):
        pack([value])


@pytest.mark.parametrize(
    "form", [{}, {"a": 1, "b": 2}, {"no": 1}, {"int": "x"}, {"int": 1}, {"set": [[]]}, {"dict": [1]}, {"tuple": 1},
             {"bytes": "\u20ac"}, {"complex": [1, 2, 3]}, {"range": [1, 2, 0]}, {"fraction": "1/0"}, {"decimal": "x"},
             {"handle": [0, "f"]}],
)  # fmt: skip
def test_forms_that_nobody_packs_are_refused(form):
    with pytest.raises(FrameError, match="no plain data"):
        unpack(form)


def test_frames_have_an_end():
    reader, writer = os.pipe()
    try:
        write_frame(writer, {"a": [1, "\n"]})
        assert read_frame(reader) == {"a": [1, "\n"]}
        os.write(writer, (5).to_bytes(4, "big") + b"nojso")
        with pytest.raises(FrameError, match="no message"):
            read_frame(reader)
        os.write(writer, (MAX_FRAME + 1).to_bytes(4, "big"))
        with pytest.raises(FrameError, match="may cross"):
            read_frame(reader)
        with pytest.raises(FrameError, match="may cross"):
            write_frame(writer, "a" * MAX_FRAME)
    finally:
        os.close(writer)
    with pytest.raises(FrameError, match="gone"):
        read_frame(reader)
    os.close(reader)


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("assert f(3) == 6", ("f",)),
        ("import math as m\nassert m.pi > f(len([]))", ("f",)),
        ("def g(x):\n    return h(x)\nassert g(1)", ("h",)),
        ("for i in range(3):\n    assert f(i) == [j for j in range(i)]", ("f",)),
        ("class A(B):\n    x = C\nassert A.x", ("B", "C")),
        ("x = Node(1)\nx.left = Node(2)\ntry:\n    pass\nexcept ValueError as e:\n    pass", ("Node",)),
        ("f = 1\nassert f", ()),
    ],
)
def test_free_names(code, names):
    assert free_names(code) == names


def test_an_outcome_says_whether_it_passed():
    assert Outcome("passed", "").passed
    assert not any(Outcome(verdict, "").passed for verdict in VERDICTS if verdict != "passed")
