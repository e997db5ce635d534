"""What leaves a review queue: files, the shapes of other systems, and signed messages."""
