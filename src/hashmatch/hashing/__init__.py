"""An image to its hashes, their outcomes, and the other questions asked about it."""
