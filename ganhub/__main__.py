"""`python -m ganhub` is the `ganhub` command."""

from ganhub.cli import main

main()
