"""The processes of a service: what stops the main one, and how the others end with it."""

import ctypes
import os
import signal
import sys
from contextlib import suppress
from multiprocessing import active_children
from types import FrameType
from typing import Final

from services.common import logs
from services.common.settings import ServerSettings

_PR_SET_PDEATHSIG: Final = 1
"""Of prctl(2)."""


class Stop(KeyboardInterrupt):
    """A subclass of the ``KeyboardInterrupt`` that makes LitServe shut down.

    CPython 3.11 marks a plain ``KeyboardInterrupt`` that leaves an ``exec`` as unhandled even if an outer frame catches
    it, and then dies by SIGINT instead of using the exit code; ``multiprocessing.managers`` uses ``exec`` a lot.
    """


class StopSignal:
    """Turns the first SIGTERM, Ctrl-C or hang-up of the terminal into the exception that shuts LitServe down.

    The signal is also remembered: Python drops an exception that a handler raises in a fork hook, and LitServe forks.
    """

    def __init__(self) -> None:
        self._main = os.getpid()
        self._received = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self)
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup has it ignored
            signal.signal(signal.SIGHUP, self)

    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        """Handle the signal."""
        # The HTTP process, forked from the main one, gets here only after uvicorn has drained its requests.
        if os.getpid() != self._main:
            sys.exit(0)
        if not self._received:  # a second signal must not interrupt the shutdown
            self._received = True
            raise Stop

    def check(self) -> None:
        """Raise again if a signal was received, in case the exception was dropped."""
        if self._received:
            raise Stop


def prepare_worker(settings: ServerSettings) -> None:
    """Set up a worker process: logs, an end with the main process and, on SIGTERM, at once.

    It has nothing to put away then, and the interpreter and PyTorch would take seconds over their own.
    """
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda _signal, _frame: os._exit(0))
    logs.configure(settings.log_level, settings.log_format)


def end_with_parent() -> None:
    """Have this process killed when its parent ends in whatever way; the parent alone is told of a hang-up.

    Linux has a signal for it; elsewhere a main process that is killed leaves its children behind.
    """
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def end_children() -> None:
    """Stop the worker that LitServe leaves running when loading fails; the interpreter would wait for it."""
    for child in active_children():
        with suppress(ValueError):
            child.terminate()
            child.join(timeout=5)
