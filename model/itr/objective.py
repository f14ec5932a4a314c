"""The losses of pre-training and fine-tuning, by the paper's task ids."""

import torch
import torch.nn.functional as F
from torch import nn

from itr.embed import Embedded

WEIGHTS = {"0": 1.0, "1": 0.2, "2": 1.0, "3": 1.0, "4": 1.0}
TASKS = ("1", "2", "3", "4", "1+4", "2+4", "3+4")  # what can be pre-trained; "0" is supervised
PAPER_TEMPERATURE = 1.0


def clustering_task(tasks: str) -> str | None:
    """1, 2 or 3 if one is among the tasks."""
    return next((task for task in tasks if task in "123"), None)


def contrastive(text: torch.Tensor, image: torch.Tensor, temperature: float) -> torch.Tensor:
    """Mean of both directions' cross entropy over projected embeddings [B, D]; rows of equal number belong together."""
    similarity = F.normalize(text, dim=1) @ F.normalize(image, dim=1).T / temperature
    partner = torch.arange(len(text), device=text.device)
    return (F.cross_entropy(similarity, partner) + F.cross_entropy(similarity.T, partner)) / 2


def losses(
    model: nn.Module,
    embedded: Embedded,
    tasks: str,
    target: torch.Tensor | None,
    temperature: float = PAPER_TEMPERATURE,
) -> dict[str, torch.Tensor]:
    """Weighted loss by task id; `target` [B] holds pseudo labels (tasks 1 to 3) or relations (task 0)."""
    found = {}
    for task in tasks.replace("+", ""):
        if task == "4":
            loss = contrastive(model.proj_t(embedded.text), model.proj_v(embedded.image), temperature)
        else:
            head = model.classifier if task == "0" else getattr(model, f"head{task}")
            loss = F.cross_entropy(head(embedded.pair), target)
        found[task] = WEIGHTS[task] * loss
    return found


def optimizer(model: nn.Module, learning_rate: float) -> torch.optim.AdamW:
    """AdamW with torch's defaults: encoders at the learning rate, everything else at a hundred times it."""
    encoders = [getattr(model, name) for name in ("encoder_t", "encoder_v", "encoder") if hasattr(model, name)]
    inside = {id(parameter) for encoder in encoders for parameter in encoder.parameters()}
    groups = [{"params": list(encoder.parameters()), "lr": learning_rate} for encoder in encoders]
    rest = [parameter for parameter in model.parameters() if id(parameter) not in inside]
    return torch.optim.AdamW([*groups, {"params": rest, "lr": 100 * learning_rate}])
