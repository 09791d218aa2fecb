"""What is shown: one result in the form that was asked for, laid out for its reader.

`forms` chooses the form. `shapes` is what of a result is shown, by `selecting`, `records` and
`templates`, as `shaped`. A table has `columns`; `narrowing` and `layout` fit them to the width
that `terminals` tells, `tables` prints them, `short_times` words their times in a zone of `zones`,
and `colours` colours them. `spreadsheets` is CSV, `sentences` what stands beside a result,
`progress` how far long work is, `waiting` what it waits for, and `paging` the pager.
"""
