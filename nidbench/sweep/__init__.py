"""Sweeps: requests, plans, costs, the loop over cells, submitted restorations, and scoring of stored ones."""
