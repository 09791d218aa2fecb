"""What other systems keep about positions, read as cursors; and cursors written in their formats.

Each source is read as rows with named columns (`rows`), templates say which columns name a cursor
(`templates`, `naming`), what was read is staged on disk (`staging`), and only then compared with
the ledger and started in it (`adopting`). Nothing here decides what a cursor may be: the law does.
`databases`, `kafka`, `kafka_table` and `json_values` are the formats of others.

The log leaves as text by `exporting`, and is read again by `entry_lines`, from the `lines` of a
file. `backups` copies a file, and `restoring` puts it back. `pruning` removes what is in an
archive, which `retention` bounds.
"""
