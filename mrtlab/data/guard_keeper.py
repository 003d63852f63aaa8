"""Our end of the line to a keeper, the small process that forks guarded ones (see `guard_child`)."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

PACKAGES = Path(__file__).resolve().parents[2]  # the folder that holds mrtlab
START_SECONDS = 60.0  # on a busy machine; it usually takes a tenth of one
GRACE_SECONDS = 20.0  # a keeper ends a trial itself; one that has not spoken this long after is ended
_START = """
import sys
sys.path.append(sys.argv[1])
from mrtlab.data.guard_child import main
main(int(sys.argv[2]))
"""


class KeeperError(OSError):
    """The keeper did not start, or did not answer. The message says why."""


class KeeperProcess:
    """A keeper that runs. Close it, or use it in a `with`.

    It starts without any of our environment, in a new folder that is removed as soon as it stands in it, with no file
    of ours open, as the leader of a group of its own, so that all of it can be ended at once.

    Raises:
        KeeperError: it did not start.
    """

    def __init__(self, packages: Path = PACKAGES):
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the keeper)
        with theirs, tempfile.TemporaryDirectory(prefix="guarded-") as folder:
            command = [sys.executable, "-S", "-s", "-P", "-B", "-X", "utf8", "-c", _START]
            try:
                self._process = subprocess.Popen(
                    [*command, str(packages), str(theirs.fileno())],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=self._complaints,
                    cwd=folder,
                    env={"PYTHONHASHSEED": "0"},  # sets of texts have the same order in every trial
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,
                )
            except OSError as error:
                self._control.close()
                self._complaints.close()
                raise KeeperError(f"Python could not be started ({error})") from None
            theirs.close()
            greeting = self._hear(START_SECONDS)
            if "ready" not in greeting:
                raise KeeperError(greeting.get("failed") or self._close_and_ask())

    def order(self, order: str, *, seconds: float, given: tuple[int, ...] = (), **request: Any) -> dict[str, Any]:
        """Give an order and wait for the report.

        Args:
            order: what to do: the name of a method of the keeper.
            seconds: how long that may take; after some grace the keeper and all its processes are ended.
            given: descriptors to hand over.
            **request: plain data.

        Raises:
            KeeperError: no report came.
        """
        with contextlib.suppress(OSError):
            socket.send_fds(self._control, [json.dumps({"order": order} | request).encode()], list(given))
        for descriptor in given:
            os.close(descriptor)
        report = self._hear(seconds + GRACE_SECONDS)
        if not report:
            raise KeeperError(f"no report on the order to {order}: {self._close_and_ask()}")
        return report

    def close(self) -> None:
        """End the keeper and everything it started."""
        self._control.close()
        with contextlib.suppress(OSError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._complaints.close()

    def __enter__(self) -> "KeeperProcess":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _close_and_ask(self) -> str:
        """End it, and what it complained of last."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=1)  # one that is falling over gets to the end of its sentence
        with contextlib.suppress(OSError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._complaints.seek(0)
        said = self._complaints.read().decode("utf-8", "replace").strip().splitlines()
        self.close()
        return said[-1] if said else f"it ended with exit code {self._process.returncode}"

    def _hear(self, seconds: float) -> dict[str, Any]:
        """What the keeper says next; empty if it says nothing."""
        self._control.settimeout(seconds)
        try:
            return json.loads(self._control.recv(1 << 20) or b"{}")
        except (OSError, ValueError):
            return {}
