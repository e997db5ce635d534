"""``python -m hashmatch`` is the command line."""

from hashmatch.cli import main

main()
