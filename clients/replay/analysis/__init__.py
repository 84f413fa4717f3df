"""From the outcomes of a run to its measurements: scores, lens, latency, comparison, each with its interval."""
