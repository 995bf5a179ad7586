"""Search the interaction function of a recommender."""
