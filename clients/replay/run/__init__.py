"""The run folder: what was asked, what became of each question, and how a run is resumed or merged."""
