"""How a store's curves go on as a corpus grows, and which store a corpus of some size needs."""
