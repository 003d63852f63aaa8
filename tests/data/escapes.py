"""Programs that try to break out of the guard, or to be judged better than they are, and what must become of each.

Run as a script, it tries them all and prints the verdicts as JSON; so they can be tried as another user too. It needs
nothing but the standard library and the guard's own files.
"""

import contextlib
import json
import os
import sys
import tempfile
import threading
import time
from dataclasses import asdict
from pathlib import Path

TESTS = "assert f(3) == 6"
WAITING = {"sleeps"}  # what only the clock on the wall can end
RIGHT = "def f(x):\n    return 2 * x\n"
SECRET = "a-secret-of-the-environment"
# By raw system call, past everything that Python itself announces: the frames below the program lead to our own ctypes.
_RAW = """
import sys
def raw(number, *arguments):
    frame = sys._getframe()
    while "seal" not in frame.f_globals:
        frame = frame.f_back
    return frame.f_globals["seal"].__globals__["_LIBC"].syscall(number, *arguments)
"""
_FORGE = """
import gc, json, os, struct
for descriptor in range(3, 12):
    for message in ({}):
        body = json.dumps(message).encode()
        try:
            os.write(descriptor, struct.pack(">I", len(body)) + body)
        except OSError:
            pass
"""
CLAIMS = '["passed", "every test holds"], {"value": True}, {"value": None}, {"verdict": "passed"}'


def escapes(folder: str, parent: int) -> dict[str, tuple[str, set[str]]]:
    """By name: the program, and the verdicts that are right for it."""
    late = RIGHT.replace("    return", "    {}\n    return")
    forbidden = {"forbidden"}
    return {
        # a right one and a wrong one, so that the others mean something
        "right": (RIGHT, {"passed"}),
        "wrong": ("def f(x):\n    return x", {"failed"}),
        # takes too much
        "fork bomb": ("import os\nwhile True:\n    os.fork()", forbidden),
        "fork bomb, raw": (_RAW + "while True:\n    raw(57)", forbidden),
        "clone, raw": (_RAW + "raw(56, 0, 0, 0, 0, 0)", forbidden),
        "endless loop": ("while True:\n    pass", {"timeout"}),
        "endless loop inside C": ("def f(x):\n    return sum(range(10**15))", {"timeout"}),
        "ignores the signals that end it": (
            "import sys, gc\n"
            "for m in [o for o in gc.get_objects() if type(o).__name__ == 'builtin_function_or_method']:\n"
            "    if m.__name__ == 'signal':\n"
            "        for n in (15, 24, 2, 14):\n            m(n, 1)\n"
            "while True:\n    pass",
            {"timeout", "forbidden"},
        ),
        "sleeps": ("import time\ntime.sleep(1000)", {"timeout"}),
        "waits for input": ("input()", {"error"}),
        "huge allocation": ("x = bytearray(1 << 40)", {"memory"}),
        "allocates little by little": ("x = []\nwhile True:\n    x.append(bytearray(1 << 20))", {"memory"}),
        "huge answer": ("def f(x):\n    return 'a' * (100 << 20)", {"output", "memory"}),
        "deep recursion": ("def f(x):\n    return f(x)", {"error"}),
        "deeper recursion": (
            "import sys\nsys.setrecursionlimit(10**9)\ndef f(x):\n    return f(x)",
            {"memory", "crashed", "timeout"},
        ),
        "deep recursion in C": (
            "import sys\nsys.setrecursionlimit(10**9)\nx = ()\nfor _ in range(10**6):\n    x = (x,)\n"
            "def f(y):\n    return hash(x)",
            {"crashed", "failed", "error", "memory"},
        ),
        "prints 100 MB": ("for _ in range(100):\n    print('a' * (1 << 20))", {"output"}),
        "prints 100 MB to the other": ("import sys\nwhile True:\n    sys.stderr.write('a' * (1 << 20))", {"output"}),
        "prints much and answers": ("print('a' * (1 << 18))\n" + RIGHT, {"output"}),
        "threads": ("import threading\nthreading.Thread(target=print).start()", forbidden),
        "deeply nested text": ("x = " + "(" * 5000 + ")" * 5000, {"error", "memory"}),
        "a text too long": ("#" + "a" * (1 << 19), {"refused"}),
        "zeros in the text": ("x = 1\0", {"error"}),
        "no surrogates": ("def f(x):\n    return '\ud800'", {"error", "failed"}),
        # reaches out
        "writes a file outside": (f"open({folder + '/written'!r}, 'w').write('x')", forbidden),
        "writes a file here": ("open('written', 'w').write('x')", forbidden),
        "writes a big file": (
            f"import os\nd = os.open({folder + '/big'!r}, os.O_WRONLY | os.O_CREAT)\n"
            "while True:\n    os.write(d, b'a' * (1 << 20))",
            forbidden,
        ),
        "writes a file, raw": (_RAW + late.format(f"raw(2, {folder + '/raw'!r}.encode(), 577, 438)"), {"passed"}),
        "makes a file without a name, raw": (_RAW + "raw(319, b'x', 0)", forbidden),
        "deletes a file": (f"import os\nos.remove({folder + '/mine'!r})", forbidden),
        "links": (f"import os\nos.symlink('/etc', {folder + '/link'!r})", forbidden),
        "links here": ("import os\nos.symlink('/etc/passwd', 'link')\nopen('link').read()", forbidden),
        "reads the list of users": ("open('/etc/passwd').read()", forbidden),
        "reads our file": (f"def f(x):\n    return open({folder + '/mine'!r}).read()", forbidden),
        "reads our file, quietly": (
            "import os\ntry:\n    os.stat('/etc/passwd')\n    right = False\nexcept OSError:\n"
            "    right = True\ndef f(x):\n    return 2 * x if right else 0",
            {"passed"},
        ),
        "lists a folder": ("import os\nos.listdir('/')", forbidden),
        "changes its folder": ("import os\nos.chdir('/')", forbidden),
        "socket": ("import socket\nsocket.socket()", forbidden),
        "socket, raw": (_RAW + "raw(41, 2, 1, 0)", forbidden),
        "io_uring, raw": (_RAW + "raw(425, 1, 0)", forbidden),
        "a call of the 32-bit kind, raw": (_RAW + "raw(0x40000000 + 41, 2, 1, 0)", forbidden),
        "web": ("import urllib.request\nurllib.request.urlopen('http://localhost')", forbidden),
        "secrets of the environment": (
            f"import os\ndef f(x):\n    return 6 if {SECRET!r} not in str(dict(os.environ)) else 0",
            {"passed"},
        ),
        "secrets of its parent's environment": (f"open('/proc/{parent}/environ').read()", forbidden),
        "secrets of its own start": ("open('/proc/self/environ').read()", forbidden),
        "kills its parent": ("import os\nos.kill(os.getppid(), 9)", forbidden),
        "kills its parent, raw": (_RAW + "import os\nraw(62, os.getppid(), 9)", forbidden),
        "kills us": (f"import os\nos.kill({parent}, 9)", forbidden),
        "kills everybody": ("import os\nos.kill(-1, 9)", forbidden),
        "traces its parent, raw": (_RAW + "import os\nraw(101, 0x4206, os.getppid(), 0, 0)", forbidden),
        "reads the memory of its parent, raw": (_RAW + "import os\nraw(310, os.getppid(), 0, 0, 0, 0, 0)", forbidden),
        "becomes root": ("import os\nos.setuid(0)", forbidden),
        "leaves its group": ("import os\nos.setsid()", forbidden),
        "unseals itself, raw": (_RAW + late.format("raw(157, 22, 0, 0, 0, 0)"), {"passed"}),
        # imports and runs
        "shell": ("import os\nos.system('id')", forbidden),
        "shell, by exec": ("import os\nos.execv('/bin/sh', ['sh'])", forbidden),
        "shell, raw": (_RAW + "raw(59, b'/bin/sh', 0, 0)", forbidden),
        "subprocess": ("import subprocess\nsubprocess.run(['id'])", forbidden),
        "spawn": ("import os\nos.posix_spawn('/bin/true', ['true'], {})", forbidden),
        "ctypes": ("import ctypes", forbidden),
        "ctypes, by the back door": ("__import__('_ctypes')", forbidden),
        "imports by name": ("import importlib\nimportlib.import_module('multiprocessing')", forbidden),
        "imports with a finder of its own": (
            "import sys, importlib.machinery as m\nsys.meta_path[:] = [m.PathFinder]\nsys.path[:] = ['/usr/lib']\n"
            "import multiprocessing",
            {"error", "forbidden"},
        ),
        "numpy": ("import numpy", forbidden),
        # lies
        "leaves before it is asked": ("import os\nos._exit(0)", {"error"}),
        "leaves when it is asked": ("import os\ndef f(x):\n    os._exit(0)", {"error"}),
        "leaves politely": ("raise SystemExit(0)", {"error"}),
        "leaves politely when asked": ("def f(x):\n    raise SystemExit(0)", {"error"}),
        "interrupts": ("def f(x):\n    raise KeyboardInterrupt", {"error"}),
        "raises what a test would": ("def f(x):\n    raise AssertionError", {"error"}),
        "a number that equals everything": (
            "class Yes(int):\n    __eq__ = lambda s, o: True\n    __ne__ = lambda s, o: False\n"
            "    __hash__ = int.__hash__\ndef f(x):\n    return Yes(7)",
            {"failed"},
        ),
        "an object that equals everything": (
            "class Yes:\n    __eq__ = lambda s, o: True\ndef f(x):\n    return Yes()",
            {"failed"},
        ),
        "a class that equals everything": (
            "class M(type):\n    __eq__ = lambda s, o: True\n    __hash__ = type.__hash__\n"
            "class Yes(metaclass=M): pass\ndef f(x):\n    return Yes",
            {"failed"},
        ),
        "prints that it passed": ("print('passed')\nprint('[\"passed\", \"every test holds\"]')", {"error"}),
        "writes that it passed": (_FORGE.format(CLAIMS), {"error", "failed"}),
        "writes that it passed, when asked": (
            "def f(x):\n" + "".join(f"    {line}\n" for line in _FORGE.format(CLAIMS).splitlines()),
            {"error", "failed"},
        ),
        "writes and leaves": (_FORGE.format(CLAIMS) + "os._exit(0)", {"error", "failed"}),
        "changes what judges": (
            "import builtins, sys\nbuiltins.AssertionError = type('E', (Exception,), {})\n"
            "for module in list(sys.modules.values()):\n"
            "    for name in ('run_checker', '_verdict', 'pack', 'write_frame'):\n"
            "        if hasattr(module, name):\n"
            "            setattr(module, name, lambda *a, **k: ['passed', 'x'])\n"
            "def f(x):\n    return 7",
            {"error", "failed"},
        ),
        "changes its callers": (
            "import sys\nframe = sys._getframe()\nwhile frame:\n    frame.f_globals['pack'] = lambda *a, **k: 6\n"
            "    frame.f_globals['_verdict'] = lambda *a: ['passed', 'x']\n    frame = frame.f_back\n"
            "def f(x):\n    return 7",
            {"error", "failed"},
        ),
        "looks for the tests in its memory": (
            "import gc\ndef f(x):\n    found = [o for o in gc.get_objects() if isinstance(o, (list, dict)) "
            "and '== ' + '6' in repr(o)[:10**5]]\n    return 6 if found else 7",
            {"failed"},
        ),
        "closes everything": (
            "import os\nfor d in range(10):\n    try:\n        os.close(d)\n    except OSError:\n"
            "        pass\n" + RIGHT,
            {"error"},
        ),
        "closes its output": ("import sys\nsys.stdout.close()\nsys.stderr.close()\n" + RIGHT, {"passed", "error"}),
        "silences its own announcements": (
            "import sys, os\nos._exit = print\nimport json\njson.dumps = None\nos.fork()",
            {"forbidden", "error"},
        ),
    }


def try_all(workers: int = 2) -> dict[str, object]:
    """Try every one. Reports the outcomes, and what harm was done."""
    from mrtlab.data.guard import guard
    from mrtlab.data.guarded import Limits, Trial, run_trials

    os.environ["A_SECRET"] = SECRET
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        (folder / "mine").write_text("mine")
        (folder / "mine").chmod(0o666)
        found = guard()
        cases = {
            case: what
            for case, what in escapes(name, os.getpid()).items()
            if not case.endswith(", raw") or os.uname().machine == "x86_64"  # the numbers of calls are that machine's
        }
        # One second of CPU time, and so long on the clock that a busy machine ends nothing that would end by itself.
        long = Limits(cpu_seconds=1, wall_seconds=60, memory_mb=128)
        short = Limits(cpu_seconds=1, wall_seconds=1, memory_mb=128)
        start, before, others = time.monotonic(), threading.active_count(), children()
        outcomes = {}
        for limits, some in ((short, cases.keys() & WAITING), (long, cases.keys() - WAITING)):
            trials = [Trial(cases[case][0], TESTS) for case in some]
            outcomes |= zip(some, run_trials(trials, limits=limits, workers=workers), strict=True)
        return {
            "user": os.geteuid(),
            "missing": found.missing,
            "tried": found.tried,
            "outcomes": {case: asdict(outcome) for case, outcome in outcomes.items()},
            "left": sorted(entry.name for entry in folder.iterdir()),
            "mine": (folder / "mine").read_text(),
            "children": sorted(children() - others),
            "threads": threading.active_count() - before,
            "seconds": time.monotonic() - start,
        }


def children() -> set[int]:
    """Processes that this one started and that still are."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            if int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == os.getpid():
                found.add(int(entry.name))
    return found


if __name__ == "__main__":
    sys.path.insert(0, sys.argv[1])
    print(json.dumps(try_all()))
