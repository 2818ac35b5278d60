"""`python -m comfyui_emo` is `comfyui-emo`."""

import sys

from .cli import main

sys.exit(main())
