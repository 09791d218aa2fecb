"""What tests have in common. A module of tests imports nothing else from this folder."""
