"""Train, measure and export the GANs that `ganhub` loads. `python -m training --help` lists the commands."""
