"""Proximal neural architecture search, for any space, task and strategy; needs torch alone."""
