"""The closed form of the activation map against autograd, on random weights."""

import torch

from itr import image_tower, relation, text_tower
from itr.cam import SIDE, Cam
from itr.text_area import TextArea


def random_relation() -> relation.Relation:
    torch.manual_seed(3)
    prototypes = torch.nn.functional.normalize(torch.randn(1000, text_tower.WIDTH), dim=1)
    usual = torch.rand(1000) + 0.1
    factors = relation.Factors()
    for buffer in (factors.match_scale, factors.area_scale, factors.lexical_scale, factors.style_scale):
        buffer.uniform_(0.5, 2.0)
    return relation.Relation(relation.Agreement(prototypes, usual / usual.sum()), factors).eval()


def test_map_equals_autograd():
    head, classifier = random_relation(), image_tower.Classifier()
    classifier.set(torch.randn(1000, 1280) * 0.1, torch.randn(1000))
    text = torch.randn(3, relation.TEXT_WIDTH)
    text[:, : text_tower.WIDTH] = torch.nn.functional.normalize(text[:, : text_tower.WIDTH], dim=1)
    last = torch.rand(3, 1280, 7, 7, requires_grad=True)
    cells = TextArea().cells(torch.rand(3, SIDE, SIDE)).detach().requires_grad_()

    pooled = last.mean((2, 3))
    image = torch.cat([pooled, classifier(pooled), cells.mean((2, 3))], 1)
    logits = head(text, image)[0]
    centred = logits - logits.mean(1, keepdim=True)
    want = []
    for k in range(4):
        by_last, by_cells = torch.autograd.grad(centred[:, k].sum(), (last, cells), retain_graph=True)
        picture = (by_last.mean((2, 3), keepdim=True) * last).sum(1)
        picture = torch.nn.functional.interpolate(picture[:, None], (SIDE, SIDE), mode="nearest")[:, 0] / 4
        want.append((picture + (by_cells.mean((2, 3), keepdim=True) * cells).sum(1)).relu())

    with torch.no_grad():
        got = Cam(head, classifier)(text, image, last, cells)
    torch.testing.assert_close(got, torch.stack(want, 1), atol=1e-6, rtol=1e-4)
    assert got.max() > 1e-4, "a map of zeros would equal anything"


def test_logits_are_sums_of_two_factors():
    head = random_relation()
    logits, similarity, embedding = head(torch.randn(5, relation.TEXT_WIDTH), torch.randn(5, relation.IMAGE_WIDTH))
    torch.testing.assert_close(logits[:, 3], logits[:, 1] + logits[:, 2])
    assert similarity.abs().max() <= 1
    torch.testing.assert_close(embedding.norm(dim=1), torch.ones(5))
