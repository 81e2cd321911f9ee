"""`python -m cardrail` is the `cardrail` command."""

from cardrail.cli import main

main()
