"""Webhooks: tell an endpoint what people decided, in signed messages."""
