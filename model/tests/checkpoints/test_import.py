"""`itr import` on state dicts with the published keys: every variant placed, values right through to the logits."""

import pickle
from pathlib import Path

import published
import pytest
import reference
import torch
from torch import Tensor

from itr import checkpoint
from itr.__main__ import main
from itr.detect import Unplaced

TEXTS = {
    "bert-base": reference.bert,
    "bertweet-": reference.roberta,
    "bert+resn": reference.bert,
    "clip-vit-": reference.clip_text,
}

MILLIONS = {
    "bert-base": 196.7,
    "bertweet-": 222.1,
    "bert+resn": 153.6,
    "clip-vit-": 151.3,
    "visualber": 112.2,
    "lxmert-ba": 208.7,
}


def save(state: dict, path: Path) -> Path:
    torch.save(state, path)
    return path


def words(variant: str) -> tuple[Tensor, Tensor]:
    """ids, mask: one text of 6 tokens, one of 4 and padding."""
    pad = {"bertweet-": 1}.get(variant[:9], 0)
    ids = torch.tensor([[101, 7, 2054, 30000, 999, 102], [101, 8, 29999, 102, pad, pad]])
    if variant.startswith("clip"):
        ids = ids.masked_fill(ids == 102, 49407)
    return ids, torch.tensor([[1] * 6, [1, 1, 1, 1, 0, 0]])


def expected(variant: str, state: dict[str, Tensor], *inputs: Tensor) -> tuple[Tensor, Tensor]:
    """logits, similarity of the reference."""
    if variant.startswith("visual"):
        return reference.visual_bert(state, *inputs[:3])
    if variant.startswith("lxmert"):
        return reference.lxmert(state, *inputs)
    ids, mask, picture = inputs
    image = reference.clip_image if "clip" in variant else reference.resnet if "resnet" in variant else reference.vit
    return reference.relate(state, TEXTS[variant[:9]](state, ids, mask), image(state, picture))


@pytest.mark.parametrize("variant", published.VARIANTS)
def test_every_published_key_has_its_place(variant):
    state = published.full(variant)
    found = checkpoint.place(state, source="test")
    positions = [key for key in state if key.endswith("position_ids")]
    assert found.dropped == positions
    assert len(found.state) == len(state) - len(positions)
    assert found.variant.classes == 4 and found.variant.projection == 512
    numbers = sum(value.numel() for value in found.state.values())
    assert numbers / 1e6 == pytest.approx(MILLIONS[variant[:9]], abs=0.06)


@pytest.mark.parametrize("variant", published.VARIANTS)
def test_logits_equal_an_independent_computation(variant, tmp_path):
    state = published.small(variant)
    torch.manual_seed(2)
    inputs = (*words(variant), torch.randn(2, 3, 224, 224))
    if "+" not in variant and "clip" not in variant:
        inputs = (*words(variant), torch.randn(2, 5, 2048).relu(), torch.rand(2, 5, 4))
    want_logits, want_similarity = expected(variant, state, *inputs)

    assert main(["import", str(save(state, tmp_path / "m.pt")), "--out", str(tmp_path / "imported")]) == 0
    found = checkpoint.load(tmp_path / "imported")
    with torch.no_grad():
        got = found.build()(*inputs)
    torch.testing.assert_close(got[0], want_logits, atol=2e-5, rtol=1e-4)
    torch.testing.assert_close(got[1], want_similarity, atol=2e-5, rtol=1e-4)
    assert want_logits.std(0).min() > 1e-2, "logits that hardly move with their inputs would equal anything"
    assert found.clustering_head == 1


def test_a_text_does_not_depend_on_its_padding():
    for variant in ("bertweet-base+vit", "clip-vit-base-patch32", "bert-base-uncased+vit"):
        model = checkpoint.place(published.small(variant), "test").build()
        ids, mask = words(variant)
        with torch.no_grad():
            torch.testing.assert_close(
                model.text(ids, mask)[1], model.text(ids[1:, :4], mask[1:, :4])[0], atol=1e-5, rtol=1e-4
            )


def test_the_head_is_its_own_after_import():
    found = checkpoint.place(published.small("clip-vit-base-patch32"), "test")
    model = found.build()
    assert model.classifier.weight.data_ptr() != model.head1.weight.data_ptr()


def test_legacy_heads_move_up_and_pooling_must_be_said(tmp_path):
    state = published.small("bert-base-uncased+vit")
    state["head4.weight"], state["head4.bias"] = state["head3.weight"] + 1, state["head3.bias"] + 1
    state["head1.weight"], state["head1.bias"] = torch.randn(2, 256), torch.randn(2)
    path = save(state, tmp_path / "legacy.pt")
    with pytest.raises(ValueError, match="--pool TEXT,IMAGE"):
        checkpoint.load(path)
    assert main(["import", str(path), "--out", str(tmp_path / "out"), "--pool", "mean,cls"]) == 0
    found = checkpoint.load(tmp_path / "out")
    assert found.legacy and found.dropped[-2:] == ["head1.weight", "head1.bias"]
    torch.testing.assert_close(found.state["head3.weight"], state["head4.weight"])
    torch.testing.assert_close(found.state["head1.weight"], state["head2.weight"])
    ids, mask = words("bert")
    with torch.no_grad():
        got = found.build().text(ids, mask)
    places = torch.arange(6).expand(2, 6)
    hidden = reference.bert_embeddings(state, "encoder_t.", ids, places, 1e-12)
    hidden = reference.bert_layers(state, "encoder_t.encoder", hidden, mask, 1e-12)
    torch.testing.assert_close(got, reference.mean(hidden, mask), atol=2e-5, rtol=1e-4)


def test_half_precision_is_widened():
    state = {
        key: value.half() if value.is_floating_point() else value
        for key, value in published.small("clip-vit-base-patch32").items()
    }
    assert checkpoint.place(state, "test").state["proj_t.weight"].dtype == torch.float32


def broken(change) -> dict[str, Tensor]:
    state = published.small("bert-base-uncased+vit")
    change(state)
    return state


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.update({"encoder_v.extra.weight": torch.ones(2)}), "without a place: encoder_v.extra.weight"),
        (lambda s: s.pop("encoder_v.pooler.dense.bias"), "missing: encoder_v.pooler.dense.bias"),
        (lambda s: s.update({"head2.bias": torch.ones(5)}), r"another shape: head2.bias \[5\] instead of \[4\]"),
        (lambda s: s.pop("classifier.weight"), "classifier.weight is missing"),
        (lambda s: s.update({"head2.bias": torch.ones(4, dtype=torch.long)}), "not floating-point numbers: head2.bias"),
        (lambda s: s["proj_t.weight"].fill_(float("nan")), "NaN or infinite numbers in proj_t.weight"),
        (
            lambda s: s.update({"encoder_t.embeddings.word_embeddings.weight": torch.ones(999, 128)}),
            "999 rows; known are 30522",
        ),
        (
            lambda s: [s.pop(key) for key in list(s) if key.startswith("encoder_v.")],
            "patch_embeddings.projection.weight is missing",
        ),
    ],
)
def test_what_has_no_place_is_refused_by_name(change, message):
    with pytest.raises(ValueError, match=message):
        checkpoint.place(broken(change), "test")


def test_torchvision_towers_of_the_legacy_class_are_refused():
    def torchvision(state):
        for key in [key for key in state if key.startswith("encoder_v.")]:
            del state[key]
        state["encoder_v.conv1.weight"] = torch.ones(64, 3, 7, 7)

    with pytest.raises(Unplaced, match=r"torchvision.*encoder_v.conv1.weight"):
        checkpoint.place(broken(torchvision), "test")


class Code:
    def __reduce__(self):
        return print, ("this must never run",)


def bad_files(folder: Path) -> dict[str, tuple[Path, str]]:
    whole = save(published.small("clip-vit-base-patch32"), folder / "whole.pt").read_bytes()
    files = {
        "empty": (b"", "is empty"),
        "cut": (whole[: len(whole) // 2], "is cut off"),
        "text": (b"not a checkpoint at all", "damaged|no state dict"),
        "old pickle with code": (pickle.dumps({"a": Code()}), "without running its code|damaged"),
    }
    found = {}
    for name, (content, message) in files.items():
        path = folder / f"{name}.pt"
        path.write_bytes(content)
        found[name] = (path, message)
    found["code"] = (save({"a": Code()}, folder / "code.pt"), r"wants to run code.*print")
    found["list"] = (save([torch.ones(1)], folder / "list.pt"), "holds a list")
    found["nested"] = (save({"state_dict": {"a": torch.ones(1)}}, folder / "nested.pt"), "no tensors under state_dict")
    found["absent"] = (folder / "absent.pt", "is no file")
    return found


def test_bad_files_are_refused_with_a_reason(tmp_path, capsys):
    for name, (path, message) in bad_files(tmp_path).items():
        with pytest.raises(ValueError, match=message):
            checkpoint.load(path)
        assert main(["import", str(path), "--out", str(tmp_path / "out")]) == 1, name
        assert not (tmp_path / "out").exists(), name
    said = capsys.readouterr()
    assert "this must never run" not in said.out
    assert "itr import: " in said.err and "Traceback" not in said.err


def test_nothing_is_replaced_unless_asked(tmp_path):
    path, out = save(published.small("clip-vit-base-patch32"), tmp_path / "m.pt"), tmp_path / "out"
    assert main(["import", str(path), "--out", str(out)]) == 0
    before = (out / checkpoint.WEIGHTS).read_bytes()
    save(published.small("clip-vit-base-patch32", seed=8), path)
    assert main(["import", str(path), "--out", str(out)]) == 1
    assert (out / checkpoint.WEIGHTS).read_bytes() == before
    assert main(["import", str(path), "--out", str(out), "--force"]) == 0
    assert (out / checkpoint.WEIGHTS).read_bytes() != before
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.txt").write_text("years of work")
    assert main(["import", str(path), "--out", str(tmp_path / "home"), "--force"]) == 1
    assert (tmp_path / "home" / "thesis.txt").is_file()


def test_a_changed_import_is_noticed(tmp_path):
    out = tmp_path / "out"
    checkpoint.convert(save(published.small("clip-vit-base-patch32"), tmp_path / "m.pt"), out, force=False)
    weights = bytearray((out / checkpoint.WEIGHTS).read_bytes())
    weights[-1] ^= 1
    (out / checkpoint.WEIGHTS).write_bytes(weights)
    with pytest.raises(ValueError, match="has SHA-256"):
        checkpoint.load(out)
