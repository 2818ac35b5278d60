"""ComfyUI-EMO: a portrait and a voice in, a talking portrait out (EMO, arXiv 2402.17485)."""

WEB_DIRECTORY = "./js"

if __package__:  # empty only when pytest imports this file bare, where a relative import cannot work
    from .nodes import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS

    __all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS", "WEB_DIRECTORY"]
