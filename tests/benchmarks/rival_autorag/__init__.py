"""The same 570-configuration job in Mox and in AutoRAG 0.3.27; `../rival_autorag.py` runs it."""
