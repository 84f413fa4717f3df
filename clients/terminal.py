"""What every command on a terminal needs."""

import io
import sys


def print_anything() -> None:
    """Print characters that the output's encoding lacks, such as in ASCII, as ``?`` instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
