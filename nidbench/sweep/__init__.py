"""Sweeps: from what is asked for to records: requests, plans, costs, one cell, and the loop over cells."""
