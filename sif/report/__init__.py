"""What a run says to people: formula, comparison table, page."""
