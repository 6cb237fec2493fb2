"""Runs shown and compared: ranking, figures, and one page of HTML that needs nothing else."""
