"""Bodies at rest: which bytes of the file are which JSON.

``codec`` is kept beside each body: 0 raw, 1 zstd, and from 2 on zstd with the trained dictionary
of that number.  A dictionary belongs to a resource type, is kept in the file and never changes:
FHIR's names repeat in every resource, and one resource alone is too small to learn them from.
Figures: docs/store.md.
"""

from collections.abc import Callable

import zstandard

RAW = 0
ZSTD = 1
FIRST_DICTIONARY = 2

LEVEL = 3
TRAIN_AT = 250  # bodies of a type; fewer make a dictionary that fits only them
DICTIONARY_SIZE_BYTES = 32 * 1024
MIN_SIZE_BYTES = 64  # shorter bodies do not get shorter

Load = Callable[[int], bytes]


class Codec:
    """Compresses and decompresses.  Not for two threads at once: each connection has its own.

    ``load`` returns the dictionary of a codec number; it is asked once per number.
    """

    def __init__(self, load: Load) -> None:
        self._load = load
        self._trained: dict[str, int] = {}
        self._writers: dict[str, zstandard.ZstdCompressor] = {}
        self._plain = zstandard.ZstdCompressor(level=LEVEL)
        self._readers = {ZSTD: zstandard.ZstdDecompressor()}

    def use(self, type_: str, codec: int) -> None:
        """Compress bodies of the type with dictionary ``codec`` from now on."""
        self._trained[type_] = codec
        self._writers.pop(type_, None)

    def trained(self, type_: str) -> bool:
        """Tell whether the type has a dictionary."""
        return type_ in self._trained

    def encode(self, type_: str, body: bytes) -> tuple[int, bytes]:
        """Return the codec and the bytes to keep."""
        if len(body) < MIN_SIZE_BYTES:
            return RAW, body
        codec = self._trained.get(type_)
        if codec is None:
            return ZSTD, self._plain.compress(body)
        writer = self._writers.get(type_)
        if writer is None:
            # Made when needed: each holds tables of half a megabyte.
            words = zstandard.ZstdCompressionDict(self._load(codec))
            words.precompute_compress(level=LEVEL)
            writer = zstandard.ZstdCompressor(level=LEVEL, dict_data=words, write_dict_id=False)
            self._writers[type_] = writer
        return codec, writer.compress(body)

    def decode(self, codec: int, kept: bytes) -> bytes:
        """Return the JSON; raises :class:`zstandard.ZstdError` when the bytes are damaged."""
        if codec == RAW:
            return kept
        reader = self._readers.get(codec)
        if reader is None:
            words = zstandard.ZstdCompressionDict(self._load(codec))
            reader = self._readers[codec] = zstandard.ZstdDecompressor(dict_data=words)
        return reader.decompress(kept)


def train(bodies: list[bytes]) -> bytes | None:
    """Return a dictionary learnt from bodies of one type, ``None`` if there is nothing to learn."""
    try:
        return zstandard.train_dictionary(DICTIONARY_SIZE_BYTES, [*bodies]).as_bytes()
    except zstandard.ZstdError:
        return None
