"""Attention document by document, left out of what torch.compile makes of a network.

Lengths of documents change from batch to batch, and each set of them would be compiled anew. To
mark a function imports the compiler, which takes as long as all else that speech needs: so only a
network that is being compiled imports this module.
"""

from __future__ import annotations

import torch

from gsv2.nn.documents import attend_in_turn

attend_uncompiled = torch.compiler.disable(attend_in_turn)
