"""A growth in words, tables and pages, made of the document that `mox bench growth` keeps."""
