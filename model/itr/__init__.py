"""Makes the bundles that itrstream runs. Nothing is imported here: each command loads what it needs.

Building the shipped bundle? Read `mini`, which calls every step in order.
A published checkpoint into a bundle? `detect`, `checkpoint`, then `paper_export`.
Training, and the paper's evaluations? `pretrain`, `finetune`, `protocols`.
What a finished bundle sees, and its calibration? `explain`, `calibrate`.
Arguments of a command? `__main__`, and the files whose names end in `_commands`.

README.md and TRAINING.md beside this package have a table of all files.
"""

import os

# ONNX Runtime for Linux reports to its maker unless it is told not to before it loads.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
