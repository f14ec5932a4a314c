"""Hugging Face's BERT tokenizer over the shipped vocabulary: what the Go tokenizer must equal."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import BertTokenizer


def tokenizer(vocab: Path) -> "BertTokenizer":
    """Of a vocab.txt, in lower case."""
    from transformers import BertTokenizer  # of the extra "build": who only reads golden posts goes without

    return BertTokenizer(vocab=str(vocab), do_lower_case=True)


def ids(tokens: "BertTokenizer", text: str, max_tokens: int) -> list[int]:
    """Input ids with [CLS] and [SEP], cut to max_tokens."""
    return tokens(text, truncation=True, max_length=max_tokens)["input_ids"]
