"""Human review: the queue, its page, and what is handed over from it."""
