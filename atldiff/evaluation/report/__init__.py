"""The report of `python -m atldiff evaluate`: takes, systems, scores, tables, page."""
