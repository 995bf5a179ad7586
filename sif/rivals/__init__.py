"""Rivals: other recommenders, by one list; a run trains those that are networks, a comparison tunes them all."""
