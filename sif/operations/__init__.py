"""The operations that join the vectors of two sides (or three), and their kernels."""
