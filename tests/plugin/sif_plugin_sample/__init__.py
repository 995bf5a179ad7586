"""One of each part that sif takes from outside, a file each; sif knows none of them."""
