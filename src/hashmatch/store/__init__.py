"""The list store: a folder of signed, immutable versions of one list, private to its owner."""
