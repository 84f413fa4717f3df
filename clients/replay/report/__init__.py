"""Reports on runs, and comparisons of runs, as self-contained pages."""

from clients.replay.report.comparison_page import compare_runs
from clients.replay.report.run_page import report_runs, summary_table

__all__ = ["compare_runs", "report_runs", "summary_table"]
