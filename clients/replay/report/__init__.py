"""From run folders to a page and a JSON file: a pure function of what the runs left on disk, no service needed."""

from clients.replay.report.publish import report_runs, summary_table

__all__ = ["report_runs", "summary_table"]
