"""EMO Talk (Simple): IMAGE and AUDIO -> VIDEO, nothing to set but how it is marked."""

from typing import TYPE_CHECKING, Any

from .. import host
from .marking_inputs import AIGC, CONSENT, LABEL, MARKS

if TYPE_CHECKING:
    from torch import Tensor

    from ..steps.graph_model import GraphModel

_NAME_PREFIX = "EMO_talk"


class Talk:
    """The whole way with a model's own settings, decoded and written clip by clip."""

    CATEGORY = "EMO"
    DESCRIPTION = (
        "A picture and a voice in, a talking video out, with the bundled model or the one that is connected, "
        "and its own settings. Where no face is found, the middle of the picture is taken for it, and the "
        "log says so."
    )
    FUNCTION = "talk"
    OUTPUT_NODE = True
    RETURN_TYPES = ("VIDEO",)
    RETURN_NAMES = ("video",)
    OUTPUT_TOOLTIPS = ("The video, a temporary file; Save Video keeps it.",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "image": ("IMAGE", {"tooltip": "One picture of a person."}),
                "audio": ("AUDIO", {"tooltip": "The voice, of any length and sample rate."}),
            },
            "optional": {
                "model": ("EMO_MODEL", {"tooltip": "From Load EMO Model; without it the bundled one."}),
                "marks": MARKS,
                "label": LABEL,
                "aigc": AIGC,
                "consent": CONSENT,
            },
            "hidden": {"unique_id": "UNIQUE_ID"},
        }

    def talk(
        self,
        image: "Tensor",
        audio: dict[str, Any],
        model: "GraphModel | None" = None,
        marks: bool = True,
        label: bool = False,
        aigc: bool = False,
        consent: str = "",
        unique_id: str | None = None,
    ) -> Any:
        from functools import partial

        from ..models.checkpoints.emo import load_model
        from ..steps.face_detector import WEIGHTS_NAME
        from ..steps.graph_model import manage_model
        from ..steps.graph_progress import watch
        from ..steps.graph_runs import run_folder
        from ..steps.graph_types import bring_for_talk, simple_request
        from ..steps.marking.settings import Marking
        from ..steps.marking.terms import show_terms
        from ..steps.talk import part_count, talk

        if model is None:
            model = manage_model(load_model(), host.compute_dtype("auto", 0), host.manage)
            show_terms(model.config.name)
        request = simple_request(model, image, audio, host.find_model_file(WEIGHTS_NAME))
        report = host.progress(part_count(model, request) * request.sampling.steps, unique_id)
        path = host.output_path(_NAME_PREFIX, temporary=True)
        work_folder = partial(run_folder, host.runs_folder())
        device, at_once = bring_for_talk(model, request)
        marking = Marking(enabled=marks, label=label, aigc=aigc, consent=consent)
        talk(
            model, request, path, device, watch(report, model), work_folder, frames_at_once=at_once,
            marking=marking,
        )  # fmt: skip
        return host.show_video(path, True, (host.native_video(path),))
