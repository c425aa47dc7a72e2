"""From what the user names to a suspect."""

from typing import TYPE_CHECKING

from .base import Suspect
from .naming import hub_options, is_local

if TYPE_CHECKING:
    from .endpoint import Reaching
    from .local.loading import Loading

__all__ = ["open_suspect"]


def open_suspect(
    name: str,
    *,
    loading: "Loading | None" = None,
    context: int | None = None,
    endpoint: "Reaching | None" = None,
) -> Suspect:
    """Reach a model by its weights, by an endpoint, or by what somebody else recorded of it.

    Args:
        name: Path of a folder with safetensors weights; `owner/model` on the Hugging Face hub;
            `https://host/v1#model`, an OpenAI-compatible endpoint; a `.parquet` file of recorded
            answers, or `file.parquet#loss_model`, a column of a published transcript.
        loading: Device, precision and adapter of weights; default: float32 on the first GPU, else the CPU.
        context: Tokens that weights score at once at most; default: what the model takes.
        endpoint: How an endpoint is reached; default: without a token, answers kept in the user's cache.

    Returns:
        The suspect.

    Raises:
        InvalidInput: If there is no such model, its weights are missing or pickled, it asks to run
            code of its own, or the address or file is unfit.
    """
    if name.lower().startswith(("http://", "https://")):
        from .endpoint import EndpointSuspect

        return EndpointSuspect.open(name, endpoint)
    if name.endswith(".parquet") or ".parquet#" in name:
        from .recorded.suspect import open_recorded

        return open_recorded(name)
    if is_local(name):
        hub_options(name)  # refuses a folder that is missing, before torch is imported
    from .local import TransformersSuspect

    return TransformersSuspect.open(name, loading, context=context)
