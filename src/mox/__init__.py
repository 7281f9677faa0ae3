"""The notebook's API of Mox, imported when first used."""
