"""Reports on runs: figures, examples and one self-contained page; and comparisons of runs, side by side."""

from clients.replay.report.comparing import compare_runs
from clients.replay.report.publish import report_runs, summary_table

__all__ = ["compare_runs", "report_runs", "summary_table"]
