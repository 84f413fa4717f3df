"""When requests are due in the open loop: a Poisson process, the same for the same seed."""

import random
from collections.abc import Iterator


def poisson(rate_per_s: float, until_s: float, seed: str) -> Iterator[float]:
    """Arrival times in seconds, in order, below ``until_s``; the gaps between them are exponential.

    Independent processes add up: two at half the rate are equivalent to one at the full rate.
    """
    draw = random.Random(seed)  # noqa: S311 - reproducible, not for security
    due_s = draw.expovariate(rate_per_s)
    while due_s < until_s:
        yield due_s
        due_s += draw.expovariate(rate_per_s)
