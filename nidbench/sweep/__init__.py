"""From what is asked for to records: plans, costs, the loop over cells, and scores made anew."""
