"""Convolutional cells: operations, edges, supernets, published cells, NAS-Bench-201."""
