"""The planted text: its rule, its best perplexity, and windows that continue each other."""

import pytest
import torch
from torch import Tensor

from nasp_core.errors import SpaceError
from sif.testing.text import PlantedText


def test_words_follow_the_rule_but_for_the_noise() -> None:
    words = PlantedText(7, sizes=(20_000, 20, 20), noise=0.2).parts["train"]
    share = float((words[2:] == (words[1:-1] + 2 * words[:-2]) % 7).double().mean())
    assert share == pytest.approx(0.8 + 0.2 / 7, abs=0.01)
    assert int(words.min()) == 0
    assert int(words.max()) == 6


def test_the_best_perplexity_is_that_of_the_rule_itself() -> None:
    task = PlantedText(5, sizes=(50, 20_000, 50), window=7, noise=0.3)
    before: list[Tensor] = [torch.zeros(10, dtype=torch.long)]

    def oracle(inputs: Tensor) -> Tensor:
        seen = torch.cat([before.pop().unsqueeze(0), inputs])
        before.append(seen[-1])
        logits = torch.full((*inputs.shape, 5), 0.3 / 5)
        return logits.scatter(-1, ((seen[1:] + 2 * seen[:-1]) % 5).unsqueeze(-1), 0.7 + 0.3 / 5).log()

    assert task.evaluate(oracle)["perplexity"] == pytest.approx(task.best, rel=0.02)


def test_windows_of_a_pass_continue_each_other_and_come_again() -> None:
    task = PlantedText(7, sizes=(44, 20, 20), window=4)
    stream = task.stream("train", 4, seed=0)
    assert len(stream) == 3
    first, second, last = (stream.batch(step) for step in range(3))
    assert [b.inputs.shape[0] for b in (first, second, last)] == [4, 4, 2]
    assert torch.equal(first.target[-1], second.inputs[0])
    column = torch.cat([first.inputs, second.inputs, last.inputs, last.target[-1:]])[:, 1]
    assert torch.equal(column, task.parts["train"][11:22])
    assert torch.equal(stream.batch(3).inputs, first.inputs)


def test_a_text_that_cannot_be_made_is_refused() -> None:
    with pytest.raises(SpaceError, match=r"^vocabulary = 1, window = 4, noise = 0.1; a text needs 2 words or more"):
        PlantedText(1)
    with pytest.raises(SpaceError, match=r"^30 words are too few for 20 columns; give a smaller batch_size$"):
        PlantedText(7, sizes=(30, 30, 30)).stream("train", 20, 0)
