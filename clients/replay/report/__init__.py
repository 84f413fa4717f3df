"""Reports on runs: figures, examples and one self-contained page; and comparisons of runs, side by side."""

from clients.replay.report.comparison_page import compare_runs
from clients.replay.report.run_page import report_runs, summary_table

__all__ = ["compare_runs", "report_runs", "summary_table"]
