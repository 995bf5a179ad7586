"""Runs: the engine that searches, trains and compares; what comes after it; and the contract of `result.json`."""
