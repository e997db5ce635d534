"""Human review: a queue of cases, what people decide about them, and a history that shows edits."""
