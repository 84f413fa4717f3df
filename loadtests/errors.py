"""What stops a command: one error, whose message says what is wrong and what to do about it."""


class LoadTestError(Exception):
    """The command cannot go on; shown to the user as it is, without a traceback."""
