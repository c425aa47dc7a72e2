"""`Recorder`: writes down what a model is really trained on, while it is."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from ....errors import InvalidInput
from .batches import PendingRows, Rows, copied
from .commitments import Opening
from .folder import Attempt, RecordingFolder
from .journal import JournalWriter
from .loader import RecordedLoader
from .ranks import Rank, RankLock

if TYPE_CHECKING:
    from .trainer import RecorderCallback

__all__ = ["Recorder"]

_MOST_STEPS_UNDERWAY = 2  # steps whose tokens may still be on their way from the accelerator


class Recorder:
    """Records the sequences of every optimizer step, rank by rank, as the model gets them.

    With transformers::

        with Recorder("run", seed=42) as recorder:
            Trainer(..., callbacks=[recorder.callback()]).train()

    In a loop of your own::

        with Recorder("run", seed=42) as recorder:
            recorder.start()
            for batch in recorder.wrap(loader):     # or recorder.watch(model)
                loss(model, batch).backward()
                optimizer.step()
                recorder.step()                     # or once, before: recorder.follow(optimizer)

    A sequence counts as trained on once the optimizer has made a step with it; a batch that no step
    followed is left out. Steps count from 0: the step of a sequence is the number of optimizer steps
    made before it. A row of a batch is one sequence, also if several documents are packed into it. Only
    token ids are copied.

    When the call that ends a step returns, its tokens have been handed to the system, so that `kill -9`
    loses nothing that a checkpoint contains. Those that come from an accelerator may be two steps late, and
    `flush` waits for them: call it before a checkpoint. If the record cannot be kept, for a full disk or a
    malformed batch, training stops with an error: a transcript with holes would be found out too late.

    To resume, record into the same folder again; `start` takes the step of the checkpoint, and everything
    that was recorded from that step on is superseded. `seal` then makes the transcript.

    Args:
        folder: Where the recording lies, or will; see `RecordingFolder`. All ranks name the same one.
        seed: Seed of the shuffle, below 2**53; needed to begin a recording, and checked when one is resumed.
        order: How the seed gives the order, in words, e.g. which sampler; it is published.
        rank: Which process this is; default: as torchrun says.

    Raises:
        InvalidInput: If there is no recording and no seed, or a recording with another seed.
    """

    def __init__(
        self,
        folder: Path | str,
        *,
        seed: int | None = None,
        order: str = "",
        rank: Rank | None = None,
    ) -> None:
        self._folder = RecordingFolder(Path(folder))
        self._rank = Rank.own() if rank is None else rank
        if self._rank.number == 0:
            _begin_or_check(self._folder, seed, order)
        self._recording = ""
        self._attempt: Attempt | None = None
        self._lock: RankLock | None = None
        self._journal: JournalWriter | None = None
        self._next_step = 0
        self._batches: list[Rows | PendingRows] = []
        self._underway: deque[tuple[int, list[Rows | PendingRows]]] = deque()
        self._removals: list[Callable[[], None]] = []

    def start(self, first_step: int = 0, *, checkpoint: Mapping[str, Any] | None = None) -> None:
        """Begin, or go on from a checkpoint. Every rank must call this, with the process group made.

        Args:
            first_step: Optimizer steps that the model has made.
            checkpoint: What `state_dict` gave when the checkpoint was written. Without it, the checkpoint
                is taken to be of the newest training in the folder.

        Raises:
            InvalidInput: If another process is recording, or the recording has been sealed.
        """
        self._stop()
        try:
            self._begin(first_step, checkpoint)
        except BaseException:
            self._stop()
            raise

    def _begin(self, first_step: int, checkpoint: Mapping[str, Any] | None) -> None:
        decision = self._rank.agree(lambda: self._decision(first_step, checkpoint))
        if decision["attempt"]["first_step"] != first_step:
            raise InvalidInput(
                f"rank {self._rank.number} starts at step {first_step}, rank 0 at "
                f"{decision['attempt']['first_step']}",
                "all ranks must go on from one checkpoint",
            )
        self._recording, self._attempt = decision["recording"], Attempt(**decision["attempt"])
        self._folder.make_private_folders()
        self._take_lock()
        self._journal = JournalWriter(self._folder.journal(self._attempt.number, self._rank.number))
        self._next_step = first_step

    @property
    def next_step(self) -> int:
        """Optimizer steps made so far."""
        return self._next_step

    def state_dict(self) -> dict[str, Any]:
        """What to keep in a checkpoint, so that `start` knows which training it is of; no secret."""
        return {"recording": self._recording, "attempt": self._started().number}

    def add(self, input_ids: Any, attention_mask: Any = None) -> None:
        """Take down one micro-batch of the step that is being made.

        Args:
            input_ids: Token ids, shape (batch, length), on any device.
            attention_mask: Non-zero where a token is no padding, same shape; or None.

        Raises:
            InvalidInput: If a shape is another, a token is negative, or `start` was not called.
        """
        self._started()
        self._batches.append(copied(input_ids, attention_mask))

    def discard(self) -> None:
        """Forget what was added since the last step: batches that were fetched and not trained on."""
        self._batches = []

    def step(self) -> None:
        """The optimizer has made a step with what was added since the last one.

        Raises:
            InvalidInput: If nothing was added.
        """
        self._started()
        if not self._batches:
            raise InvalidInput(
                f"{self._folder.path}: step {self._next_step} was made without a sequence being seen",
                "watch the model that is trained, or wrap the loader that feeds it",
            )
        self._underway.append((self._next_step, self._batches))
        self._batches = []
        self._next_step += 1
        self._write_what_is_here(_MOST_STEPS_UNDERWAY)

    def flush(self) -> None:
        """Write every step that was made, and have it survive the machine: before each checkpoint."""
        if self._journal is not None:
            self._write_what_is_here(0)
            self._journal.sync()

    def end(self) -> None:
        """Training came to its end. It may be taken up again all the same."""
        self._started()
        self.flush()
        if self._journal is not None:
            self._journal.end(self._next_step)
        self._stop()

    def close(self) -> None:
        """Write what was trained on, and let go of files, model and optimizer."""
        self.flush()
        self._stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def callback(self) -> "RecorderCallback":
        """A callback for `transformers.Trainer` that does all of this."""
        from .trainer import RecorderCallback

        return RecorderCallback(self)

    def wrap(
        self, loader: Iterable[Any], columns: Callable[[Any], tuple[Any, Any]] | None = None
    ) -> RecordedLoader:
        """The same batches, each taken down as it is handed out.

        Args:
            loader: A `DataLoader`, or anything that gives batches; wrap it last, after `accelerate` did.
            columns: Token ids and attention mask (or None) of a batch; default: `input_ids` and
                `attention_mask` of a mapping, or the batch itself.
        """
        return RecordedLoader(self, loader, columns)

    def watch(self, model: Any) -> None:
        """Take down every batch that a `torch.nn.Module` gets in training mode, with gradients on.

        This is closer to the truth than `wrap`: it sees what the loop has left of a batch.
        """
        from .watching import watch

        self._removals.append(watch(model, self.add))

    def follow(self, optimizer: Any) -> None:
        """Call `step` after every step of a `torch.optim.Optimizer`."""
        handle = optimizer.register_step_post_hook(lambda *_: self.step())
        self._removals.append(handle.remove)

    def refuse_other_seed(self, seed: int) -> None:
        """Refuse a shuffle by another seed than was committed to, unless words say how the order comes.

        Args:
            seed: What the shuffle is about to be drawn from.

        Raises:
            InvalidInput: If it is another. Ranks other than 0 do not know the seed, and refuse none.
        """
        if self._rank.number == 0:
            opening = Opening.read(self._folder.opening)
            if opening.seed != seed and not opening.order:
                raise InvalidInput(
                    f"{self._folder.path}: training shuffles by another seed than was committed to",
                    "record with the seed of the shuffle, or say with `order` how the order comes from it",
                )

    def _decision(self, first_step: int, checkpoint: Mapping[str, Any] | None) -> dict[str, Any]:
        recording = Opening.read(self._folder.opening).seed_commitment
        self._folder.make_private_folders()
        self._take_lock()  # before a start is written down: one that is refused must not become the newest
        parent = None
        if first_step and checkpoint is None:
            parent = max((attempt.number for attempt in self._folder.attempts()), default=None)
        elif first_step and checkpoint is not None and checkpoint.get("recording") == recording:
            parent = int(checkpoint["attempt"])
        attempt = self._folder.begin_attempt(first_step, parent, self._rank.world_size)
        return {"recording": recording, "attempt": attempt.as_dict()}

    def _take_lock(self) -> None:
        if self._lock is None:
            self._lock = RankLock(self._folder.lock(self._rank.number))

    def _started(self) -> Attempt:
        if self._attempt is None or self._journal is None:
            raise InvalidInput("the recorder has not been started", "call start() before training")
        return self._attempt

    def _write_what_is_here(self, most_underway: int) -> None:
        while self._underway:
            step, batches = self._underway[0]
            waiting = any(isinstance(b, PendingRows) and not b.arrived() for b in batches)
            if waiting and len(self._underway) <= most_underway:
                return
            rows = [batch.rows() if isinstance(batch, PendingRows) else batch for batch in batches]
            if self._journal is not None:
                self._journal.write(step, rows)
            self._underway.popleft()

    def _stop(self) -> None:
        """Give back all that is held; what has not been written is forgotten."""
        for remove in self._removals:
            remove()
        if self._journal is not None:
            self._journal.close()
        if self._lock is not None:
            self._lock.release()
        self._removals, self._journal, self._lock = [], None, None
        self._batches, self._underway = [], deque()


def _begin_or_check(folder: RecordingFolder, seed: int | None, order: str) -> None:
    if not folder.exists():
        if seed is None:
            raise InvalidInput(
                f"{folder.path}: holds no recording, and none can begin without the shuffle seed",
                "name the seed, which is committed to before training",
            )
        folder.create(seed, order)
        return
    opening = Opening.read(folder.opening)
    if (seed is not None and seed != opening.seed) or (order and order != opening.order):
        raise InvalidInput(
            f"{folder.path}: this recording is of another seed or order",
            "resume with the same seed, or record into another folder",
        )
