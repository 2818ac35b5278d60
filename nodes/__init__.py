"""The pack's table of blocks: one line a block.

An id is frozen, for it stands in users' saved graphs. The files of blocks declare only; what is heavy is
imported when a block runs.
"""

from typing import NamedTuple

from .audio import EncodeAudio
from .face import FaceRegion
from .image import SaveImage
from .model import LoadModel
from .motion import Motion
from .paste import PasteBack
from .reference import ReferenceNet
from .sampler import Sampler, SamplerAdvanced
from .talk import Talk
from .verify import Verify
from .video import CombineVideo


class Block(NamedTuple):
    """One block of the graph: its frozen id, the title on the canvas, the class that declares it."""

    node_id: str
    title: str
    node_class: type


BLOCKS: tuple[Block, ...] = (
    Block("EMOTalk", "EMO Talk (Simple)", Talk),
    Block("EMOLoadModel", "Load EMO Model", LoadModel),
    Block("EMOEncodeAudio", "EMO Encode Audio", EncodeAudio),
    Block("EMOFaceRegion", "EMO Face Region", FaceRegion),
    Block("EMOReferenceNet", "EMO Reference Net", ReferenceNet),
    Block("EMOHeadMotion", "EMO Head Motion", Motion),
    Block("EMOSampler", "EMO Sampler", Sampler),
    Block("EMOSamplerAdvanced", "EMO Sampler (Advanced)", SamplerAdvanced),
    Block("EMOPasteBack", "EMO Paste Back", PasteBack),
    Block("EMOCombineVideo", "EMO Combine Video", CombineVideo),
    Block("EMOSaveImage", "EMO Save Image", SaveImage),
    Block("EMOVerify", "EMO Verify", Verify),
)

NODE_CLASS_MAPPINGS: dict[str, type] = {block.node_id: block.node_class for block in BLOCKS}
NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {block.node_id: block.title for block in BLOCKS}
