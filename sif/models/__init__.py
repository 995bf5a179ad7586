"""Recommenders built from genotypes, and the fixed models they are compared with."""
