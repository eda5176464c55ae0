"""`python -m batchmark`."""

from batchmark.cli.main import main

main()
