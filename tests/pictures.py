"""`python -m tests.pictures RUN`: the pictures in docs/pictures, from the pages of a real run.

The run is one of `make run`: every framework, deepspeed 0.18.9 and openrlhf 0.9.10. With `--validation FOLDER` the page
of a validation is taken too.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from reports import html, source
from tests.browser import Browser, started

PICTURES = Path(__file__).parent.parent / "docs" / "pictures"
MAP = "section[aria-labelledby=weights-of-tokens]"


@dataclass(frozen=True)
class Picture:
    name: str
    page: str
    selector: str | None = None
    """None for the top of the page."""
    most: int = 900
    """Pixels of height, of the top of a page."""


WANTED = (
    Picture("index", "index.html"),
    Picture("cell", "cells/deepspeed-0.18.9-sft-ragged-zero2-offload.html", most=1500),
    Picture("weight-map-deepspeed", "cells/deepspeed-0.18.9-sft-ragged-zero2-offload.html", MAP),
    Picture("weight-map-openrlhf", "cells/openrlhf-0.9.10-sft-ragged.html", MAP),
)
VALIDATION = Picture("validation", "validation.html", most=1300)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="folder of the run")
    parser.add_argument("--validation", type=Path, help="folder of a validation")
    told = parser.parse_args()
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, started() as browser:
        pages = html.write(source.load(told.run), Path(folder) / "html").parent
        for wanted in WANTED:
            print(_take(browser, pages, wanted))
        if told.validation is not None:
            print(_take(browser, told.validation, VALIDATION))


def _take(browser: Browser, pages: Path, wanted: Picture) -> Path:
    path = PICTURES / f"{wanted.name}.png"
    browser.open(pages / wanted.page)
    browser.picture(path, wanted.selector, wanted.most)
    # Flat colours: nothing is lost that is to be seen, and two thirds of the size are.
    Image.open(path).convert("RGB").quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)
    return path


if __name__ == "__main__":
    main()
