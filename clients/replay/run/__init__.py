"""The run folder: what was asked, the outcome of each question, and how runs are resumed and merged."""
