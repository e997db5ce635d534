"""Known-hash lists: files of exchanges read, merged, checked, and written by name only."""
