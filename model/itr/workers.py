"""Several processes that train one model, started by torchrun. One process alone is the case of one worker.

Each worker encodes its share of every batch. Embeddings are gathered, so that the contrastive loss has the whole
batch's negatives and every worker computes the same loss; gradients flow into a worker's own share only, and their sum
is that of the whole batch.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as distributed
import torch.nn.functional as F
from torch import Tensor, nn

# Computed by every worker from all rows; everything else only from its own.
_SHARED = ("head1.", "head2.", "head3.", "classifier.", "proj_t.", "proj_v.")
# The first worker evaluates, and the others wait for it.
_PATIENCE = timedelta(hours=12)

T = TypeVar("T")


@dataclass(frozen=True)
class Workers:
    """This process among `count`, from 0 on."""

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        return self.rank == 0

    def share(self, rows: list[T]) -> list[T]:
        """This worker's rows: one in `count`."""
        return rows[self.rank :: self.count]

    def gather(self, own: Tensor, total: int) -> Tensor:
        """[total, d] in the order before `share`; gradients reach `own` alone."""
        if self.count == 1:
            return own
        longest = -(-total // self.count)
        own = F.pad(own, (0, 0, 0, longest - len(own))).contiguous()
        parts = [torch.empty_like(own) for _ in range(self.count)]
        distributed.all_gather(parts, own.detach())
        parts[self.rank] = own
        return torch.stack(parts, 1).flatten(0, 1)[:total]

    def sum_gradients(self, model: nn.Module) -> None:
        if self.count == 1:
            return
        for name, parameter in model.named_parameters():
            if parameter.grad is not None:
                distributed.all_reduce(parameter.grad)
                if name.startswith(_SHARED):
                    parameter.grad /= self.count

    def agree(self, value: T) -> T:
        """The first worker's value."""
        if self.count == 1:
            return value
        box = [value]
        distributed.broadcast_object_list(box)
        return box[0]

    def agree_on(self, tensors: Iterable[Tensor]) -> None:
        """Overwrites tensors with the first worker's."""
        if self.count > 1:
            for tensor in tensors:
                distributed.broadcast(tensor.data, 0)

    def each(self, value: T) -> list[T]:
        """Every worker's value, by rank."""
        if self.count == 1:
            return [value]
        box: list[T] = [value] * self.count
        distributed.all_gather_object(box, value)
        return box


def join(device: torch.device) -> Workers:
    """The worker that torchrun's environment says this process is; one alone without it."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        return Workers()
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=_PATIENCE)
    return Workers(distributed.get_rank(), count)


def leave(workers: Workers) -> None:
    """Ends what join began."""
    if workers.count > 1:
        distributed.destroy_process_group()
