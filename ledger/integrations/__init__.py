"""What other systems need around the ledger: one room for each, and an extra for its client.

Nothing is imported from here by `import ledger`.
"""
