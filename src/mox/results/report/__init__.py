"""The report that a lead reads: one content, as a page and as Markdown."""
