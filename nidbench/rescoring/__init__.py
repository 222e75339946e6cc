"""Scores without computing: measurements made again, scores under other protocols, restorations that came as files."""
