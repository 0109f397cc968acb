"""The policies that studies compare: one observation encoder, about as many parameters each, other memories.

Sizes are for tasks of a few numbers a step on a CPU. A study's `policies` may name any of these.
"""

from __future__ import annotations

import difflib
from dataclasses import replace
from typing import Any

from policies.config import PolicyConfig

_SMALL = PolicyConfig(embedding_size=16)
_TRANSFORMER = replace(_SMALL, memory_size=32, layers=2, heads=2, registers=4)

POLICIES = {
    "memoryless": replace(_SMALL, memory="memoryless", memory_size=160),
    "gru": replace(_SMALL, memory="gru", memory_size=88),
    "lstm": replace(_SMALL, memory="lstm", memory_size=76),
    "fct": replace(_TRANSFORMER, memory="fct"),
    "fct_truncated": replace(_TRANSFORMER, memory="fct"),
    "gtrxl": replace(_TRANSFORMER, memory="gtrxl"),
    "rmt": replace(_TRANSFORMER, memory="rmt"),
    "hcam": replace(_TRANSFORMER, memory="hcam"),
    "register": replace(_TRANSFORMER, memory="register"),
    "memo": replace(_TRANSFORMER, memory="memo"),
    "memo_bounded": replace(_TRANSFORMER, memory="memo", consolidation="merge"),
}


def policy_config(name: str, **sizes: Any) -> PolicyConfig:
    """The config of a policy; `sizes` are further fields of PolicyConfig, for those memories that have them.

    Raises:
        ValueError: there is no such policy.
    """
    if name not in POLICIES:
        near = difflib.get_close_matches(name, POLICIES, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ValueError(f"policies: no policy '{name}', choose among {', '.join(POLICIES)}{hint}")
    return replace(POLICIES[name], **sizes)
