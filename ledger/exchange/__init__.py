"""What other systems keep about positions, read as cursors; and cursors written in their formats.

Each source is read as rows with named columns (`rows`), templates say which columns name a cursor
(`templates`, `naming`), what was read is staged on disk (`staging`), and only then compared with
the ledger and started in it (`adopting`). Nothing here decides what a cursor may be: the law does.
"""
