"""The proof that a log is whole and unchanged. Needs no store: a verifier reads any `Log`."""
