"""The stages of a run. Read in the order of the path: they are the program.

list, diff, split, plan, embed, assemble, validate, publish; for the semantic splitter, the sentences and
their own plan and embed come before split
"""
