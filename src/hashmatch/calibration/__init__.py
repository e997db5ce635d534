"""How many harmless pictures a list will match, known before the scan."""
