"""Conformance cases of every space that ships, and planted problems whose right answer is known."""
