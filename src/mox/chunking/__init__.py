"""Documents to chunks: verbatim spans with exact offsets, never over their size.

A back end is a generator function from its Spec, one document and a tokenizer to `Chunk`s.
`mox.chunking.cut` runs it and checks what it yields. Its traits, all optional:

- `size`: a function from the Spec to the most tokens that a chunk has, or None where there
  is no such number. A plan asks for it, so it answers without a document.
- `counts`: what is held to that size. `"text"` (the default): the embedded text by itself.
  `"document"`: the document's own tokens that the spans cover.
- `context`: True where the embedded text may hold more, or less, than the spans' text. Else
  it has to equal the spans' text, joined by nothing.
"""

from mox.registry import Registry
from mox.types import Chunker

chunkers: Registry[Chunker] = Registry(
    "mox.chunkers",
    [
        "mox.chunking.fixed",
        "mox.chunking.recursive",
        "mox.chunking.sentences",
        "mox.chunking.headings",
        "mox.chunking.whole",
    ],
)
