"""What a user's name of a model means: a folder here, or `owner/model` on the hub.

A misspelt folder must not become a question to the hub: that waits for a network that may not be there, and
tells others what is examined.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...errors import InvalidInput

__all__ = ["hub_options", "is_local"]

_HUB_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*/[A-Za-z0-9_][A-Za-z0-9._-]*")
_PATIENCE = (
    10.0  # seconds for one question to the hub; the libraries' own retries take most of a minute
)
_NOT_GIVEN = frozenset({400, 401, 403, 404, 451})
_NAME_EITHER = "give a model folder, or owner/model on the hub"


def is_local(name: str) -> bool:
    """Whether a name can only mean a folder on this machine.

    It does if such a folder is there, if it is not of the form `owner/model`, or if there is a folder
    `owner` here.
    """
    return (
        os.path.lexists(name)
        or _HUB_NAME.fullmatch(name) is None
        or os.path.isdir(name.partition("/")[0])
    )


def hub_options(name: str) -> Mapping[str, Any]:
    """What `from_pretrained` must be told to load a model without waiting in vain.

    Args:
        name: Folder, or `owner/model`.

    Returns:
        Nothing for a folder and for a hub that answers; `local_files_only` where the hub cannot be
        reached, but the model was fetched before.

    Raises:
        InvalidInput: If there is no such folder, the hub has no such model, or it cannot be reached.
    """
    if Path(name).exists():
        return {}
    if is_local(name):
        raise InvalidInput(f"{name}: no such folder", _NAME_EITHER)
    from huggingface_hub import HfApi, constants, try_to_load_from_cache
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        HfApi().model_info(name, timeout=_PATIENCE)
    except (
        Exception
    ) as error:  # which library it asks with, and raises from, depends on its version
        status = error.response.status_code if isinstance(error, HfHubHTTPError) else None
        if isinstance(error, HFValidationError) or status in _NOT_GIVEN:
            raise InvalidInput(
                f"{name}: no such folder here, and no such model on the hub that you may read",
                f"{_NAME_EITHER}; a gated model needs your token in HF_TOKEN",
            ) from error
    else:
        return {}
    if isinstance(try_to_load_from_cache(name, "config.json"), str):
        return {"local_files_only": True}
    raise InvalidInput(
        f"{name}: no such folder here, and the hub ({constants.ENDPOINT}) cannot be reached",
        "give the path of a model folder, or try again with a network",
    )
