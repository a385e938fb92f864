"""Fine-tuning: a sentence-transformers model that learns itself from texts that belong together.

The losses are the library's: multiple negatives ranking (pairs; triplets, whose negatives join those of the
batch), triplet (by cosine), and cosine similarity (scored pairs). As for an adapter, a part that is held out
ends the learning, and another one says whether the model is better.
"""

import copy
import math
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sentence_transformers.sentence_transformer import losses

from pipeline.embedding.sentence_transformers import device, loaded
from pipeline.embedding.vectors import normalised
from pipeline.errors import InputError
from pipeline.examples import Examples
from pipeline.local_models import open_model
from pipeline.ports import Vectors
from pipeline.space import Space
from pipeline.tuning import Course, Embedded, Indices, Measured, batches, divided, measure

USUAL = Course(rounds=4, batch=32, rate=2e-5, hold=0, patience=1)
"""For a model that knows its language already; a batch has to fit its memory."""

LOSSES = {"pairs": ("ranking",), "triplets": ("ranking", "triplet"), "scores": ("cosine",)}
"""By the kind of examples: what can be learned by; the first where nobody says."""

_WARM = 0.1  # share of the steps in which the rate rises; then it falls to nothing
_MARGIN = 0.3  # by which a positive's cosine is to be above a negative's
_STEEPEST = 1.0  # length of a slope, at most

Told = Callable[[int, float, float], None]


@dataclass(frozen=True, slots=True)
class Losses:
    """The mean loss on what was learned from, and on what ended the learning."""

    learned: tuple[float, ...]  # a round each
    watched: tuple[float, ...]  # before the first round, and after each


@dataclass(frozen=True, slots=True)
class FineTuned:
    """A model that has learned, in memory, and what it is good for on examples that it has not seen."""

    library: Any  # SentenceTransformer
    loss: str
    losses: Losses
    measured: Measured

    def write(self, folder: Path) -> None:
        """Save the model, whole or not at all. Raises InputError where the folder cannot be written."""
        aside = folder.with_name(f".{folder.name}.{os.getpid()}")
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            self.library.save_pretrained(str(aside), create_model_card=False)
            aside.rename(folder)
        except OSError as error:
            raise InputError(f"{folder} cannot be written: {error.strerror or error}") from error
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def fine_tune(
    space: Space,
    examples: Examples,
    course: Course = USUAL,
    loss: str | None = None,
    told: Told | None = None,
) -> FineTuned:
    """Let a model learn from most of the examples, keep it as it was best, and measure it.

    `told` is told each round's number and losses. Raises InputError where the model is not there, or the
    loss is not one for such examples.
    """
    name = chosen(examples.kind, loss)
    torch.manual_seed(course.seed)
    school = _School(space, examples, name)
    parts = divided(len(examples.left), course.seed)
    before = measure(examples.kind, school.embedded(parts.measured))
    seen = school.learn(parts.learned, parts.watched, course, told or _nobody)
    after = measure(examples.kind, school.embedded(parts.measured))
    measured = Measured(
        examples.kind, len(parts.learned), len(parts.measured), len(seen.learned), before, after
    )
    return FineTuned(school.library, name, seen, measured)


def chosen(kind: str, loss: str | None) -> str:
    """The loss by which examples of a kind are learned from. Raises InputError for one that does not fit."""
    if loss is not None and loss not in LOSSES[kind]:
        raise InputError(f"the loss {loss!r} is none for {kind}; choose of {', '.join(LOSSES[kind])}")
    return loss or LOSSES[kind][0]


class _School:
    """A model, and the examples that it sees."""

    def __init__(self, space: Space, examples: Examples, loss: str) -> None:
        self.library = loaded(open_model(space), device())
        self._space = space
        scores = examples.kind == "scores"
        first = space.document_prefix if scores else space.query_prefix
        self._columns = [
            [prefix + text for text in texts]
            for prefix, texts in (
                (first, examples.left),
                (space.document_prefix, examples.right),
                (space.document_prefix, examples.other),
            )
            if texts
        ]
        self._scores = examples.cosines() if scores else None
        self._loss = _loss_of(loss, self.library, space)

    def embedded(self, places: Indices) -> Embedded:
        """The vectors of some examples, as the model has them now."""
        vectors = [self._vectors([column[place] for place in places]) for column in self._columns]
        scores = None if self._scores is None else self._scores[places]
        left, right, other = [*vectors, None][:3]
        assert left is not None
        assert right is not None
        return Embedded(left, right, other, scores)

    def learn(self, learned: Indices, watched: Indices, course: Course, told: Told) -> Losses:
        """Go through examples until those that are watched get no better; the model is then at its best."""
        random = np.random.default_rng(course.seed)
        steps = course.rounds * math.ceil(len(learned) / course.batch)
        optimiser = torch.optim.AdamW(self.library.parameters(), lr=course.rate)
        pace = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _pace(step, steps))
        seen: list[float] = []
        best, since = copy.deepcopy(self.library.state_dict()), 0
        lost = [self._watched(watched, course.batch)]
        while len(seen) < course.rounds and since < course.patience:
            self.library.train()
            found = []
            for places in batches(random.permutation(learned), course.batch):
                loss = self._of(places)
                optimiser.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(self.library.parameters(), _STEEPEST)
                optimiser.step()
                pace.step()
                found.append(float(loss.detach()))
            seen.append(float(np.mean(found)))
            here = self._watched(watched, course.batch)
            since = 0 if here < min(lost) else since + 1
            if not since:
                best = copy.deepcopy(self.library.state_dict())
            lost.append(here)
            told(len(seen), seen[-1], here)
        self.library.load_state_dict(best)
        return Losses(tuple(seen), tuple(lost))

    def _watched(self, places: Indices, batch: int) -> float:
        self.library.eval()
        with torch.inference_mode():
            found = [(float(self._of(part)), len(part)) for part in batches(places, batch)]
        return sum(loss * count for loss, count in found) / sum(count for _, count in found)

    def _of(self, places: Indices) -> Any:
        """The loss of a batch."""
        features = [self._features([column[place] for place in places]) for column in self._columns]
        labels = None
        if self._scores is not None:
            labels = torch.tensor(self._scores[places], dtype=torch.float32, device=self.library.device)
        return self._loss(features, labels)

    def _features(self, texts: Sequence[str]) -> Any:
        found = self.library.preprocess(list(texts))
        return {name: of.to(self.library.device) if torch.is_tensor(of) else of for name, of in found.items()}

    def _vectors(self, texts: Sequence[str]) -> Vectors:
        found = self.library.encode(list(texts), prompt="", show_progress_bar=False)
        return normalised(found[:, : self._space.dimensions], len(texts), self._space.dimensions)


def _loss_of(name: str, library: Any, space: Space) -> Any:
    """The library's loss; where a space cuts vectors, of their beginnings, too."""
    if name == "ranking":
        loss = losses.MultipleNegativesRankingLoss(library)
    elif name == "triplet":
        metric = losses.TripletDistanceMetric.COSINE
        loss = losses.TripletLoss(library, distance_metric=metric, triplet_margin=_MARGIN)
    else:
        loss = losses.CosineSimilarityLoss(library)
    if space.matryoshka:
        whole = library.get_embedding_dimension()
        loss = losses.MatryoshkaLoss(library, loss, [whole, space.dimensions])
    return loss


def _pace(step: int, steps: int) -> float:
    """The rate's share: it rises for a while, and falls from then on."""
    warm = max(1, round(_WARM * steps))
    return (step + 1) / warm if step < warm else max(0.0, (steps - step) / max(1, steps - warm))


def _nobody(_round: int, _learned: float, _watched: float) -> None:
    pass
