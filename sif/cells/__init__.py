"""Cells of CNNs and RNNs: their spaces, data, runs and tables of true accuracies."""
