"""Writes ../tables_bpe.go: what the pieces of Hugging Face's byte-level tokenizers do to each code point.

Measured like tables.go: the letters, numbers and spaces of the splitting expressions, the lower case, and Unicode's
normal form C, all as the `tokenizers` package has them.

    python tables_bpe.py          # needs: pip install tokenizers==0.23.3
"""

import unicodedata
from pathlib import Path

import tokenizers
from tables import HANGUL, records_const, span_table
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

CODES = [code for code in range(0x110000) if not 0xD800 <= code < 0xE000]

bytelevel = pre_tokenizers.ByteLevel(add_prefix_space=False)
lower = normalizers.Lowercase().normalize_str
nfd = normalizers.NFD().normalize_str
nfc = normalizers.NFC().normalize_str


def pieces(text):
    return len(bytelevel.pre_tokenize_str(text))


def measure_classes():
    letters, numbers, spaces = [], [], []
    for code in CODES:
        char = chr(code)
        if pieces(f"a{char}a") == 1:
            letters.append(code)
        elif pieces(f"1{char}1") == 1:
            numbers.append(code)
        elif pieces(f"!{char}!") != 1:
            spaces.append(code)
    for name, found in (("L", letters), ("N", numbers)):
        check_expression(rf"\p{{{name}}}", found)
    check_expression(r"\s", spaces)
    check_strip(spaces)
    return letters, numbers, spaces


def check_expression(expression, found):
    """CLIP's own expression must see the classes of the byte-level one."""
    split = pre_tokenizers.Split(Regex(f"!{expression}"), behavior="isolated")
    if [code for code in CODES if len(split.pre_tokenize_str(f"?!{chr(code)}")) == 2] != found:
        raise SystemExit(f"{expression} matches other code points in a Split than in ByteLevel")


def check_strip(spaces):
    """<mask> takes the spaces before it along: they must be the spaces of the expressions."""
    tokenizer = Tokenizer(models.WordLevel({"<mask>": 0, "?": 1}, unk_token="?"))
    tokenizer.add_tokens([AddedToken("<mask>", lstrip=True)])
    candidates = {
        code
        for code in CODES
        if chr(code).isspace() or unicodedata.category(chr(code)) in ("Cc", "Cf", "Zs", "Zl", "Zp")
    }
    taken = [code for code in sorted(candidates | set(spaces)) if len(tokenizer.encode(chr(code) + "<mask>").ids) == 1]
    if taken != spaces:
        raise SystemExit(f"<mask> strips other spaces: {[hex(c) for c in set(taken) ^ set(spaces)]}")


def measure_combining():
    """The classes of marks in their order, each as its code points: a mark is sorted before those of later classes."""
    samples = {}
    for char in filter(unicodedata.combining, map(chr, CODES)):
        # Python's marks of each class that the package, whose Unicode is older, has as marks too.
        if nfd(char) == char and (
            nfd("\u0300" + char) != "\u0300" + char or nfd(char + "\u0300") != char + "\u0300" or char == "\u0300"
        ):
            samples.setdefault(unicodedata.combining(char), char)
    order = [samples[key] for key in sorted(samples)]
    classes = [[] for _ in order]
    for code in CODES:
        char = chr(code)
        if len(nfd(char)) != 1 or nfd(char) != char:
            continue  # decomposed before it is sorted
        if nfd(char + order[0]) == char + order[0] and nfd(order[-1] + char) == order[-1] + char:
            continue  # no mark: it is sorted neither behind the lowest class nor before the highest
        before = [other for other in order if other != char and nfd(char + other) == other + char]  # of lower class
        after = [other for other in order if other != char and nfd(other + char) == char + other]  # of higher class
        if not before and not after:
            continue
        index = len(before)
        if len(before) + 1 + len(after) != len(order) or order[:index] != before:
            raise SystemExit(f"U+{code:04X} is no mark of a known class")
        classes[index].append(code)
    return classes


def measure_normal_forms():
    decompositions, compositions = {}, {}
    for code in CODES:
        char = chr(code)
        full = nfd(char)
        if code in HANGUL or full == char:
            continue
        decompositions[code] = full
        if nfc(full) != char:
            continue
        first, second = nfc(full[:-1]), full[-1]
        if len(first) != 1:
            raise SystemExit(f"U+{code:04X} is not composed of two characters")
        if nfc(first + second) != char:
            raise SystemExit(f"U+{code:04X} is not composed as it is decomposed")
        compositions[ord(first)] = compositions.get(ord(first), "") + second + char
    return decompositions, compositions


def main():
    letters, numbers, spaces = measure_classes()
    decompositions, compositions = measure_normal_forms()
    lowered = {code: lower(chr(code)) for code in CODES if lower(chr(code)) != chr(code) and code >= 0x80}
    rows = [span_table("", "", codes).split("{\n", 1)[1].removesuffix("\n}\n") for codes in measure_combining()]
    combining = "".join("\t{\n\t" + row.replace("\n", "\n\t") + "\n\t},\n" for row in rows)
    source = "\n".join(
        [
            f"// Code generated by testdata/tables_bpe.py from tokenizers {tokenizers.__version__}; DO NOT EDIT.\n",
            "package tokenize\n",
            span_table("letterSpans", "are \\p{L} of the splitting expressions.", letters),
            span_table("numberSpans", "are \\p{N}.", numbers),
            span_table("whitespaceSpans", "are \\s.", spaces),
            "// combiningSpans holds the marks that normalisation sorts, a list for each combining class, "
            "in their order.\n"
            f"var combiningSpans = [][]span{{\n{combining}}}\n",
            records_const(
                "lowered", "holds one record a line: a code point outside ASCII, then its lower case.", lowered
            ),
            records_const(
                "decompositions",
                "holds one record a line: a code point, then its canonical decomposition in full.\n"
                "// Hangul syllables are left to arithmetic.",
                decompositions,
            ),
            records_const(
                "compositions",
                "holds one record a line: a code point, then pairs of a code point that may follow it and what\n"
                "// the two compose to. Hangul syllables are left to arithmetic.",
                compositions,
            ),
        ]
    )
    Path(__file__).parent.parent.joinpath("tables_bpe.go").write_text(source)


if __name__ == "__main__":
    main()
