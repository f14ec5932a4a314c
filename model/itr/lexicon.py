"""Counts word kinds in a post by its word pieces: what points, reacts, reports, names. A post's images add to it where it points or
reacts; they add little where it is a full caption already.

The table is a constant of the text graph, gathered by input id, so the caller of the graph needs no word lists. It is packed into one
int32 for each word piece: a bit for each kind, and above them the concreteness in quarters.
"""

import numpy as np

from itr.wordnet import WordNet

# The words are ours; each list is a kind of speech act, not a sample of anyone's posts.
KINDS: dict[str, str] = {
    "points": "this these here there that those look see check behold meet introducing presenting below above watch pic pics photo photos picture "
              "pictures image selfie snap screenshot video left right caption spotted sneak peek preview tada voila ta da like",
    "self": "i me my mine we us our ours im ive myself ourselves am",
    "addresses": "you your yours u ur yourself yall guys everyone anyone someone somebody who whose",
    "others": "he she they it its his her hers him them their theirs itself himself herself",
    "reacts": "lol lmao omg wow haha hahaha ha wtf smh love loved loving hate hated amazing awesome beautiful gorgeous stunning cute adorable funny "
              "hilarious best worst great good bad nice sad happy perfect favorite favourite cool epic fail insane crazy wild ridiculous incredible "
              "unbelievable lovely pretty ugly weird creepy scary delicious yummy yum ugh yay oh ah damn hell god literally honestly seriously "
              "finally wish miss obsessed goals mood vibes blessed proud excited tired bored thanks thank grateful",
    "reports": "said says say according report reports reported announced announces announcement told statement official officials officially police "
               "minister president court law government election percent million billion died dies killed injured arrested charged sentenced study "
               "research researchers scientists company market shares launches launched unveils unveiled signs signed wins won defeats defeated "
               "beats scored after amid over during against",
    "asks": "? why how what which when where",
    "exclaims": "!",
    "tags": "# @",
    "links": "http https www com",
    "quotes": '" “ ” « » ’ \' :',
    "trails": ". … ,",
    "calls": "join register tickets sale free win giveaway rt retweet follow click link bio buy shop sign today tomorrow tonight now available "
             "available deal offer discount subscribe vote donate visit book read listen",
    "greets": "happy birthday merry christmas morning night welcome congratulations congrats hello hi hey goodnight weekend monday friday day",
    "thinks": "think believe feel know hope want need life people always never everything nothing because if should would could remember truth "
              "dream success mind heart soul god faith work hard",
}
_MARKS = ("unknown", "numbers", "continues")
BITS = (*KINDS, *_MARKS)
FEATURES = (*BITS, "concrete", "pieces")  # "pieces", the logarithm of their number, is the graph's own


def table(vocabulary: list[str], wordnet: WordNet) -> np.ndarray:
    """int32 [V]: bit i is set for pieces of BITS[i]; above them stands the concreteness, 0 to 4."""
    index = {word: i for i, word in enumerate(vocabulary)}
    packed = np.round(_concreteness(vocabulary, wordnet) * 4).astype(np.int32) << len(BITS)
    for bit, words in enumerate(KINDS.values()):
        for word in set(words.split()) & index.keys():
            packed[index[word]] |= 1 << bit
    packed[index["[UNK]"]] |= 1 << BITS.index("unknown")
    for word, i in index.items():
        packed[i] |= word.removeprefix("##").isdigit() << BITS.index("numbers")
        packed[i] |= word.startswith("##") << BITS.index("continues")
    return packed


def _concreteness(vocabulary: list[str], wordnet: WordNet) -> np.ndarray:
    """float32 [V] in [0, 1]: how visible what a whole-word piece names is; 0 for word parts, numbers and marks."""
    return np.array([wordnet.concreteness(word) if word.isalpha() and word.isascii() else 0.0 for word in vocabulary], np.float32)
