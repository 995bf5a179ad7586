"""From a trained network to answers: folding, top-k, new users, export."""
