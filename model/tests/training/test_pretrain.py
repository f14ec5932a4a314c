"""Pre-training against a second computation of its losses, and killed runs."""

import json
import math
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from tiny import WIDTH_IMAGE, WIDTH_TEXT, Tiny, letter_counts, thumbnail

from itr.labelled import Labelled
from itr.pairs import DataError, Pair
from itr.pretrain import Evaluation, PretrainConfig, pretrain

BATCH, SUBSET, SIZE = 8, 20, 45


def config(out: Path, **changes: object) -> PretrainConfig:
    settings = {"encoder": "tiny", "tasks": "1+4", "seed": 32, "size": SIZE, "subset": SUBSET, "batch": BATCH}
    return PretrainConfig(out=out, **{**settings, "learning_rate": 1e-3, **changes})


def metrics(out: Path) -> list[dict]:
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


class Recomputed:
    """The paper's loop once more, without modules, optimizers or loaders: float64, gradients by hand."""

    def __init__(self, tasks: str, seed: int, pairs: list[Pair], temperature: float = 1.0) -> None:
        self.tasks, self.seed, self.temperature = tasks, seed, temperature
        random.seed(seed)
        torch.manual_seed(seed)
        model = Tiny()  # only for its first values
        self.p = {name: value.detach().numpy().astype(float) for name, value in model.named_parameters()}
        self.m = {name: np.zeros_like(value) for name, value in self.p.items()}
        self.v = {name: np.zeros_like(value) for name, value in self.p.items()}
        self.steps = dict.fromkeys(self.p, 0)
        order = list(range(len(pairs)))
        random.shuffle(order)
        self.pairs = [pairs[i] for i in order]

    def text(self, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
        x = np.array([letter_counts(text) for text in texts])
        return x, np.tanh(x @ self.p["encoder_t.0.weight"].T + self.p["encoder_t.0.bias"])

    def image(self, pairs: list[Pair]) -> tuple[np.ndarray, np.ndarray]:
        x = np.array([thumbnail(pair.image()) for pair in pairs])
        return x, np.tanh(x @ self.p["encoder_v.0.weight"].T + self.p["encoder_v.0.bias"])

    def evaluate(self) -> None:
        """What a k=4 probe, zero-shot test and fake-news test draw: three passes each over train and test, two, two."""
        for _ in range(3 + 3 + 2 + 2):
            torch.empty((), dtype=torch.int64).random_()

    def pass_over(self, subset: list[Pair]) -> list[dict[str, float]]:
        cluster = self.tasks[0] if self.tasks[0] in "123" else None
        labels = None
        if cluster:
            self.permutation(len(subset))  # the encoding pass is shuffled, too
            text = self.text([pair.text for pair in subset])[1]
            second = {
                "1": lambda: self.image(subset)[1],
                "2": lambda: self.text([pair.ocr for pair in subset])[1],
                "3": lambda: self.text([pair.caption for pair in subset])[1],
            }[cluster]()
            x = np.hstack([text, second]).astype(np.float32)
            labels = KMeans(n_clusters=4, random_state=self.seed, n_init=10).fit_predict(x)
            bound = 1 / math.sqrt(WIDTH_TEXT + WIDTH_IMAGE)
            for part in ("weight", "bias"):
                shape = self.p[f"head{cluster}.{part}"].shape
                self.p[f"head{cluster}.{part}"] = torch.empty(shape).uniform_(-bound, bound).numpy().astype(float)
        order, found = self.permutation(len(subset)), []
        for start in range(0, len(subset), BATCH):
            rows = order[start : start + BATCH]
            found.append(self.step([subset[i] for i in rows], None if labels is None else labels[rows], cluster))
        return found

    def permutation(self, count: int) -> list[int]:
        torch.empty((), dtype=torch.int64).random_()  # the loader's own
        seed = torch.empty((), dtype=torch.int64).random_().item()
        return torch.randperm(count, generator=torch.Generator().manual_seed(seed)).tolist()

    def step(self, pairs: list[Pair], labels: np.ndarray | None, cluster: str | None) -> dict[str, float]:
        (x_text, text), (x_image, image) = self.text([pair.text for pair in pairs]), self.image(pairs)
        d_text, d_image, losses, gradients = np.zeros_like(text), np.zeros_like(image), {}, {}
        if cluster:
            weight = 0.2 if cluster == "1" else 1.0
            joint, head = np.hstack([text, image]), f"head{cluster}"
            value, d_logits = self.cross_entropy(joint @ self.p[f"{head}.weight"].T + self.p[f"{head}.bias"], labels)
            losses[cluster], d_logits = weight * value, weight * d_logits
            gradients |= {f"{head}.weight": d_logits.T @ joint, f"{head}.bias": d_logits.sum(0)}
            d_joint = d_logits @ self.p[f"{head}.weight"]
            d_text, d_image = d_text + d_joint[:, :WIDTH_TEXT], d_image + d_joint[:, WIDTH_TEXT:]
        if "4" in self.tasks:
            a, b = text @ self.p["proj_t.weight"].T, image @ self.p["proj_v.weight"].T
            length_a, length_b = (np.sqrt((z**2).sum(1, keepdims=True)) for z in (a, b))
            unit_a, unit_b = a / length_a, b / length_b
            similarity, partner = unit_a @ unit_b.T / self.temperature, np.arange(len(pairs))
            one, d_one = self.cross_entropy(similarity, partner)
            two, d_two = self.cross_entropy(similarity.T, partner)
            losses["4"] = (one + two) / 2
            d_similarity = (d_one + d_two.T) / 2 / self.temperature
            d_unit_a, d_unit_b = d_similarity @ unit_b, d_similarity.T @ unit_a
            d_a = (d_unit_a - unit_a * (unit_a * d_unit_a).sum(1, keepdims=True)) / length_a
            d_b = (d_unit_b - unit_b * (unit_b * d_unit_b).sum(1, keepdims=True)) / length_b
            gradients |= {"proj_t.weight": d_a.T @ text, "proj_v.weight": d_b.T @ image}
            d_text, d_image = d_text + d_a @ self.p["proj_t.weight"], d_image + d_b @ self.p["proj_v.weight"]
        for name, x, y, d in (("encoder_t.0", x_text, text, d_text), ("encoder_v.0", x_image, image, d_image)):
            d_in = d * (1 - y**2)
            gradients |= {f"{name}.weight": d_in.T @ x, f"{name}.bias": d_in.sum(0)}
        for name, gradient in gradients.items():
            self.adamw(name, gradient, 1e-3 if name.startswith("encoder") else 1e-1)
        return losses

    @staticmethod
    def cross_entropy(logits: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
        e = np.exp(logits - logits.max(1, keepdims=True))
        p, rows = e / e.sum(1, keepdims=True), np.arange(len(labels))
        value = -np.log(p[rows, labels]).mean()
        p[rows, labels] -= 1
        return float(value), p / len(labels)

    def adamw(self, name: str, gradient: np.ndarray, rate: float) -> None:
        self.steps[name] += 1
        self.m[name] = 0.9 * self.m[name] + 0.1 * gradient
        self.v[name] = 0.999 * self.v[name] + 0.001 * gradient**2
        m, v = self.m[name] / (1 - 0.9 ** self.steps[name]), self.v[name] / (1 - 0.999 ** self.steps[name])
        self.p[name] = self.p[name] * (1 - rate * 0.01) - rate * m / (np.sqrt(v) + 1e-8)


@pytest.mark.parametrize(
    ("tasks", "temperature", "evaluated"),
    [
        ("1", 1.0, False),
        ("2+4", 1.0, False),
        ("3", 1.0, False),
        ("4", 1.0, False),
        ("1+4", 1.0, True),
        ("4", 0.1, False),
    ],
)
def test_losses_equal_a_second_computation(
    tmp_path: Path, make_pairs: Callable, tasks: str, temperature: float, evaluated: bool
) -> None:
    pairs = make_pairs(50, seed=1)
    data = Evaluation()
    if evaluated:
        labelled = Labelled(make_pairs(80, 3, True), make_pairs(40, 4, True))
        data = Evaluation(labelled, (make_pairs(20, 5), np.arange(20) % 2))
    out = tmp_path / "run"
    summary = pretrain(config(out, tasks=tasks, temperature=temperature), Tiny, pairs, data)

    again = Recomputed(tasks, 32, pairs[:SIZE], temperature)
    lines = metrics(out)
    assert [line["iteration"] for line in lines] == [1, 2]  # the last five pairs fill no subset
    for line, start in zip(lines, (0, SUBSET), strict=True):
        expected = again.pass_over(again.pairs[start : start + SUBSET])
        if evaluated:
            again.evaluate()
        assert line["losses"].keys() == expected[0].keys()
        for task, loss in line["losses"].items():
            assert loss == pytest.approx(np.mean([one[task] for one in expected]), rel=2e-4)
    saved = torch.load(out / summary["checkpoint"], weights_only=True)
    for name, value in again.p.items():
        if not name.startswith("classifier"):
            np.testing.assert_allclose(saved[name].numpy(), value, rtol=5e-3, atol=2e-4, err_msg=name)
    if tasks[0] in "123":
        assert torch.equal(saved["classifier.weight"], saved[f"head{tasks[0]}.weight"])
    assert summary["mode"] == ("paper" if temperature == 1 else "extended")


class Killed(BaseException):
    pass


def test_a_killed_run_goes_on_to_the_same_result(tmp_path: Path, make_pairs: Callable) -> None:
    pairs = make_pairs(60, seed=2)
    data = Evaluation(Labelled(make_pairs(60, 3, True), make_pairs(30, 4, True)))
    make = lambda: Tiny(dropout=0.2)  # noqa: E731

    def kill(at: tuple[int, int]) -> Callable[[int, int], None]:
        def after_batch(iteration: int, batch: int) -> None:
            if (iteration, batch) == at:
                raise Killed

        return after_batch

    whole, cut = config(tmp_path / "whole", size=60, epochs=2), config(tmp_path / "cut", size=60, epochs=2)
    expected = pretrain(whole, make, pairs, data)
    for at in ((1, 2), (3, 2), (4, 1)):
        with pytest.raises(Killed):
            pretrain(cut, make, pairs, data, kill(at))
    # As if the machine had gone down between the metrics and the state.
    with (cut.out / "metrics.jsonl").open("a") as file:
        file.write('{"iteration": 99}\n')
    found = pretrain(cut, make, pairs, data)

    assert found == expected
    assert metrics(cut.out) == metrics(whole.out)
    one, two = (torch.load(c.out / expected["checkpoint"], weights_only=True) for c in (whole, cut))
    assert all(torch.equal(one[key], two[key]) for key in one)
    assert not (cut.out / "state.pt").exists()


def test_a_run_is_not_overwritten(tmp_path: Path, make_pairs: Callable) -> None:
    pairs = make_pairs(50, seed=1)
    pretrain(config(tmp_path / "run"), Tiny, pairs)
    with pytest.raises(ValueError, match="finished run.*--force"):
        pretrain(config(tmp_path / "run"), Tiny, pairs)
    before = (tmp_path / "run" / "metrics.jsonl").read_text()
    pretrain(config(tmp_path / "run", tasks="4", force=True), Tiny, pairs)
    assert (tmp_path / "run" / "metrics.jsonl").read_text() != before

    (tmp_path / "run" / "done.json").unlink()
    with pytest.raises(ValueError, match="other settings: seed 32 there, 0 now"):
        pretrain(config(tmp_path / "run", tasks="4", seed=0), Tiny, pairs)
    with pytest.raises(ValueError, match="data_sha256"):
        pretrain(config(tmp_path / "run", tasks="4"), Tiny, pairs[::-1])
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("dear")
    with pytest.raises(ValueError, match="files of no run"):
        pretrain(config(tmp_path / "mine", force=True), Tiny, pairs)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": 51}, "size is 51, the data set has 50 pairs"),
        ({"size": 10, "subset": 11}, "subsets of 11 pairs do not fit into 10"),
        ({"size": 3, "subset": 3}, "k is 4, but a subset has only 3 pairs"),
        ({"tasks": "1+2"}, "tasks '1\\+2'"),
        ({"k": 5}, "k is 5, not 2 or 4"),
    ],
)
def test_settings_that_do_not_fit(tmp_path: Path, make_pairs: Callable, changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pretrain(config(tmp_path / "run", **changes), Tiny, make_pairs(50, seed=1))
    assert not (tmp_path / "run").exists()


def test_a_missing_ocr_text_is_named(tmp_path: Path, make_pairs: Callable) -> None:
    pairs = make_pairs(50, seed=1)
    pairs[7] = replace(pairs[7], ocr=None)
    with pytest.raises(DataError, match="pair 7: no ocr text, which task 2 clusters by"):
        pretrain(config(tmp_path / "run", tasks="2"), Tiny, pairs)
    pretrain(config(tmp_path / "run", tasks="1"), Tiny, pairs)


def test_logs_have_the_keys_of_the_paper(tmp_path: Path, make_pairs: Callable) -> None:
    pairs, out = make_pairs(50, seed=1), tmp_path / "run"
    data = Labelled(make_pairs(80, 3, True), make_pairs(40, 4, True))
    news = (make_pairs(20, 5), np.arange(20) % 2)
    summary = pretrain(config(out), Tiny, pairs, Evaluation(data, news))
    probe = json.loads((out / "log" / "linear-probe_tiny(1+4)_k4_32.json").read_text())
    zero = json.loads((out / "log" / "zero-shot_tiny(1+4)_k4.json").read_text())
    keys = {f"{kind}_{part}" for kind in ("f1s", "flags") for part in ("t", "v", "tv")}
    assert probe.keys() == keys | {"config", "honest"}
    assert zero.keys() == keys | {"config", "honest", "aucs"}
    assert len(zero["aucs"]) == len(probe["f1s_tv"]) == 2
    assert len(probe["flags_tv"][0]) == 40
    assert summary["probe"]["paper"]["tv"] == max(probe["f1s_tv"])
    assert summary["probe"]["last"]["tv"] == probe["f1s_tv"][-1]
    # The map that has seen the test labels can only be better.
    assert summary["zero_shot"]["paper"]["tv"] >= summary["zero_shot"]["dev_selected"]["tv"]
    for name in ("linear-probe", "zero-shot", "confusion"):
        assert (out / f"{name}_tiny(1+4)_k4_32.png").read_bytes().startswith(b"\x89PNG")


def test_frozen_encoders_train_on_the_clustered_embeddings(tmp_path: Path, make_pairs: Callable) -> None:
    """With both encoders frozen, their dropout must not show: the losses are those of a model without dropout."""
    pairs = make_pairs(50, seed=1)
    frozen = {"freeze_text": True, "freeze_image": True}
    for dropout in (0.0, 0.5):
        pretrain(config(tmp_path / str(dropout), **frozen), lambda: Tiny(dropout=dropout), pairs)  # noqa: B023
    assert metrics(tmp_path / "0.0") == metrics(tmp_path / "0.5")
    torch.manual_seed(32)
    before = Tiny()
    saved = torch.load(tmp_path / "0.5" / "state_dict" / "tiny(1+4)_k4_32.pt", weights_only=True)
    assert torch.equal(saved["encoder_t.0.weight"], before.encoder_t[0].weight)
