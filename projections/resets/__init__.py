"""Resets: those that were made, and plans for those that are to be made.

`projections.resets(book)` is the function of `views`: the package `projections` has it under this
name, in the place of this one. `from projections.resets.plans import …` finds the modules all the
same.
"""
