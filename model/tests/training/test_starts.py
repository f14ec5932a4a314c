"""Base encoders in Hugging Face's folders, and the tokenizer of each family."""

import json
from pathlib import Path

import pytest
import torch
import transformers

from itr import starts
from itr.reading import Words
from itr.towers import BertText, ClipText, RobertaText, TextTower

NARROW = {"hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 64}
BERTWEET_ROWS, CLIP_ROWS = 64001, 49408


def saved(model: transformers.PreTrainedModel, folder: Path) -> transformers.PreTrainedModel:
    model.save_pretrained(folder)
    return model.eval()


def test_bertweet_beside_resnet(tmp_path: Path) -> None:
    text = transformers.RobertaConfig(
        vocab_size=BERTWEET_ROWS, max_position_embeddings=130, type_vocab_size=1, **NARROW
    )
    text.pad_token_id, text.layer_norm_eps = 1, 1e-5
    image = transformers.ResNetConfig(embedding_size=16, hidden_sizes=[32, 64, 64, 128], depths=[1, 2, 1, 1])
    roberta = saved(transformers.RobertaModel(text), tmp_path / "bertweet")
    resnet = saved(transformers.ResNetModel(image), tmp_path / "resnet")

    torch.manual_seed(3)
    found = starts.two_towers(tmp_path / "bertweet", tmp_path / "resnet", k=2)
    assert found.variant.classes == 2
    model, ids, pixels = found.build("eager"), torch.tensor([[0, 9, 8, 2]]), torch.randn(2, 3, 224, 224)
    with torch.no_grad():
        torch.testing.assert_close(model.text(ids, torch.ones_like(ids)), roberta(input_ids=ids).pooler_output)
        torch.testing.assert_close(model.image(pixels), resnet(pixels).pooler_output.flatten(1))
    # Heads are drawn after the seed, so another seed gives others.
    torch.manual_seed(4)
    other = starts.two_towers(tmp_path / "bertweet", tmp_path / "resnet", k=2)
    assert not torch.equal(other.state["head1.bias"], found.state["head1.bias"])


def test_clip_brings_its_projections(tmp_path: Path) -> None:
    towers = {"text_config": NARROW | {"vocab_size": CLIP_ROWS}, "vision_config": NARROW | {"patch_size": 32}}
    clip = saved(transformers.CLIPModel(transformers.CLIPConfig(**towers, projection_dim=32)), tmp_path / "clip")
    found = starts.clip(tmp_path / "clip", k=4)
    assert torch.equal(found.state["proj_t.weight"], clip.text_projection.weight)
    model, ids, pixels = found.build("eager"), torch.tensor([[49406, 5, 6, 49407]]), torch.randn(2, 3, 224, 224)
    with torch.no_grad():
        torch.testing.assert_close(
            model.text(ids, torch.ones_like(ids)), clip.text_model(input_ids=ids).pooler_output, rtol=1e-4, atol=1e-5
        )
        torch.testing.assert_close(model.image(pixels), clip.vision_model(pixels).pooler_output, rtol=1e-4, atol=1e-5)


def test_folders_that_are_no_encoder(tmp_path: Path) -> None:
    saved(transformers.BertModel(transformers.BertConfig(**NARROW)), tmp_path / "bert")
    towers = {"text_config": NARROW, "vision_config": NARROW}
    saved(transformers.CLIPModel(transformers.CLIPConfig(**towers)).vision_model, tmp_path / "clip")
    with pytest.raises(ValueError, match="holds a BertModel, not CLIP"):
        starts.clip(tmp_path / "bert", 4)
    with pytest.raises(ValueError, match="neither a ViT with a pooler nor a ResNet"):
        starts.two_towers(tmp_path / "bert", tmp_path / "clip", 4)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ValueError, match="broken cannot be read as a model"):
        starts.two_towers(tmp_path / "broken", tmp_path / "bert", 4)


def tokenizer_files(folder: Path, tower: TextTower) -> Path:
    """Files of the tower's size in which single letters are the only pieces of use."""
    letters = "abcdefghij"
    if isinstance(tower, ClipText):
        pieces = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    elif tower.vocabulary == BERTWEET_ROWS:
        pieces = [*letters, *(f"{letter}@@" for letter in letters)]
    elif isinstance(tower, RobertaText):
        pieces = ["<s>", "<pad>", "</s>", "<unk>", *letters, *(f"Ġ{letter}" for letter in letters), "<mask>"]
    else:
        pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters)]
    missing = tower.vocabulary - len(pieces) - (5 if tower.vocabulary == BERTWEET_ROWS else 0)
    pieces = [*pieces[:4], *(f"filler{i}" for i in range(missing)), *pieces[4:]]
    if isinstance(tower, ClipText) or tower.vocabulary == 50265:
        (folder / "vocab.json").write_text(json.dumps({piece: i for i, piece in enumerate(pieces)}))
        (folder / "merges.txt").write_text("#version: 0.2\n")
    elif tower.vocabulary == BERTWEET_ROWS:
        (folder / "vocab.txt").write_text("".join(f"{piece} 1\n" for piece in pieces))
        (folder / "bpe.codes").write_text("f i 1\n")
    else:
        (folder / "vocab.txt").write_text("\n".join(pieces) + "\n")
    return folder


@pytest.mark.parametrize(
    ("tower", "longest", "pad"),
    [
        (BertText(), 512, 0),
        (RobertaText(), 512, 1),
        (RobertaText(vocabulary=BERTWEET_ROWS, positions=130), 128, 1),
        (ClipText(), 77, 49407),
    ],
)
def test_texts_are_cut_and_padded(tmp_path: Path, tower: TextTower, longest: int, pad: int) -> None:
    words = Words(tokenizer_files(tmp_path, tower), tower)
    ids, mask = words(["a b", "a " * 600], torch.device("cpu"))
    assert ids.shape == mask.shape == (2, longest)
    assert mask.sum(1).tolist() == [4, longest]
    assert (ids[0, 4:] == pad).all()
    assert len(set(ids[1, 1:-1].tolist())) == 1
    assert len(set(ids[0, :4].tolist())) == 4
