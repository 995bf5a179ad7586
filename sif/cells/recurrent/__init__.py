"""Recurrent cells: their nodes, the supernet, published cells."""
