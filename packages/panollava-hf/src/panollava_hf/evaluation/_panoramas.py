"""Panoramas of an evaluation: read while the model answers, and kept no larger than the model needs."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

from panollava_geometry import PanoramaError, rotate_equirectangular
from panollava_geometry.addresses import untrusted_addresses

from panollava_hf.asking import Answerer
from panollava_hf.asking._panorama import Panorama
from panollava_hf.evaluation._questions import Question

#: Questions grouped by panorama; one chunk of panoramas is in memory at a time, and the next one is being read.
Chunk = list[list[Question]]


def read_ahead(
    answerer: Answerer, waiting: Sequence[Chunk], private_redirects: bool
) -> Iterator[tuple[Chunk, list[Panorama | str]]]:
    """Each chunk with its panoramas, or why one cannot be read; the next chunk is read while the model answers."""
    with ThreadPoolExecutor(1, thread_name_prefix="panorama") as pool:
        following = [pool.submit(_read, answerer, chunk, private_redirects) for chunk in waiting[:1]]
        try:
            for index, chunk in enumerate(waiting):
                panoramas = following.pop().result()
                following = [
                    pool.submit(_read, answerer, later, private_redirects) for later in waiting[index + 1 : index + 2]
                ]
                yield chunk, panoramas
        finally:
            pool.shutdown(cancel_futures=True)


def _read(answerer: Answerer, chunk: Chunk, private_redirects: bool) -> list[Panorama | str]:
    found: list[Panorama | str] = []
    for question, *_ in chunk:
        try:
            with nullcontext() if private_redirects else untrusted_addresses("--private-redirects"):
                found.append(prepared(answerer, question))
        except (PanoramaError, OSError, ValueError) as error:
            found.append(str(error).strip())
    return found


def prepared(answerer: Answerer, question: Question) -> Panorama:
    """The panorama of a question with all views that the strategy shows.

    A photograph of 16k is 400 MB in memory and a chunk has many, so an image is decoded no larger than the views need.
    A model that reads panoramas keeps only their views.

    Raises:
        PanoramaError: The panorama cannot be read.
    """
    panorama = answerer.read(question.image)
    if question.yaw_deg:  # turning the camera to the right moves the content to the left
        panorama = Panorama(rotate_equirectangular(panorama.image, yaw_deg=-question.yaw_deg))
    if not answerer.chat.family.reads_panoramas:
        return panorama
    views = answerer.processor.image_processor([panorama.image])["pixel_values"]
    return Panorama(panorama.image[:, :0, :0].clone(), {"pixel_values": views})
