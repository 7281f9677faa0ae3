"""Arrays by what they hold; for type checkers alone, so that numpy isn't imported for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Ints = NDArray[np.int32]
    Arrays = Mapping[str, NDArray[Any]]
