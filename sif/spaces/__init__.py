"""Recommender spaces: which interaction function joins a user and an item."""
